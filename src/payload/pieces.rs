//! The form in which decoded rows travel between decoding and writing: pieces of a column as Arrow IPC, with LZ4 where that is worth its time.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::buffer::Buffer;
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use arrow::error::ArrowError;
use arrow::ipc::CompressionType;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow_select::dictionary::garbage_collect_any_dictionary;

/// Consecutive wanted rows of a column, which one part of the output wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Piece {
    pub column: usize,
    /// Input row of the first value of the array that the rows were picked from: pieces of a column are in input order.
    pub first_row: u32,
    pub rows: u32,
    /// Where its bytes begin, in what holds the pieces of a part.
    pub place: u64,
    pub bytes: usize,
}

/// An array as an Arrow IPC stream, without dictionary values that no row has; compressed where it is said to be worth its time:
/// noise, as embeddings are, costs as much as what shrinks.
pub(super) fn encode(array: ArrayRef, compressed: bool) -> std::result::Result<Vec<u8>, ArrowError> {
    let array = used_values(array)?;
    let schema = Arc::new(Schema::new(vec![Field::new("c", array.data_type().clone(), true)]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![array])?;
    let codec = compressed.then_some(CompressionType::LZ4_FRAME);
    let options = IpcWriteOptions::default().try_with_compression(codec)?;
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &schema, options)?;
    writer.write(&batch)?;
    writer.into_inner()
}

/// The array of a piece, as it came.
pub(super) fn decode(mut bytes: Buffer, data_type: &DataType) -> std::result::Result<ArrayRef, ArrowError> {
    let batch = StreamDecoder::new().decode(&mut bytes)?;
    let batch = batch.ok_or_else(|| ArrowError::IpcError("an empty piece".into()))?;
    let array = batch.column(0);
    if array.data_type() == data_type { Ok(Arc::clone(array)) } else { cast(array, data_type) }
}

/// 64-bit integers as 32-bit ones, if all are small: that takes off as much as LZ4 does, in a tenth of the time.
pub(super) fn narrow(array: ArrayRef) -> ArrayRef {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let narrowed = narrow_type(array.data_type()).and_then(|to| cast_with_options(&array, &to, &strict).ok());
    narrowed.unwrap_or(array)
}

fn narrow_type(data_type: &DataType) -> Option<DataType> {
    let of = |f: &FieldRef| Some(Arc::new(Field::clone(f).with_data_type(narrow_type(f.data_type())?)));
    match data_type {
        DataType::Int64 => Some(DataType::Int32),
        DataType::UInt64 => Some(DataType::UInt32),
        DataType::List(f) => Some(DataType::List(of(f)?)),
        DataType::FixedSizeList(f, length) => Some(DataType::FixedSizeList(of(f)?, *length)),
        _ => None,
    }
}

/// A dictionary with the values of its rows alone, where it has more values than rows: each part of the output would carry all of them.
fn used_values(array: ArrayRef) -> std::result::Result<ArrayRef, ArrowError> {
    match array.as_any_dictionary_opt() {
        Some(dictionary) if dictionary.values().len() > array.len() => garbage_collect_any_dictionary(dictionary),
        _ => Ok(array),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{DictionaryArray, UInt64Array};
    use arrow::datatypes::{Int32Type, UInt64Type};

    use super::*;

    #[test]
    fn dictionaries_travel_with_the_values_of_their_rows() {
        let texts: Vec<String> = (0..1_000).map(|k| format!("value {k}")).collect();
        let all: DictionaryArray<Int32Type> = texts.iter().map(String::as_str).collect();
        let some: ArrayRef = Arc::new(all.slice(500, 3));
        let bytes = encode(Arc::clone(&some), true).unwrap();
        assert!(bytes.len() < 2_000, "{} bytes", bytes.len());
        assert_eq!(&decode(Buffer::from_vec(bytes), some.data_type()).unwrap(), &some);
    }

    #[test]
    fn small_numbers_are_narrowed_and_large_ones_are_not() {
        let unsigned = narrow(Arc::new(UInt64Array::from(vec![0, u64::from(u32::MAX)])));
        assert_eq!(unsigned.data_type(), &DataType::UInt32);
        let large = narrow(Arc::new(UInt64Array::from(vec![0, u64::from(u32::MAX) + 1])));
        assert_eq!(large.as_primitive::<UInt64Type>().values(), &[0, u64::from(u32::MAX) + 1]);
    }
}
