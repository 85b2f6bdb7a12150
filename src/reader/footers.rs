//! Footers of Parquet files, by arrow's reader.

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::Schema;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};

use super::zones::zoned;
use crate::source::unless_panic;
use crate::store;

/// A file's footer; `None` where it can't be read.
pub fn footer_of(path: &Path) -> Option<ArrowReaderMetadata> {
    let file = store::open(path).ok()?;
    unless_panic(|| ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).ok())?
}

/// The Arrow schema that a file's footer holds; Polars widens some types, so types are compared here.
pub fn schema_of(path: &Path) -> Option<Arc<Schema>> {
    footer_of(path).map(|footer| zoned(footer.schema(), footer.metadata().file_metadata()))
}
