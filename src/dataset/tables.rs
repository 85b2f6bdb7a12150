//! The tables beside the shards: statistics per batch, items, known positives.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float32Array, Float64Array, Int32Array, Int64Array, ListArray, RecordBatch,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use super::encode::{ColumnSource, Encoder};
use super::encoding::{LeafEncoding, set_encoding};
use super::manifest::TableRecord;
use crate::error::{Error, Result};
use crate::keys::from_ordered_bits;
use crate::schema;
use crate::stats::BatchStats;
use crate::store::{self, DigestWriter};

/// Decoded bytes after which a row group ends.
const ROW_GROUP_BYTES: usize = 32 << 20;

/// Writes `stats.parquet`; `pools` are the ordinals of the batches' pools, `time` is the time column's type. `dates_as_days`: as in
/// [`super::ColumnHints`].
///
/// # Errors
/// A file that can't be written.
pub fn write_stats(
    root: &Path,
    (batches, pools): (&[BatchStats], &[u32]),
    time: Option<&DataType>,
    dates_as_days: bool,
) -> Result<TableRecord> {
    let time_type = time.cloned().unwrap_or(DataType::Int64);
    let long =
        |f: &dyn Fn(&BatchStats) -> Option<i64>| Arc::new(batches.iter().map(f).collect::<Int64Array>()) as ArrayRef;
    let times = |f: &dyn Fn((i64, i64)) -> i64| -> Result<ArrayRef> {
        let raw = long(&|b| b.time.map(f));
        let raw = match &time_type {
            DataType::Date32 => cast(&raw, &DataType::Int32),
            t if t.is_floating() => {
                let bits: &Int64Array = raw.as_primitive();
                Ok(Arc::new(bits.iter().map(|bits| bits.map(from_ordered_bits)).collect::<Float64Array>()) as ArrayRef)
            }
            _ => Ok(raw),
        };
        raw.and_then(|raw| cast(&raw, &time_type))
            .map_err(|e| Error::output(root.join(schema::STATS), e.to_string(), "map another time column"))
    };
    let batch = Arc::new(batches.iter().map(|b| b.batch as i32).collect::<Int32Array>()) as ArrayRef;
    let columns: Vec<(&str, bool, ArrayRef)> = vec![
        (schema::BATCH, false, batch),
        ("rows", false, long(&|b| Some(b.rows.into()))),
        ("users", false, long(&|b| Some(b.users.into()))),
        ("max_rows_per_user", false, long(&|b| Some(b.max_rows_per_user.into()))),
        ("same_user_pairs", false, long(&|b| Some(b.same_user_pairs as i64))),
        ("excluded_pairs", false, long(&|b| Some(b.excluded_pairs as i64))),
        ("matched_rows", true, long(&|b| b.matched_rows.map(i64::from))),
        ("min_valid_negatives", false, long(&|b| Some(b.min_valid_negatives.into()))),
        ("requests", true, long(&|b| b.requests.map(i64::from))),
        ("copies", false, long(&|b| Some(b.copies.into()))),
        ("time_min", true, times(&|t| t.0)?),
        ("time_max", true, times(&|t| t.1)?),
        ("pool", false, Arc::new(pools.iter().map(|pool| *pool as i32).collect::<Int32Array>())),
    ];
    let fields: Vec<Field> =
        columns.iter().map(|(name, null, array)| Field::new(*name, array.data_type().clone(), *null)).collect();
    let schema = Arc::new(Schema::new(fields));
    let batch = record_batch(root, &schema, columns.into_iter().map(|(.., array)| array).collect())?;
    write(root, schema::STATS, schema, dates_as_days, std::iter::once(Ok(batch)))
}

/// What is counted of one item.
#[derive(Debug, Clone, Copy)]
pub struct ItemRow {
    /// Low 64 bits of its token.
    pub token: i64,
    pub rows_before_dedup: u32,
    pub rows: u32,
    pub positives: u32,
    pub log_q: f32,
}

/// Writes `items.parquet`: pieces of items with their values (of column `field`), all ordered by token.
///
/// # Errors
/// What the pieces say, or a file that can't be written.
pub fn write_items(
    root: &Path,
    field: &FieldRef,
    dates_as_days: bool,
    pieces: impl Iterator<Item = Result<(Vec<ItemRow>, Vec<ArrayRef>)>>,
) -> Result<TableRecord> {
    let schema = Arc::new(Schema::new(vec![
        Arc::new(Field::new(schema::ITEM, DataType::Int64, false)),
        Arc::clone(field),
        Arc::new(Field::new("rows_before_dedup", DataType::Int64, false)),
        Arc::new(Field::new("rows", DataType::Int64, false)),
        Arc::new(Field::new("positives", DataType::Int64, false)),
        Arc::new(Field::new("log_q", DataType::Float32, false)),
    ]));
    let batch = |items: &[ItemRow], values: ArrayRef| {
        let long = |f: &dyn Fn(&ItemRow) -> i64| Arc::new(items.iter().map(f).collect::<Int64Array>()) as ArrayRef;
        let columns = vec![
            long(&|i| i.token),
            values,
            long(&|i| i.rows_before_dedup.into()),
            long(&|i| i.rows.into()),
            long(&|i| i.positives.into()),
            Arc::new(items.iter().map(|i| i.log_q).collect::<Float32Array>()),
        ];
        record_batch(root, &schema, columns)
    };
    let batches = pieces.flat_map(|piece| match piece {
        Ok((items, values)) => {
            let mut rest = items.as_slice();
            let mut batches = Vec::with_capacity(values.len());
            for values in values {
                let (own, others) = rest.split_at(values.len());
                batches.push(batch(own, values));
                rest = others;
            }
            batches
        }
        Err(e) => vec![Err(e)],
    });
    write(root, schema::ITEMS, Arc::clone(&schema), dates_as_days, batches)
}

