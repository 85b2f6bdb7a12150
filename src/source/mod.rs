//! Stage 1, source: files in, key columns and payload columns out, as Arrow arrays.
//!
//! Takes the pipeline's `input` section; gives shards whose footers agree, and decoded columns of one row group at a
//! time. Promises: the order of rows depends on the names of the files alone; nothing is skipped by statistics;
//! whatever a file holds, a failure is an error that names it, never a panic.

mod decode;
mod discover;
mod guard;
mod int96;
mod levels;
mod list_pages;
mod lists;
mod predicate;
mod preflight;
mod row_group;
mod sql;
mod stored;

pub use decode::{SMALL_ARRAY, decode, decode_each};
pub use discover::{Found, discover};
pub use guard::{silence_guarded_panics, unless_panic};
pub use predicate::{Predicate, plain_text};
pub use preflight::{HIVE_NULL, InputColumn, RowGroup, Shard, Source};
pub use row_group::{polars_footer, read_row_group};
pub use sql::{predicate_expr, widen_integers};
