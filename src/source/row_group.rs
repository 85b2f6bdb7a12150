//! One row group of a file, through Polars.

use std::fs::File;
use std::sync::Arc;

use polars::prelude::{
    ArrowDataType, ArrowTimeUnit, DataFrame, ParallelStrategy, ParquetReader, PolarsResult, SerReader, polars_err,
};
use polars_io::parquet::metadata::{FileMetadata, FileMetadataRef};

use super::guard::unless_panic;

/// Reads a footer; without what the file's writer declares of types, where Polars would not read the file for it.
///
/// # Errors
/// A footer that Polars does not read.
pub fn polars_footer(file: File) -> PolarsResult<FileMetadataRef> {
    let mut reader = ParquetReader::new(file);
    let footer = reader.get_metadata()?.clone();
    if has_known_types(&mut reader) {
        return Ok(footer);
    }
    let mut undeclared = FileMetadata::clone(&footer);
    undeclared.key_value_metadata = None;
    Ok(Arc::new(undeclared))
}

/// Whether [`polars_footer`] has what the file's writer declares of types.
pub fn reads_declared(file: File) -> bool {
    has_known_types(&mut ParquetReader::new(file))
}

/// Whether Polars reads the types that a file's writer declares: it reads nothing of list views, and takes seconds of a day for integers.
fn has_known_types(reader: &mut ParquetReader<File>) -> bool {
    let seen = unless_panic(|| reader.schema().ok()).flatten();
    seen.is_some_and(|seen| !seen.iter_values().any(|field| has_seconds_of_day(&field.dtype)))
}

fn has_seconds_of_day(seen: &ArrowDataType) -> bool {
    use ArrowDataType::*;
    match seen {
        Time32(unit) => *unit == ArrowTimeUnit::Second,
        List(f) | LargeList(f) | FixedSizeList(f, _) | Map(f, _) => has_seconds_of_day(&f.dtype),
        Struct(fields) => fields.iter().any(|f| has_seconds_of_day(&f.dtype)),
        Dictionary(_, value, _) => has_seconds_of_day(value),
        _ => false,
    }
}

/// Reads columns (`None`: all) of a row group. To the reader it is the file's only one: of a slice of rows, Polars
/// decompresses all row groups before it too.
///
/// # Errors
/// A row group that Polars does not read.
pub fn read_row_group(
    file: File,
    footer: &FileMetadata,
    row_group: usize,
    columns: Option<Vec<String>>,
    parallel: ParallelStrategy,
) -> PolarsResult<DataFrame> {
    let group = footer.row_groups.get(row_group).cloned();
    let group = group.ok_or_else(|| polars_err!(ComputeError: "there is no row group {row_group}"))?;
    let alone = FileMetadata {
        version: footer.version,
        num_rows: group.num_rows(),
        max_row_group_height: group.num_rows(),
        created_by: footer.created_by.clone(),
        row_groups: vec![group],
        key_value_metadata: footer.key_value_metadata.clone(),
        schema_descr: footer.schema_descr.clone(),
        column_orders: footer.column_orders.clone(),
        footer_buf: footer.footer_buf.clone(),
    };
    let mut reader = ParquetReader::new(file).with_columns(columns).read_parallel(parallel).set_rechunk(true);
    reader.set_metadata(Arc::new(alone));
    reader.finish()
}
