//! What Polars reads of a file, as arrow's reader has it.

use std::path::Path;

use super::footers::footer_of;
use super::zones::{disputed, zoned};
use crate::source::reads_declared;
use crate::store;

/// The columns that Polars reads, if it does not read all: it knows no half floats, 256-bit decimals, list views, intervals,
/// extension types, nor zones that are not called by an area and a place.
pub fn readable_columns(path: &Path) -> Option<Vec<String>> {
    use arrow::datatypes::{DataType, DataType::*, Field, TimeUnit};
    fn foreign(field: &Field, declared: bool) -> bool {
        field.metadata().contains_key("ARROW:extension:name") || foreign_type(field.data_type(), declared)
    }
    fn foreign_type(data_type: &DataType, declared: bool) -> bool {
        match data_type {
            // Parquet has no such types: without what the writer declares, Polars takes them for others.
            Duration(_) | Date64 | Timestamp(TimeUnit::Second, _) | FixedSizeList(..) if !declared => true,
            Float16 | Decimal256(..) | ListView(_) | LargeListView(_) | RunEndEncoded(..) | Interval(_) => true,
            // Parquet has no seconds of a day: other readers take them for integers.
            Time32(TimeUnit::Second) => true,
            // It reads UTC, and names of the table of zones.
            Timestamp(_, Some(zone)) => !matches!(&**zone, "UTC" | "+00:00") && !zone.contains('/'),
            List(f) | LargeList(f) | FixedSizeList(f, _) | Map(f, _) => foreign(f, declared),
            Struct(fields) => fields.iter().any(|f| foreign(f, declared)),
            Dictionary(_, value) => foreign_type(value, declared),
            _ => false,
        }
    }
    let footer = footer_of(path)?;
    let schema = zoned(footer.schema(), footer.metadata().file_metadata());
    let disputed = disputed(&schema, footer.metadata().file_metadata());
    let all = schema.fields();
    let declared = store::open_local(path).is_ok_and(reads_declared);
    let known: Vec<String> = all
        .iter()
        .filter(|f| !foreign(f, declared) && !disputed.contains(f.name()))
        .map(|f| f.name().clone())
        .collect();
    (known.len() < all.len()).then_some(known)
}
