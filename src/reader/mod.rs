//! Datasets, read through Polars: what the manifest says of one, single batches, whole columns. Knows the contract, nothing of
//! composition, masks or writing.

mod dataset;
mod footers;
mod look;
mod readable;
mod values;
mod zones;

pub use dataset::{Dataset, Recorded, RecordedFile};
pub use footers::{footer_of, schema_of};
pub use look::{Look, look, rows_by_user, stats_column};
pub use readable::readable_columns;
pub use values::{ints, words_of};
pub use zones::{disputed, zoned};
