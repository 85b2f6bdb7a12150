//! One column of one row group as Arrow arrays.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray, new_empty_array};
use arrow::compute::{cast, concat};
use arrow::datatypes::DataType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReaderBuilder, RowSelection};

use super::guard::guarded;
use super::preflight::{InputColumn, RowGroup, Source, root_bytes};
use crate::error::{Error, Result};
use crate::store;

/// Decoded values of one array stay below this, if the footer tells the truth. Small enough that allocators reuse the
/// memory instead of having the system zero fresh pages, which took a fifth of all time with arrays of 50 MB.
const ARRAY_BYTES: u64 = 8 << 20;

/// The column's values in one row group, in order, as one or more arrays of the column's type.
/// With a selection, only the rows that it names.
pub fn decode_rows(
    source: &Source,
    group: &RowGroup,
    column: InputColumn,
    selection: Option<RowSelection>,
) -> Result<Vec<ArrayRef>> {
    let shard = &source.shards[group.shard];
    let index = match column {
        InputColumn::File(index) => index,
        InputColumn::Hive(index) => {
            let rows = selection.map_or(group.rows as usize, |s| s.row_count());
            let values: StringArray = std::iter::repeat_n(shard.hive[index].as_deref(), rows).collect();
            return Ok(vec![Arc::new(values)]);
        }
    };
    let place = source.place(group).with_column(shard.footer.schema().field(index).name());
    let bytes = root_bytes(shard, shard.footer.metadata().row_group(group.ordinal), index);
    let mut batch = (u64::from(group.rows) * ARRAY_BYTES / bytes.max(ARRAY_BYTES)).max(1) as usize;
    let expected = selection.as_ref().map_or(group.rows as usize, RowSelection::row_count);
    loop {
        let outcome = guarded(&place, || {
            let file = store::open(&shard.path)?;
            let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, shard.footer.clone())
                .with_row_groups(vec![group.ordinal])
                .with_projection(ProjectionMask::roots(shard.footer.parquet_schema(), [index]))
                .with_batch_size(batch);
            if let Some(selection) = selection.clone() {
                builder = builder.with_row_selection(selection);
            }
            let reader = builder.build().map_err(|e| Error::damaged(place.clone(), e))?;
            let arrays = reader
                .map(|b| b.map(|b| Arc::clone(b.column(0))))
                .collect::<Result<Vec<_>, _>>()
                .map_err(|e| Error::damaged(place.clone(), e))?;
            Ok(arrays)
        });
        match outcome {
            // A dictionary may expand one page into more than 32-bit offsets can address: take fewer rows at a time.
            Err(e) if batch > 1 && e.to_string().contains("overflow") => batch /= 2,
            Err(e) => return Err(e),
            Ok(arrays) if arrays.iter().map(|a| a.len()).sum::<usize>() == expected => return Ok(arrays),
            Ok(_) => return Err(Error::damaged(place, "it holds fewer rows than its footer says")),
        }
    }
}

/// The column's values in one row group as a single array; for key columns.
pub fn decode(source: &Source, group: &RowGroup, column: InputColumn) -> Result<ArrayRef> {
    let arrays = decode_rows(source, group, column, None)?;
    match arrays.as_slice() {
        [one] => Ok(Arc::clone(one)),
        [] => {
            let field = source.fields().find(|(c, _)| *c == column).map(|(_, f)| f.data_type().clone());
            Ok(new_empty_array(&field.unwrap_or(DataType::Null)))
        }
        many => {
            // Dictionaries of several pages may not fit the key type of one.
            let plain: Vec<ArrayRef> = many
                .iter()
                .map(flatten)
                .collect::<Result<_, _>>()
                .map_err(|e| Error::damaged(source.place(group), e))?;
            let parts: Vec<_> = plain.iter().map(|a| a.as_ref()).collect();
            concat(&parts).map_err(|e| Error::damaged(source.place(group), e))
        }
    }
}

fn flatten(array: &ArrayRef) -> Result<ArrayRef, arrow::error::ArrowError> {
    match array.data_type() {
        DataType::Dictionary(_, value) => cast(array, value),
        _ => Ok(Arc::clone(array)),
    }
}
