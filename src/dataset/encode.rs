//! Encodes the columns of one row group, all at once.

use std::io::Write;
use std::path::Path;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, FieldRef};
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::SerializedRowGroupWriter;
use parquet::schema::types::ColumnDescPtr;
use rayon::prelude::*;

use super::bitmaps::{EncodedChunk, encode_bitmaps};
use super::ordered::encode_ordered;
use crate::error::{Error, Result};
use crate::schema;

/// A column of a row group: gives its arrays one by one, when it is their turn to be encoded. A mask's bitmaps come as
/// dictionaries.
pub type ColumnSource<'a> = Box<dyn Iterator<Item = Result<ArrayRef>> + Send + 'a>;

/// An encoded column chunk.
pub enum Chunk {
    Arrow(ArrowColumnChunk),
    /// The dictionary of bitmaps, or an ordered one.
    Own(EncodedChunk),
}

impl Chunk {
    pub fn rows(&self) -> u64 {
        match self {
            Chunk::Arrow(chunk) => chunk.close().rows_written,
            Chunk::Own(chunk) => chunk.close.rows_written,
        }
    }

    /// Writes the chunk into a row group.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn append<W: Write + Send>(self, group: &mut SerializedRowGroupWriter<'_, W>) -> Result<(), ParquetError> {
        match self {
            Chunk::Arrow(chunk) => chunk.append_to_row_group(group),
            Chunk::Own(chunk) => group.append_column(&chunk.bytes, chunk.close),
        }
    }
}

/// What encodes a row group's columns.
pub struct Encoder<'a> {
    /// The shard, for errors.
    pub path: &'a Path,
    pub fields: &'a [FieldRef],
    pub leaves: &'a [ColumnDescPtr],
    pub properties: &'a WriterPropertiesPtr,
}

impl Encoder<'_> {
    /// Encoded column chunks of one row group, in the order of the schema's leaves; `writers` has one for each.
    ///
    /// # Errors
    /// What a column says, or values that it can't hold.
    pub fn encode(&self, writers: Vec<ArrowColumnWriter>, columns: Vec<ColumnSource<'_>>) -> Result<Vec<Chunk>> {
        let mut writers = writers.into_iter();
        let mut first = 0;
        let mut work = Vec::with_capacity(columns.len());
        for (field, column) in self.fields.iter().zip(columns) {
            let number = leaves(field);
            work.push((field, column, first, writers.by_ref().take(number).collect::<Vec<_>>()));
            first += number;
        }
        let chunks: Vec<Vec<Chunk>> = work
            .into_par_iter()
            .map(|(field, column, first, writers)| match field.name().as_str() {
                name if is_bitmap(name, field.data_type()) => self.bitmaps(field, &self.leaves[first], column),
                _ if field.dict_is_ordered() == Some(true) => self.ordered(field, &self.leaves[first], column),
                _ => self.arrays(field, writers, column),
            })
            .collect::<Result<_>>()?;
        Ok(chunks.into_iter().flatten().collect())
    }

    fn bitmaps(&self, field: &FieldRef, leaf: &ColumnDescPtr, column: ColumnSource<'_>) -> Result<Vec<Chunk>> {
        let batches: Vec<ArrayRef> = column.collect::<Result<_>>()?;
        let chunk = encode_bitmaps(leaf, self.properties, &batches).map_err(|e| self.failed(field, &e))?;
        Ok(vec![Chunk::Own(chunk)])
    }

    fn ordered(&self, field: &FieldRef, leaf: &ColumnDescPtr, column: ColumnSource<'_>) -> Result<Vec<Chunk>> {
        let arrays: Vec<ArrayRef> = column.collect::<Result<_>>()?;
        let chunk = encode_ordered(leaf, &arrays).map_err(|e| self.failed(field, &e))?;
        Ok(vec![Chunk::Own(chunk)])
    }

    fn arrays(
        &self,
        field: &FieldRef,
        mut writers: Vec<ArrowColumnWriter>,
        column: ColumnSource<'_>,
    ) -> Result<Vec<Chunk>> {
        let fail = |e: ParquetError| self.failed(field, &e);
        for array in column {
            let array = array?;
            for (leaf, writer) in compute_leaves(field, &array).map_err(fail)?.iter().zip(&mut writers) {
                writer.write(leaf).map_err(fail)?;
            }
        }
        writers.into_iter().map(|w| w.close().map(Chunk::Arrow).map_err(fail)).collect()
    }

    fn failed(&self, field: &FieldRef, error: &ParquetError) -> Error {
        Error::output(
            self.path,
            format!("column `{}` can't be encoded ({error})", field.name()),
            "drop it with input.drop",
        )
    }
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

/// Whether a column is a mask of bitmaps.
pub fn is_bitmap(name: &str, data_type: &DataType) -> bool {
    let is_mask = [schema::SAME_USER, schema::NEGATIVES, schema::OWN_POSITIVES].contains(&name);
    is_mask && matches!(data_type, DataType::FixedSizeBinary(_) | DataType::Binary)
}
