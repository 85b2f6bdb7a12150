//! Stage 1, source: files in, key columns and payload columns out, as Arrow arrays.
//!
//! Takes the pipeline's `input` section; gives shards as one table, and decoded columns of one row group at a
//! time. Promises: the order of rows depends on the names of the files alone; nothing is skipped by statistics; a value is
//! carried exactly, or it is an error; whatever a file holds, a failure is an error that names it, never a panic.

mod chunks;
mod comparisons;
mod convert;
mod declared;
mod decode;
mod discover;
mod frame;
mod guard;
mod hive;
mod int96;
mod interval;
mod lists;
mod literals;
mod numbers;
mod one_schema;
mod order;
mod orders;
mod paths;
mod predicate;
mod preflight;
mod row_group;
mod shard;
mod sniff;
mod sql;
mod stamp;
mod stored;
mod table;
mod table_format;
mod text_sizes;
mod unify;

pub use decode::{SMALL_ARRAY, decode, decode_each};
pub use discover::{Discovery, Found, check_apart, discover};
pub use guard::{silence_guarded_panics, unless_panic};
pub use hive::{HIVE_NULL, hive_value};
pub use order::{Order, PLACE};
pub use predicate::{Predicate, plain_text};
pub use preflight::Options;
pub use row_group::{polars_footer, read_row_group, reads_declared};
pub use shard::Shard;
pub use stamp::Stamp;
pub use table::{InputColumn, RowGroup, Source};
