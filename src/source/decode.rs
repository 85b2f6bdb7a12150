//! One column of one row group as Arrow arrays.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewBuilder, StringArray, StringViewBuilder, new_empty_array, new_null_array,
};
use arrow::compute::{cast, concat};
use arrow::datatypes::DataType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::RowGroupMetaData;
use parquet::schema::types::SchemaDescriptor;

use super::convert::{Converted, convert};
use super::guard::{guarded, unguarded};
use super::lists::Lists;
use super::orders::in_order;
use super::paths::at_path;

use super::stored::{leaf_types, plain_bytes_of};
use super::table::{InputColumn, RowGroup, Source};
use super::{int96, interval};
use crate::error::{Error, Place, Result};
use crate::store;

/// For arrays that are looked at as they come: allocators reuse memory of this size instead of having the system zero fresh
/// pages, which took a fifth of all time with arrays of 50 MB, and it stays in the caches: 8 MiB took 4 % more time.
pub const SMALL_ARRAY: u64 = 2 << 20;

/// Rows of an array of nulls, or of one text.
const ALIKE_ROWS: u32 = 1 << 16;

/// What takes decoded arrays, with the ordinal of their first row in the row group.
type Each<'a> = &'a mut dyn FnMut(u32, ArrayRef) -> Result<()>;

/// Hands the column's values in one row group to `each`, in order, as arrays of type `to`, which the source made of the
/// shards' types; ordered dictionaries as places in their order. Decoded values of an array stay below `array_bytes`, if the
/// footer tells the truth. `unfit` hears of rows of the group whose values that type does not hold exactly.
///
/// # Errors
/// A file that is damaged, and what `unfit` and `each` say.
pub fn decode_each(
    source: &Source,
    group: &RowGroup,
    column: InputColumn,
    to: &DataType,
    array_bytes: u64,
    unfit: &mut dyn FnMut(&[u32]) -> Result<()>,
    each: Each<'_>,
) -> Result<()> {
    let place = source.place(group).with_column(source.field(column).name());
    decode_stored(source, group, column, array_bytes, &mut |first, array| {
        if let Some(places) = in_order(source, column, &array, &place) {
            return each(first, places?);
        }
        if array.data_type() == to {
            return each(first, array);
        }
        converted(first, &array, to, &place, unfit, each)
    })
}

/// Converts an array; in halves, where it takes more than 32-bit offsets can address.
fn converted(
    first: u32,
    array: &ArrayRef,
    to: &DataType,
    place: &Place,
    unfit: &mut dyn FnMut(&[u32]) -> Result<()>,
    each: Each<'_>,
) -> Result<()> {
    match convert(array, to) {
        Ok(Converted { array, unfit: rows }) => {
            if !rows.is_empty() {
                let rows: Vec<u32> = rows.into_iter().map(|row| first + row as u32).collect();
                unfit(&rows)?;
            }
            each(first, array)
        }
        Err(_) if array.len() > 1 => {
            let half = array.len() / 2;
            converted(first, &array.slice(0, half), to, place, unfit, each)?;
            converted(first + half as u32, &array.slice(half, array.len() - half), to, place, unfit, each)
        }
        Err(e) => Err(Error::damaged(place.clone(), e)),
    }
}

