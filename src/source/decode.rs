//! One column of one row group as Arrow arrays.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray, new_empty_array};
use arrow::compute::{cast, concat};
use arrow::datatypes::DataType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::guard::{guarded, unguarded};
use super::int96;
use super::lists::Lists;
use super::preflight::{InputColumn, RowGroup, Source};
use super::stored::root_plain_bytes;
use crate::error::{Error, Result};
use crate::store;

/// For arrays that are looked at as they come: allocators reuse memory of this size instead of having the system zero fresh
/// pages, which took a fifth of all time with arrays of 50 MB, and it stays in the caches: 8 MiB took 4 % more time.
pub const SMALL_ARRAY: u64 = 2 << 20;

/// Hands the column's values in one row group to `each`, in order, as arrays of the column's type with the ordinal of their
/// first row in the group. Decoded values of an array stay below `array_bytes`, if the footer tells the truth.
pub fn decode_each(
    source: &Source,
    group: &RowGroup,
    column: InputColumn,
    array_bytes: u64,
    each: &mut dyn FnMut(u32, ArrayRef) -> Result<()>,
) -> Result<()> {
    let shard = &source.shards[group.shard];
    let index = match column {
        InputColumn::File(index) => index,
        InputColumn::Hive(index) => {
            let values: StringArray = std::iter::repeat_n(shard.hive[index].as_deref(), group.rows as usize).collect();
            return each(0, Arc::new(values));
        }
    };
    let place = source.place(group).with_column(shard.footer.schema().field(index).name());
    let bytes = root_plain_bytes(shard, shard.footer.metadata().row_group(group.ordinal), index);
    let schema = shard.footer.parquet_schema();
    let rows = shard.footer.metadata().row_group(group.ordinal);
    let wide = int96::leaves(schema, index);
    let fits = wide.is_empty()
        || guarded(&place, || {
            let damaged = |e| Error::damaged(place.clone(), e);
            int96::all_fit(store::open(&shard.path)?, rows, schema, &wide).map_err(damaged)
        })?;
    if !fits {
        return Err(Error::input(
            place,
            "a timestamp of 12 bytes lies outside the years 1677 to 2262, and would be wrapped",
            "write it as a 64-bit timestamp in microseconds, or leave it out with input.drop",
        ));
    }
    let mut lists = Lists::of(shard.footer.schema().field(index).data_type(), schema, index);
    let mut batch = (u64::from(group.rows) * array_bytes / bytes.max(array_bytes)).max(1) as usize;
    let mut done = 0u32;
    loop {
        // A dictionary may expand one page into more than 32-bit offsets can address; the reader has no type for that, only
        // words.
        let mut overflows = false;
        let mut damaged = |e: &dyn std::fmt::Display| {
            overflows |= e.to_string().contains("overflow");
            Error::damaged(place.clone(), e)
        };
        let outcome = guarded(&place, || {
            if let Some(lists) = lists.take() {
                let each = &mut |array: ArrayRef| {
                    let number = array.len() as u32;
                    unguarded(|| each(done, array))?;
                    done += number;
                    Ok(())
                };
                lists.decode(store::open(&shard.path)?, rows, batch, each).map_err(|e| damaged(&e))??;
                if done >= group.rows {
                    return Ok(());
                }
            }
            let file = store::open(&shard.path)?;
            let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, shard.footer.clone())
                .with_row_groups(vec![group.ordinal])
                .with_projection(ProjectionMask::roots(schema, [index]))
                .with_batch_size(batch)
                .with_offset(done as usize)
                .build()
                .map_err(|e| damaged(&e))?;
            for rows in reader {
                let rows = rows.map_err(|e| damaged(&e))?;
                unguarded(|| each(done, Arc::clone(rows.column(0))))?;
                done += rows.num_rows() as u32;
            }
            Ok(())
        });
        match outcome {
            // Fewer rows at a time may do.
            Err(_) if overflows && batch > 1 => batch /= 2,
            Err(e) => return Err(e),
            Ok(()) if done == group.rows => return Ok(()),
            Ok(()) => return Err(Error::damaged(place, "it holds fewer rows than its footer says")),
        }
    }
}

/// The column's values in one row group as a single array; for key columns.
pub fn decode(source: &Source, group: &RowGroup, column: InputColumn) -> Result<ArrayRef> {
    let mut arrays = Vec::new();
    decode_each(source, group, column, SMALL_ARRAY, &mut |_, array| {
        arrays.push(array);
        Ok(())
    })?;
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
