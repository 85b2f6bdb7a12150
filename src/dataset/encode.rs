//! Encodes the columns of one row group, all at once.

use std::path::Path;

use arrow::array::ArrayRef;
use arrow::datatypes::FieldRef;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};
use parquet::errors::ParquetError;
use rayon::prelude::*;

use crate::error::{Error, Result};

/// A column of a row group: gives its arrays one by one, when it is their turn to be encoded.
pub type ColumnSource<'a> = Box<dyn Iterator<Item = Result<ArrayRef>> + Send + 'a>;

/// Encoded column chunks of one row group, in the order of the schema's leaves.
pub fn encode(
    path: &Path,
    fields: &[FieldRef],
    writers: Vec<ArrowColumnWriter>,
    columns: Vec<ColumnSource<'_>>,
) -> Result<Vec<ArrowColumnChunk>> {
    let mut writers = writers.into_iter();
    let work: Vec<_> = fields
        .iter()
        .zip(columns)
        .map(|(field, column)| (field, column, writers.by_ref().take(leaves(field)).collect::<Vec<_>>()))
        .collect();
    let chunks: Vec<Vec<ArrowColumnChunk>> = work
        .into_par_iter()
        .map(|(field, column, mut writers)| {
            let fail = |e: ParquetError| failed(path, field, &e);
            for array in column {
                let array = array?;
                for (leaf, writer) in compute_leaves(field, &array).map_err(fail)?.iter().zip(&mut writers) {
                    writer.write(leaf).map_err(fail)?;
                }
            }
            writers.into_iter().map(|w| w.close().map_err(fail)).collect()
        })
        .collect::<Result<_>>()?;
    Ok(chunks.into_iter().flatten().collect())
}

/// Number of Parquet leaves below a field.
fn leaves(field: &FieldRef) -> usize {
    use arrow::datatypes::DataType::*;
    match field.data_type() {
        Struct(fields) => fields.iter().map(leaves).sum(),
        List(f) | LargeList(f) | FixedSizeList(f, _) | ListView(f) | LargeListView(f) | Map(f, _) => leaves(f),
        _ => 1,
    }
}

fn failed(path: &Path, field: &FieldRef, error: &ParquetError) -> Error {
    Error::output(path, format!("column `{}` can't be encoded ({error})", field.name()), "drop it with input.drop")
}
