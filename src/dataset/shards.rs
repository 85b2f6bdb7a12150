//! Shards: row groups encoded side by side, appended in order.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use arrow::datatypes::{FieldRef, SchemaRef};
use parquet::arrow::arrow_writer::{ArrowRowGroupWriterFactory, ArrowWriter, ArrowWriterOptions};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnDescPtr;

use super::cuts::{Cuts, ShardCut};
use super::encode::{Chunk, ColumnSource, Encoder};
use super::manifest::ShardRecord;
use crate::error::{Error, Result};
use crate::parallel::in_parallel;
use crate::pipeline::Pipeline;
use crate::schema;
use crate::store::{self, DigestWriter};

/// The columns of one row group, for each rank.
pub type RowGroupColumns<'a> = Vec<Vec<ColumnSource<'a>>>;

/// What is the same for all shards.
pub struct ShardWriter<'a> {
    pub pipeline: &'a Pipeline,
    /// The folder in which the dataset is built.
    pub root: &'a Path,
    pub schema: SchemaRef,
    /// How a shard is encoded: decided on the batches of its own first row group, once their payload is there.
    pub properties: &'a dyn Fn(&Range<usize>) -> Result<WriterProperties>,
    pub run_id: &'a str,
    pub cuts: &'a Cuts,
    /// Those that are written.
    pub shards: Range<usize>,
    /// Row groups that are encoded at the same time.
    pub side_by_side: usize,
}

/// Writes shards of all ranks. `columns(batches)` gives the columns of the row group that holds these batches; row groups
/// are worked out in parallel, a few at a time, and `prepare(batches)` is called before each few. `done(rows)` hears of progress.
///
/// # Errors
/// What `prepare` or `columns` say, or a file that can't be written.
pub fn write_shards<'a>(
    writer: &ShardWriter<'_>,
    prepare: impl Fn(Range<usize>) -> Result<()>,
    columns: impl Fn(Range<usize>) -> Result<RowGroupColumns<'a>> + Sync,
    done: impl Fn(usize) + Sync,
) -> Result<Vec<ShardRecord>> {
    // While a row group is appended, the next are encoded; without a buffer, they never pile up.
    let (steps, taken) = sync_channel(0);
    std::thread::scope(|scope| {
        let appending = scope.spawn(|| append_all(taken, &done));
        let encoded = encode_all(writer, prepare, columns, steps);
        let records = appending.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        encoded.map(|()| records)
    })
}

