//! Intervals of 12 bytes: months, days and milliseconds, of which Arrow's types hold but one or two.

use std::sync::Arc;

use arrow::datatypes::{DataType, IntervalUnit};
use parquet::basic::ConvertedType;
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{AsBytes, FixedLenByteArrayType};
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::ChunkReader;
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::schema::types::SchemaDescriptor;

/// Values that are looked at at a time.
const PIECE: usize = 1 << 14;

/// The leaves that are intervals, and whether they are read as months; `leaves` with their Arrow types.
pub fn among(schema: &SchemaDescriptor, leaves: &[(usize, DataType)]) -> Vec<(usize, bool)> {
    let own = leaves.iter().filter(|(leaf, _)| schema.column(*leaf).converted_type() == ConvertedType::INTERVAL);
    own.map(|(leaf, t)| (*leaf, *t == DataType::Interval(IntervalUnit::YearMonth))).collect()
}

/// Whether what is read, months alone or days and milliseconds, is all there is of these leaves in a row group.
///
/// # Errors
/// A damaged file.
pub fn all_fit(
    file: impl ChunkReader + 'static,
    group: &RowGroupMetaData,
    schema: &SchemaDescriptor,
    leaves: &[(usize, bool)],
) -> ParquetResult<bool> {
    let file = Arc::new(file);
    let rows = usize::try_from(group.num_rows()).unwrap_or(0);
    for &(leaf, months) in leaves {
        let pages = SerializedPageReader::new(Arc::clone(&file), group.column(leaf), rows, None)?;
        let mut reader = ColumnReaderImpl::<FixedLenByteArrayType>::new(schema.column(leaf), Box::new(pages));
        let (mut definitions, mut repetitions, mut values) = (Vec::new(), Vec::new(), Vec::new());
        while reader.read_records(PIECE, Some(&mut definitions), Some(&mut repetitions), &mut values)?.0 > 0 {
            let unread = if months { 4..12 } else { 0..4 };
            let is_lost =
                |bytes: &[u8]| bytes.get(unread.clone()).is_none_or(|rest| rest.iter().any(|byte| *byte != 0));
            if values.iter().any(|value| is_lost(value.as_bytes())) {
                return Ok(false);
            }
            definitions.clear();
            repetitions.clear();
            values.clear();
        }
    }
    Ok(true)
}
