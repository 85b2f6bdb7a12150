//! The orders of ordered dictionaries, as the input's dictionary pages hold them.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, new_empty_array};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use parquet::basic::Type;
use parquet::column::page::{Page, PageReader};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::serialized_reader::SerializedPageReader;

use super::guard::guarded;
use super::one_schema::Names;
use super::order::{LOST_ORDER, Order, PLACE};
use super::table::{InputColumn, RowGroup, Source};
use crate::error::{Error, Place, Result};
use crate::parallel::in_parallel;
use crate::store;

/// The schema, in which dictionaries of other values than texts are not ordered: Parquet keeps no order of them, so that what
/// a reader finds is that of first appearance. With what to say of them.
pub fn without_lost_orders(schema: SchemaRef) -> (SchemaRef, Vec<String>) {
    use DataType::{Binary, BinaryView, LargeBinary, LargeUtf8, Utf8, Utf8View};
    let is_lost = |field: &FieldRef| match field.data_type() {
        DataType::Dictionary(_, value) => {
            field.dict_is_ordered() == Some(true)
                && !matches!(**value, Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView)
        }
        _ => false,
    };
    let lost: Vec<String> = schema.fields().iter().filter(|field| is_lost(field)).map(|f| f.name().clone()).collect();
    if lost.is_empty() {
        return (schema, lost);
    }
    let field = |field: &FieldRef| match is_lost(field) {
        true => Arc::new(Field::clone(field).with_dict_is_ordered(false)),
        false => Arc::clone(field),
    };
    let fields: Fields = schema.fields().iter().map(field).collect();
    let notice = |name: String| {
        format!(
            "column `{name}` is an ordered dictionary of other values than texts, whose order its files do not hold: it is carried without one"
        )
    };
    let schema = Schema::new_with_metadata(fields, schema.metadata().clone());
    (Arc::new(schema), lost.into_iter().map(notice).collect())
}

/// Refuses ordered dictionaries in lists and structs that are read: nothing would keep their order.
///
/// # Errors
/// The first one, with its file.
pub fn check_orders(paths: &[&Path], schemas: &[(SchemaRef, bool)], names: &Names<'_>) -> Result<()> {
    let unread = names.unread();
    for (path, (schema, _)) in paths.iter().zip(schemas) {
        let lost = |field: &&FieldRef| holds_order(field.data_type()) && !unread.contains(field.name().as_str());
        if let Some(field) = schema.fields().iter().find(lost) {
            let problem = "an ordered dictionary lies in a list or a struct, where its order can't be kept";
            return Err(Error::input(Place::file(*path).with_column(field.name()), problem, LOST_ORDER));
        }
    }
    Ok(())
}

/// Reads the orders of all ordered dictionaries that are carried, or are items.
///
/// # Errors
/// Orders that contradict one another, or that a file does not hold.
pub fn orders(source: &Source) -> Result<HashMap<usize, Order>> {
    let mut orders = HashMap::new();
    for (k, field) in source.schema.fields().iter().enumerate() {
        if field.dict_is_ordered() == Some(true) && source.is_shown(InputColumn::File(k)) {
            orders.insert(k, order_of(source, k, field)?);
        }
    }
    Ok(orders)
}

fn order_of(source: &Source, column: usize, field: &Field) -> Result<Order> {
    let place = |group: &RowGroup| source.place(group).with_column(field.name());
    let read = |group: &RowGroup| {
        guarded(&place(group), || match page(source, group, column).map_err(|e| Error::damaged(place(group), e))? {
            Some(values) => Ok(values),
            None => Err(Error::input(
                place(group),
                "this ordered dictionary was written without its dictionary, so that its order is lost",
                LOST_ORDER,
            )),
        })
    };
    let all = in_parallel(&source.row_groups, |_| 0, read)?;
    let mut known: Vec<Vec<u8>> = Vec::new();
    for (group, values) in source.row_groups.iter().zip(all) {
        if is_within(&known, &values) {
            known = values;
        } else if !is_within(&values, &known) {
            return Err(Error::input(
                place(group),
                "the values of this ordered dictionary are not in the order of those before",
                "write it with one order of all values, or as text",
            ));
        }
    }
    Order::new(known, field.data_type()).map_err(|e| Error::damaged(Place::column(field.name()), e))
}

/// The values of a row group's dictionary page; none where all rows are null, `None` where it has no such page.
fn page(source: &Source, group: &RowGroup, column: usize) -> ParquetResult<Option<Vec<Vec<u8>>>> {
    let shard = &source.shards[group.shard];
    let rows = shard.footer.metadata().row_group(group.ordinal);
    let leaf = shard.root(column).and_then(|root| shard.leaves(root).next());
    let Some(chunk) = leaf.map(|leaf| rows.column(leaf)).filter(|chunk| chunk.column_type() == Type::BYTE_ARRAY) else {
        // The shard lacks the column, or has it of nulls alone.
        return Ok(Some(Vec::new()));
    };
    let file = Arc::new(store::open(&shard.path).map_err(|e| ParquetError::General(e.to_string()))?);
    let mut pages = SerializedPageReader::new(file, chunk, group.rows as usize, None)?;
    let Some(Page::DictionaryPage { buf, num_values, .. }) = pages.get_next_page()? else {
        let nulls = chunk.statistics().and_then(|statistics| statistics.null_count_opt());
        return Ok((nulls == Some(u64::from(group.rows))).then(Vec::new));
    };
    let (mut rest, mut values) = (&buf[..], Vec::new());
    for _ in 0..num_values {
        let cut = || ParquetError::General("a dictionary page is cut".into());
        let (length, behind) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
        let (value, behind) = behind.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(cut)?;
        values.push(value.to_vec());
        rest = behind;
    }
    Ok(Some(values))
}

/// Whether all of `some` come in `all`, in their order.
fn is_within(some: &[Vec<u8>], all: &[Vec<u8>]) -> bool {
    let mut rest = all.iter();
    some.iter().all(|value| rest.any(|other| other == value))
}

/// Whether an ordered dictionary lies below the top.
fn holds_order(data_type: &DataType) -> bool {
    use DataType::*;
    let own = |field: &FieldRef| field.dict_is_ordered() == Some(true) || holds_order(field.data_type());
    match data_type {
        List(f) | LargeList(f) | FixedSizeList(f, _) | ListView(f) | LargeListView(f) | Map(f, _) => own(f),
        Struct(fields) => fields.iter().any(own),
        _ => false,
    }
}

/// Whether a column travels as places in its order, and those.
///
/// # Errors
/// A value that is not in the order.
pub fn in_order(source: &Source, column: InputColumn, array: &ArrayRef, place: &Place) -> Option<Result<ArrayRef>> {
    let order = source.order(column)?;
    Some(if array.is_empty() { Ok(new_empty_array(&PLACE)) } else { order.places(array, place) })
}