/// Sends the steps of all shards. Stops where nobody takes them any more: writing has failed, and says why.
fn encode_all<'a>(
    writer: &ShardWriter<'_>,
    prepare: impl Fn(Range<usize>) -> Result<()>,
    columns: impl Fn(Range<usize>) -> Result<RowGroupColumns<'a>> + Sync,
    steps: SyncSender<Step>,
) -> Result<()> {
    let together = writer.side_by_side.max(1);
    for part in writer.shards.clone() {
        let cut = &writer.cuts.shards[part];
        let row_groups: Vec<(usize, &Range<usize>)> = cut.row_groups.iter().enumerate().collect();
        let bring = |few: &[(usize, &Range<usize>)]| match (few.first(), few.last()) {
            (Some((_, head)), Some((_, tail))) => prepare(head.start..tail.end),
            _ => Ok(()),
        };
        bring(&row_groups[..row_groups.len().min(together)])?;
        let properties = row_groups.first().map(|(_, first)| (writer.properties)(first));
        let properties = properties.unwrap_or_else(|| Ok(WriterProperties::default()))?;
        let ranks = (0..writer.pipeline.ranks).map(|rank| create(writer, part, rank, cut, &properties));
        let (encoders, files): (Vec<RowGroupEncoder>, Vec<ShardFile>) =
            ranks.collect::<Result<Vec<_>>>()?.into_iter().unzip();
        if steps.send(Step::Open(files)).is_err() {
            return Ok(());
        }
        for side_by_side in row_groups.chunks(together) {
            bring(side_by_side)?;
            let encoded = in_parallel(
                side_by_side,
                |_| 0,
                |&(row_group, batches)| {
                    let ranks = encoders.iter().zip(columns(batches.clone())?);
                    ranks.map(|(encoder, columns)| encoder.encode(row_group, columns)).collect::<Result<Vec<_>>>()
                },
            )?;
            for ((_, batches), ranks) in side_by_side.iter().zip(encoded) {
                if steps.send(Step::Append { ranks, rows: batches.len() * writer.pipeline.batch_size }).is_err() {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// What is handed to the thread that writes.
enum Step {
    /// The next shard, of each rank; the one before is complete.
    Open(Vec<ShardFile>),
    /// A row group, of each rank.
    Append { ranks: Vec<Vec<Chunk>>, rows: usize },
}

/// Takes the steps one by one; gives the records by rank, then in writing order.
fn append_all(steps: Receiver<Step>, done: impl Fn(usize)) -> Result<Vec<ShardRecord>> {
    let mut records = Vec::new();
    let mut open: Vec<ShardFile> = Vec::new();
    for step in steps {
        match step {
            Step::Open(files) => {
                for shard in std::mem::replace(&mut open, files) {
                    records.push(shard.finish()?);
                }
            }
            Step::Append { ranks, rows } => {
                for (shard, chunks) in open.iter_mut().zip(ranks) {
                    shard.append(chunks)?;
                }
                done(rows);
            }
        }
    }
    for shard in open {
        records.push(shard.finish()?);
    }
    records.sort_by_key(|record| record.rank);
    Ok(records)
}

/// Encodes the row groups of a shard.
struct RowGroupEncoder {
    path: PathBuf,
    fields: Vec<FieldRef>,
    leaves: Vec<ColumnDescPtr>,
    properties: WriterPropertiesPtr,
    factory: ArrowRowGroupWriterFactory,
}

/// A shard that is being written.
struct ShardFile {
    path: PathBuf,
    file: SerializedFileWriter<DigestWriter>,
    record: ShardRecord,
}

fn create(
    writer: &ShardWriter<'_>,
    part: usize,
    rank: usize,
    cut: &ShardCut,
    properties: &WriterProperties,
) -> Result<(RowGroupEncoder, ShardFile)> {
    let p = writer.pipeline;
    let name = writer.cuts.name(part);
    let folder = if p.ranks == 1 { schema::BATCHES.to_owned() } else { format!("{}/rank-{rank:03}", schema::BATCHES) };
    store::create_dir_all(&writer.root.join(&folder))?;
    let path = writer.root.join(&folder).join(&name);
    let facts = [
        ("format", schema::FORMAT.to_owned()),
        ("batch_size", p.batch_size.to_string()),
        ("rank", rank.to_string()),
        ("first_batch", cut.batches.start.to_string()),
        ("batches", cut.batches.len().to_string()),
        ("run", writer.run_id.to_owned()),
    ];
    let facts = facts.map(|(key, value)| KeyValue::new(format!("batchwright.{key}"), value));
    let properties = properties.clone().into_builder().set_key_value_metadata(Some(facts.to_vec())).build();
    let options = ArrowWriterOptions::new().with_properties(properties);
    let file = DigestWriter::new(store::create(&path)?);
    let fail = |e: parquet::errors::ParquetError| Error::output(&path, e.to_string(), "see the message");
    let (file, factory) = ArrowWriter::try_new_with_options(file, Arc::clone(&writer.schema), options)
        .and_then(ArrowWriter::into_serialized_writer)
        .map_err(fail)?;
    let encoder = RowGroupEncoder {
        path: path.clone(),
        fields: writer.schema.fields().to_vec(),
        leaves: file.schema_descr().columns().to_vec(),
        properties: Arc::clone(file.properties()),
        factory,
    };
    let record = ShardRecord {
        path: format!("{folder}/{name}"),
        bytes: 0,
        rows: 0,
        xxh3_128: String::new(),
        rank,
        first_batch: cut.batches.start,
        batches: cut.batches.len(),
    };
    Ok((encoder, ShardFile { path, file, record }))
}

impl RowGroupEncoder {
    fn encode(&self, row_group: usize, columns: Vec<ColumnSource<'_>>) -> Result<Vec<Chunk>> {
        let RowGroupEncoder { path, fields, leaves, properties, factory } = self;
        let writers = factory.create_column_writers(row_group).map_err(|e| failed(path, e))?;
        Encoder { path, fields, leaves, properties }.encode(writers, columns)
    }
}

impl ShardFile {
    fn append(&mut self, chunks: Vec<Chunk>) -> Result<()> {
        let rows = chunks.first().map_or(0, Chunk::rows);
        let append = || {
            let mut group = self.file.next_row_group()?;
            for chunk in chunks {
                chunk.append(&mut group)?;
            }
            group.close().map(|_| ())
        };
        append().map_err(|e| failed(&self.path, e))?;
        self.record.rows += rows;
        Ok(())
    }

    fn finish(mut self) -> Result<ShardRecord> {
        let inner = self.file.into_inner().map_err(|e| failed(&self.path, e))?;
        (self.record.bytes, self.record.xxh3_128) = inner.finish().map_err(|e| Error::io("write", &self.path, e))?;
        Ok(self.record)
    }
}

fn failed(path: &Path, error: parquet::errors::ParquetError) -> Error {
    match error {
        parquet::errors::ParquetError::External(source) => match source.downcast::<std::io::Error>() {
            Ok(io) => Error::io("write", path, *io),
            Err(other) => Error::output(path, other.to_string(), "nothing was written"),
        },
        other => Error::output(path, other.to_string(), "nothing was written; free some space and run again"),
    }
}
