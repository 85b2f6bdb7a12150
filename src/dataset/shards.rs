//! Shards: row groups encoded side by side, appended in order.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{FieldRef, SchemaRef};
use parquet::arrow::arrow_writer::{ArrowRowGroupWriterFactory, ArrowWriter, ArrowWriterOptions};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use rayon::prelude::*;

use super::cuts::{Cuts, ShardCut};
use super::encode::{Chunk, ColumnSource, Encoder};
use super::manifest::ShardRecord;
use crate::error::{Error, Result};
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
    pub properties: WriterProperties,
    pub cuts: &'a Cuts,
    /// Row groups that are encoded at the same time.
    pub side_by_side: usize,
}

/// Writes all shards of all ranks. `columns(batches)` gives the columns of the row group that holds these batches; row groups
/// are worked out in parallel, a few at a time, and `prepare(batches)` is called before each few. `done(rows)` hears of progress.
pub fn write_shards<'a>(
    writer: &ShardWriter<'_>,
    prepare: impl Fn(std::ops::Range<usize>) -> Result<()>,
    columns: impl Fn(std::ops::Range<usize>) -> Result<RowGroupColumns<'a>> + Sync,
    done: impl Fn(usize),
) -> Result<Vec<ShardRecord>> {
    let mut records: Vec<Vec<ShardRecord>> = vec![Vec::new(); writer.pipeline.ranks];
    for (part, cut) in writer.cuts.shards.iter().enumerate() {
        let mut open: Vec<Open> =
            (0..writer.pipeline.ranks).map(|rank| Open::create(writer, part, rank, cut)).collect::<Result<_>>()?;
        let together = writer.side_by_side.max(1);
        for (first, groups) in cut.row_groups.chunks(together).enumerate().map(|(k, g)| (k * together, g)) {
            if let (Some(head), Some(tail)) = (groups.first(), groups.last()) {
                prepare(head.start..tail.end)?;
            }
            let encoded: Vec<Vec<Vec<Chunk>>> = groups
                .par_iter()
                .enumerate()
                .map(|(k, batches)| {
                    let ranks = columns(batches.clone())?;
                    open.iter().zip(ranks).map(|(shard, columns)| shard.encode(first + k, columns)).collect()
                })
                .collect::<Result<_>>()?;
            for (batches, ranks) in groups.iter().zip(encoded) {
                for (shard, chunks) in open.iter_mut().zip(ranks) {
                    shard.append(chunks)?;
                }
                done(batches.len() * writer.pipeline.batch_size);
            }
        }
        for (records, shard) in records.iter_mut().zip(open) {
            records.push(shard.finish()?);
        }
    }
    Ok(records.into_iter().flatten().collect())
}

/// A shard that is being written.
struct Open {
    path: PathBuf,
    fields: Vec<FieldRef>,
    file: SerializedFileWriter<DigestWriter>,
    factory: ArrowRowGroupWriterFactory,
    record: ShardRecord,
}

impl Open {
    fn create(writer: &ShardWriter<'_>, part: usize, rank: usize, cut: &ShardCut) -> Result<Self> {
        let p = writer.pipeline;
        let name = writer.cuts.name(part);
        let folder =
            if p.ranks == 1 { schema::BATCHES.to_owned() } else { format!("{}/rank-{rank:03}", schema::BATCHES) };
        store::create_dir_all(&writer.root.join(&folder))?;
        let path = writer.root.join(&folder).join(&name);
        let facts = [
            ("format", schema::FORMAT.to_owned()),
            ("batch_size", p.batch_size.to_string()),
            ("rank", rank.to_string()),
            ("first_batch", cut.batches.start.to_string()),
            ("batches", cut.batches.len().to_string()),
        ];
        let facts = facts.map(|(key, value)| KeyValue::new(format!("batchwright.{key}"), value));
        let properties = writer.properties.clone().into_builder().set_key_value_metadata(Some(facts.to_vec())).build();
        let options = ArrowWriterOptions::new().with_properties(properties);
        let file = DigestWriter::new(store::create(&path)?);
        let fail = |e: parquet::errors::ParquetError| Error::output(&path, e.to_string(), "see the message");
        let (file, factory) = ArrowWriter::try_new_with_options(file, Arc::clone(&writer.schema), options)
            .and_then(ArrowWriter::into_serialized_writer)
            .map_err(fail)?;
        Ok(Open {
            fields: writer.schema.fields().to_vec(),
            file,
            factory,
            record: ShardRecord {
                path: format!("{folder}/{name}"),
                bytes: 0,
                rows: 0,
                xxh3_128: String::new(),
                rank,
                first_batch: cut.batches.start,
                batches: cut.batches.len(),
            },
            path,
        })
    }

    fn encode(&self, row_group: usize, columns: Vec<ColumnSource<'_>>) -> Result<Vec<Chunk>> {
        let writers = self.factory.create_column_writers(row_group).map_err(|e| self.failed(e))?;
        let leaves = self.file.schema_descr().columns();
        Encoder { path: &self.path, fields: &self.fields, leaves, properties: self.file.properties() }
            .encode(writers, columns)
    }

    fn append(&mut self, chunks: Vec<Chunk>) -> Result<()> {
        let rows = chunks.first().map_or(0, Chunk::rows);
        let append = || {
            let mut group = self.file.next_row_group()?;
            for chunk in chunks {
                chunk.append(&mut group)?;
            }
            group.close().map(|_| ())
        };
        append().map_err(|e| self.failed(e))?;
        self.record.rows += rows;
        Ok(())
    }

    fn finish(mut self) -> Result<ShardRecord> {
        let inner = self.file.into_inner().map_err(|e| failed(&self.path, e))?;
        (self.record.bytes, self.record.xxh3_128) = inner.finish().map_err(|e| Error::io("write", &self.path, e))?;
        Ok(self.record)
    }

    fn failed(&self, error: parquet::errors::ParquetError) -> Error {
        failed(&self.path, error)
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