/// Writes `positives.parquet`: for each identity by token, its positive items' tokens, ascending.
///
/// # Errors
/// A file that can't be written.
pub fn write_positives<'a>(root: &Path, users: impl Iterator<Item = (i64, Vec<i64>)> + 'a) -> Result<TableRecord> {
    let element = Arc::new(Field::new("element", DataType::Int64, false));
    let schema = Arc::new(Schema::new(vec![
        Field::new(schema::USER, DataType::Int64, false),
        Field::new("items", DataType::List(Arc::clone(&element)), false),
    ]));
    let mut users = users.peekable();
    let list_schema = Arc::clone(&schema);
    let batches = std::iter::from_fn(move || {
        users.peek()?;
        let (mut tokens, mut items, mut ends) = (Vec::new(), Vec::new(), vec![0i32]);
        while tokens.len() < 65_536 && items.len() < 1 << 24 {
            let Some((token, own)) = users.next() else { break };
            tokens.push(token);
            items.extend(own);
            ends.push(items.len() as i32);
        }
        let offsets = OffsetBuffer::new(ends.into());
        let lists = ListArray::try_new(Arc::clone(&element), offsets, Arc::new(Int64Array::from(items)), None);
        let columns =
            lists.map(|lists| vec![Arc::new(Int64Array::from(tokens)) as ArrayRef, Arc::new(lists) as ArrayRef]);
        Some(
            columns
                .map_err(|e| e.to_string())
                .and_then(|columns| RecordBatch::try_new(Arc::clone(&list_schema), columns).map_err(|e| e.to_string())),
        )
    });
    let path = root.join(schema::POSITIVES);
    let batches = batches.map(|b| b.map_err(|e| Error::output(&path, e, "see the message")));
    write(root, schema::POSITIVES, schema, false, batches)
}

fn record_batch(root: &Path, schema: &SchemaRef, columns: Vec<ArrayRef>) -> Result<RecordBatch> {
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(|e| Error::output(root, e.to_string(), "see the message"))
}

/// Writes a table a row group at a time, its columns in parallel.
fn write(
    root: &Path,
    name: &str,
    schema: SchemaRef,
    dates_as_days: bool,
    batches: impl Iterator<Item = Result<RecordBatch>>,
) -> Result<TableRecord> {
    let path = root.join(name);
    let fail = |e: ParquetError| Error::output(&path, e.to_string(), "free some space and run again");
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_coerce_types(dates_as_days)
        .set_key_value_metadata(Some(vec![KeyValue::new("batchwright.format".into(), schema::FORMAT.to_owned())]));
    for token in [schema::ITEM, schema::USER] {
        // All different, and ascending.
        properties = set_encoding(properties, ColumnPath::from(token), LeafEncoding::Delta);
    }
    let file = DigestWriter::new(store::create(&path)?);
    let options = ArrowWriterOptions::new().with_properties(properties.build());
    let (mut file, factory) = ArrowWriter::try_new_with_options(file, Arc::clone(&schema), options)
        .and_then(ArrowWriter::into_serialized_writer)
        .map_err(fail)?;
    let (leaves, properties) = (file.schema_descr().columns().to_vec(), Arc::clone(file.properties()));
    let encoder = Encoder { path: &path, fields: schema.fields(), leaves: &leaves, properties: &properties };
    let mut append = |row_group: usize, held: &[RecordBatch]| -> Result<()> {
        let writers = factory.create_column_writers(row_group).map_err(fail)?;
        let column = |k: usize| Box::new(held.iter().map(move |b| Ok(Arc::clone(b.column(k))))) as ColumnSource<'_>;
        let chunks = encoder.encode(writers, (0..schema.fields().len()).map(column).collect())?;
        let mut group = file.next_row_group().map_err(fail)?;
        chunks.into_iter().try_for_each(|chunk| chunk.append(&mut group)).map_err(fail)?;
        group.close().map(|_| ()).map_err(fail)
    };
    let (mut rows, mut row_groups) = (0, 0);
    let (mut held, mut held_bytes): (Vec<RecordBatch>, usize) = (Vec::new(), 0);
    for batch in batches {
        let batch = batch?;
        rows += batch.num_rows() as u64;
        held_bytes += batch.get_array_memory_size();
        held.push(batch);
        if held_bytes >= ROW_GROUP_BYTES {
            append(row_groups, &held)?;
            row_groups += 1;
            held.clear();
            held_bytes = 0;
        }
    }
    if !held.is_empty() {
        append(row_groups, &held)?;
    }
    let file = file.into_inner().map_err(fail)?;
    let (bytes, xxh3_128) = file.finish().map_err(|e| Error::io("write", &path, e))?;
    Ok(TableRecord { path: name.to_owned(), bytes, rows, xxh3_128 })
}
