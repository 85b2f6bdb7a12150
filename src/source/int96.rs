//! Timestamps of 12 bytes, which older writers use: they reach further than the 64-bit nanoseconds that they are read as.

use std::sync::Arc;

use arrow::datatypes::DataType;
use parquet::basic::Type as Physical;
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{Int96, Int96Type};
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::ChunkReader;
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::schema::types::SchemaDescriptor;

/// Values that are looked at at a time.
const PIECE: usize = 1 << 14;

/// The Julian day of the epoch.
const EPOCH: i128 = 2_440_588;

/// The leaves that are such timestamps.
pub fn among(schema: &SchemaDescriptor, leaves: &[(usize, DataType)]) -> Vec<usize> {
    let own = leaves.iter().map(|(leaf, _)| *leaf);
    own.filter(|leaf| schema.column(*leaf).physical_type() == Physical::INT96).collect()
}

/// Whether 64-bit nanoseconds hold all timestamps of these leaves in a row group; the reader wraps those that they don't.
///
/// # Errors
/// A damaged file.
pub fn all_fit(
    file: impl ChunkReader + 'static,
    group: &RowGroupMetaData,
    schema: &SchemaDescriptor,
    leaves: &[usize],
) -> ParquetResult<bool> {
    let file = Arc::new(file);
    let rows = usize::try_from(group.num_rows()).unwrap_or(0);
    for &leaf in leaves {
        let pages = SerializedPageReader::new(Arc::clone(&file), group.column(leaf), rows, None)?;
        let mut reader = ColumnReaderImpl::<Int96Type>::new(schema.column(leaf), Box::new(pages));
        let (mut definitions, mut repetitions, mut values) = (Vec::new(), Vec::new(), Vec::new());
        while reader.read_records(PIECE, Some(&mut definitions), Some(&mut repetitions), &mut values)?.0 > 0 {
            if !values.iter().all(fits) {
                return Ok(false);
            }
            definitions.clear();
            repetitions.clear();
            values.clear();
        }
    }
    Ok(true)
}

/// Two words of nanoseconds within a day, and one of the Julian day, which is signed.
fn fits(value: &Int96) -> bool {
    let words = value.data();
    let nanos = i128::from((u64::from(words[1]) << 32 | u64::from(words[0])) as i64);
    let days = i128::from(words[2] as i32) - EPOCH;
    i64::try_from(days * 86_400_000_000_000 + nanos).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_that_fit() {
        let of = |days: i64, nanos: u64| {
            let mut value = Int96::new();
            value.set_data(nanos as u32, (nanos >> 32) as u32, (days + EPOCH as i64) as u32);
            value
        };
        for (nanos, fit) in
            [(i128::from(i64::MAX), true), (i128::from(i64::MIN), true), (1 << 63, false), (-(1 << 63) - 1, false)]
        {
            let day = 86_400_000_000_000;
            let value = of(nanos.div_euclid(day) as i64, nanos.rem_euclid(day) as u64);
            assert_eq!(fits(&value), fit, "{nanos}");
            if fit {
                assert_eq!(i128::from(value.to_nanos()), nanos);
            }
        }
    }
}
