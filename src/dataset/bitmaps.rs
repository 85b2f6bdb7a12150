//! Encodes a column of mask bitmaps.
//!
//! They come as Arrow dictionaries, one a batch. Most come again in the next batches, as the row that is alone with its
//! identity has but its own bit; so rows are handed over as slices of what they share, and not copied.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::UInt32Type;
use bytes::Bytes;
use parquet::column::writer::{ColumnCloseResult, ColumnWriter, get_column_writer};
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

/// An encoded column chunk, and what its footer says.
pub struct BitmapChunk {
    pub bytes: Bytes,
    pub close: ColumnCloseResult,
}

/// Encodes the bitmaps of one row group: dictionaries of fixed-size binaries with 32-bit keys, one a batch. Fails where they
/// are not.
pub fn encode_bitmaps(
    descriptor: &ColumnDescPtr,
    properties: &WriterPropertiesPtr,
    batches: &[ArrayRef],
) -> Result<BitmapChunk> {
    let mut sink = TrackedWrite::new(Vec::new());
    let close = {
        let pages = Box::new(SerializedPageWriter::new(&mut sink));
        match get_column_writer(Arc::clone(descriptor), Arc::clone(properties), pages) {
            ColumnWriter::FixedLenByteArrayColumnWriter(mut writer) => {
                for batch in batches {
                    writer.write_batch(&rows(batch)?, None, None)?;
                }
                writer.close()?
            }
            _ => return Err(unlike(descriptor.physical_type())),
        }
    };
    Ok(BitmapChunk { bytes: sink.into_inner()?.into(), close })
}

/// A batch's bitmaps, row by row.
fn rows(batch: &ArrayRef) -> Result<Vec<FixedLenByteArray>> {
    let dictionary = batch.as_dictionary_opt::<UInt32Type>().ok_or_else(|| unlike(batch.data_type()))?;
    let values = dictionary.values();
    let bitmaps = values.as_fixed_size_binary_opt().ok_or_else(|| unlike(values.data_type()))?;
    let width = bitmaps.value_length() as usize;
    let all = ByteArray::from(Bytes::from(bitmaps.values().clone()));
    let row = |key: &u32| FixedLenByteArray::from(all.slice(*key as usize * width, width));
    Ok(dictionary.keys().values().iter().map(row).collect())
}

fn unlike(found: impl std::fmt::Debug) -> ParquetError {
    ParquetError::General(format!("bitmaps are dictionaries of fixed-size binaries, not {found:?}"))
}