/// As [`decode_each`], in the type that the shard stores; of a column that it lacks, nulls of the input's type.
///
/// # Errors
/// A damaged file, or a value that the type can't hold.
pub fn decode_stored(
    source: &Source,
    group: &RowGroup,
    column: InputColumn,
    array_bytes: u64,
    each: Each<'_>,
) -> Result<()> {
    let shard = &source.shards[group.shard];
    let (root, path): (usize, &[String]) = match column {
        InputColumn::File(k) => (k, &[]),
        InputColumn::Nested(k) => (source.nested[k].root, &source.nested[k].path),
        InputColumn::Hive(index) => {
            return alike(group, each, |rows| {
                Arc::new(std::iter::repeat_n(shard.hive[index].as_deref(), rows).collect::<StringArray>())
            });
        }
    };
    let wanted = source.field(column);
    let Some(root) = shard.root(root) else {
        return alike(group, each, |rows| new_null_array(wanted.data_type(), rows));
    };
    let place = source.place(group).with_column(wanted.name());
    let rows = shard.footer.metadata().row_group(group.ordinal);
    let schema = shard.footer.parquet_schema();
    // A struct is read for the leaves of the field alone.
    let is_wanted = |leaf: &usize| {
        let parts = schema.column(*leaf).path().parts().to_vec();
        parts.get(1..).is_some_and(|below| below.starts_with(path))
    };
    let leaves: Vec<usize> = shard.leaves(root).filter(|leaf| path.is_empty() || is_wanted(leaf)).collect();
    if leaves.is_empty() {
        return alike(group, each, |rows| new_null_array(wanted.data_type(), rows));
    }
    let own = shard.footer.schema().field(root);
    let mut types = Vec::new();
    leaf_types(own.data_type(), &mut types);
    let typed: Vec<(usize, DataType)> =
        shard.leaves(root).zip(types).filter(|(leaf, _)| leaves.binary_search(leaf).is_ok()).collect();
    guarded(&place, || check_values(&shard.path, (rows, schema), &typed, &place))?;
    let bytes = plain_bytes_of(rows, leaves.iter().copied());
    let mut lists = match leaves.as_slice() {
        [leaf] if path.is_empty() => Lists::of(own.data_type(), schema, *leaf),
        _ => None,
    };
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
            let alone = shard.alone(root, rows).map_err(|e| damaged(&e))?;
            let first = shard.leaves(root).start;
            let mask = ProjectionMask::leaves(alone.parquet_schema(), leaves.iter().map(|leaf| leaf - first));
            let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, alone)
                .with_projection(mask)
                .with_batch_size(batch)
                .with_offset(done as usize)
                .build()
                .map_err(|e| damaged(&e))?;
            for rows in reader {
                let rows = rows.map_err(|e| damaged(&e))?;
                let values = at_path(rows.column(0), path).map_err(|e| damaged(&e))?;
                let values = values.unwrap_or_else(|| new_null_array(wanted.data_type(), rows.num_rows()));
                unguarded(|| each(done, values))?;
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

/// Refuses values that the reader would change, of these leaves of a column.
fn check_values(
    path: &Path,
    (rows, schema): (&RowGroupMetaData, &SchemaDescriptor),
    leaves: &[(usize, DataType)],
    place: &Place,
) -> Result<()> {
    let damaged = |e| Error::damaged(place.clone(), e);
    let wide = int96::among(schema, leaves);
    if !wide.is_empty() && !int96::all_fit(store::open(path)?, rows, schema, &wide).map_err(damaged)? {
        return Err(Error::input(
            place.clone(),
            "a timestamp of 12 bytes lies outside the years 1677 to 2262, and would be wrapped",
            "write it as a 64-bit timestamp in microseconds, or leave it out with input.drop",
        ));
    }
    let spans = interval::among(schema, leaves);
    if !spans.is_empty() && !interval::all_fit(store::open(path)?, rows, schema, &spans).map_err(damaged)? {
        return Err(Error::input(
            place.clone(),
            "an interval has months beside days or milliseconds, and Arrow's intervals would lose one of them",
            "write it as months, days and milliseconds in columns of their own, or leave it out with input.drop",
        ));
    }
    Ok(())
}

/// Values that are all the same.
fn alike(group: &RowGroup, each: Each<'_>, make: impl Fn(usize) -> ArrayRef) -> Result<()> {
    for first in (0..group.rows).step_by(ALIKE_ROWS as usize) {
        each(first, make((group.rows - first).min(ALIKE_ROWS) as usize))?;
    }
    Ok(())
}

/// Texts of a row group that take more are kept once each, however often they come.
const LARGE_TEXTS: u64 = 128 << 20;

/// The column's values in one row group as a single array, in the type that the shard stores, texts as views; for key columns.
///
/// # Errors
/// A file that is damaged.
pub fn decode(source: &Source, group: &RowGroup, column: InputColumn) -> Result<ArrayRef> {
    let mut arrays = Vec::new();
    let (mut texts, mut bytes) = (StringViewBuilder::new(), BinaryViewBuilder::new());
    let is_large = source.plain_bytes_in(group, column) > LARGE_TEXTS;
    if is_large {
        (texts, bytes) = (texts.with_deduplicate_strings(), bytes.with_deduplicate_strings());
    }
    let fail = |e| Error::damaged(source.place(group).with_column(source.field(column).name()), e);
    decode_stored(source, group, column, SMALL_ARRAY, &mut |_, array| {
        match array.data_type() {
            DataType::Utf8 if is_large => array.as_string::<i32>().iter().for_each(|v| texts.append_option(v)),
            DataType::LargeUtf8 if is_large => array.as_string::<i64>().iter().for_each(|v| texts.append_option(v)),
            DataType::Utf8View if is_large => array.as_string_view().iter().for_each(|v| texts.append_option(v)),
            DataType::Binary if is_large => array.as_binary::<i32>().iter().for_each(|v| bytes.append_option(v)),
            DataType::LargeBinary if is_large => array.as_binary::<i64>().iter().for_each(|v| bytes.append_option(v)),
            _ => arrays.push(array),
        }
        Ok(())
    })?;
    let (texts, bytes) = (texts.finish(), bytes.finish());
    if !texts.is_empty() {
        return Ok(Arc::new(texts));
    }
    if !bytes.is_empty() {
        return Ok(Arc::new(bytes));
    }
    match arrays.as_slice() {
        [one] => Ok(Arc::clone(one)),
        [] => Ok(new_empty_array(source.field(column).data_type())),
        many => {
            let plain: Vec<ArrayRef> = many.iter().map(unbounded).collect::<Result<_, _>>().map_err(fail)?;
            let parts: Vec<_> = plain.iter().map(|a| a.as_ref()).collect();
            concat(&parts).map_err(fail)
        }
    }
}

/// In a form of which any number fits one array: dictionaries of several pages may not fit the key type of one, nor texts
/// offsets of 32 bits. Views share the texts.
fn unbounded(array: &ArrayRef) -> Result<ArrayRef, arrow::error::ArrowError> {
    match array.data_type() {
        // Texts are not copied one by one.
        DataType::Dictionary(_, value) => match **value {
            DataType::Utf8 | DataType::LargeUtf8 => cast(array, &DataType::Utf8View),
            DataType::Binary | DataType::LargeBinary => cast(array, &DataType::BinaryView),
            _ => cast(array, value),
        },
        DataType::Utf8 | DataType::LargeUtf8 => cast(array, &DataType::Utf8View),
        DataType::Binary | DataType::LargeBinary => cast(array, &DataType::BinaryView),
        _ => Ok(Arc::clone(array)),
    }
}
