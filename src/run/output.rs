//! Wires payload and masks to the writer: which columns the output has, and where each one's values come from.

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use parquet::file::properties::WriterProperties;
use rayon::prelude::*;

use crate::compose::Plan;
use crate::dataset::{ColumnHints, Cuts, RowGroupColumns, TRIAL_ROWS, leaf_storage, writer_properties};
use crate::error::{Error, Result};
use crate::keys::KeyPlane;
use crate::negatives::{BatchColumns, Columns};
use crate::payload::{
    ArraySize, Constancy, Decoder, KeyRange, Payload, RequestRows, RowGroupSpan, Scratch, Sink, Spill,
};
use crate::pipeline::{Pipeline, Rule};
use crate::progress::Progress;
use crate::schema::{self, Generated, bitmap_bytes};
use crate::source::{self, InputColumn, Source};
use crate::stats::BatchStats;
use crate::store;

use super::memory::{MAX_PARTS, PayloadBytes};
use super::room::Room;
use super::rows::{PartRows, Rows, Wanted};
use super::sources::{Carriers, Origin, RowSources, carried_fields};

/// A payload column of the output.
struct Carried {
    column: InputColumn,
    field: FieldRef,
    origin: Origin,
    /// Rows that are gathered and encoded at a time; by the footers, so the same for every run.
    chunk_rows: usize,
}

/// What is decoded of a column at a time to be spilled, in bytes: cut into a piece for each part. With 2 MiB, writing pieces of
/// a few rows took a fifth of a run's time.
const LARGE_ARRAY: u64 = 8 << 20;

/// What is gathered of a column at a time, in bytes.
const CHUNK_BYTES: u64 = 4 << 20;

pub struct Output<'a> {
    pipeline: &'a Pipeline,
    carried: Vec<Carried>,
    fields: Vec<FieldRef>,
    carriers: Carriers,
}

impl<'a> Output<'a> {
    pub fn new(p: &'a Pipeline, source: &Source, plane: &KeyPlane) -> Self {
        let carried: Vec<Carried> = carried_fields(p, source)
            .map(|(column, field)| {
                let origin = Origin::of(p, field.name());
                let field = match origin {
                    Origin::RequestFirst => Arc::new(Field::clone(field).with_nullable(true)),
                    Origin::Row | Origin::Request => Arc::clone(field),
                };
                let row_bytes = (source.plain_bytes(column) / u64::from(source.rows.max(1))).max(1);
                let chunk_rows = (CHUNK_BYTES / row_bytes).clamp(1, 1 << 16) as usize;
                Carried { column, field, origin, chunk_rows }
            })
            .collect();
        let mut fields: Vec<FieldRef> = carried.iter().map(|c| Arc::clone(&c.field)).collect();
        fields.extend(Generated::of(p).into_iter().map(|g| Arc::new(g.field(p.batch_size))));
        Output { pipeline: p, carried, fields, carriers: Carriers::new(plane) }
    }

    pub fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.fields.clone()))
    }

    /// Number of payload columns.
    pub fn columns(&self) -> usize {
        self.carried.len()
    }

    /// How shards are encoded: by the input's footers and the first rows of the output. The payload of the first row group
    /// must be there.
    pub fn properties(
        &self,
        source: &Source,
        columns: &Columns<'_>,
        rows: &Rows,
        first: &Range<usize>,
    ) -> Result<WriterProperties> {
        let p = self.pipeline;
        let part = rows.of(first)?;
        let leaves = self.carried.par_iter().enumerate().filter_map(|(k, carried)| {
            let dictionary = source.dictionaries(carried.column)?;
            let trial = self.first_rows(columns, &part, k, first.clone()).and_then(|rows| {
                let fail = |e: parquet::errors::ParquetError| {
                    let problem = format!("column `{}` can't be encoded ({e})", carried.field.name());
                    Error::output(&p.output, problem, "drop it with input.drop")
                };
                leaf_storage(&carried.field, &rows, &dictionary, p.compression).map_err(fail)
            });
            Some(trial.map(|leaves| (carried.field.name().clone(), leaves)))
        });
        let leaves = leaves.collect::<Result<_>>()?;
        // Half of a row group's bitmaps: with more distinct ones, a dictionary is not worth its indices.
        let limit = bitmap_bytes(p.batch_size).saturating_mul(first.len() * p.slice()) / 2;
        let mut bitmaps = vec![(schema::SAME_USER, limit)];
        if !p.rules.contains(&Rule::KnownPositive) {
            bitmaps.push((schema::NEGATIVES, limit));
        }
        let hints = ColumnHints { leaves, dates_as_days: source.dates_as_days(), bitmaps };
        writer_properties(&self.schema(), p.compression, &hints)
    }

    /// A payload column's first rows in the output, of these batches.
    fn first_rows(
        &self,
        columns: &Columns<'_>,
        part: &PartRows,
        column: usize,
        batches: Range<usize>,
    ) -> Result<Vec<ArrayRef>> {
        let carried = &self.carried[column];
        let number = TRIAL_ROWS.min(carried.chunk_rows);
        let batches = batches.start..batches.end.min(batches.start + number.div_ceil(columns.plan.batch_size));
        let rows = RowSources::new(&self.carriers, columns, part, batches, |batch| 0..batch.len());
        let rows = rows.of(carried.origin);
        let rows = &rows[..rows.len().min(number)];
        part.payload().gather(column, carried.field.data_type(), rows)
    }

    /// The payload of all examples: in memory if it fits `budget` bytes, else in scratch files in `spill_dir`, by parts of
    /// the output that fit.
    pub fn load(
        &self,
        source: &Source,
        columns: &Columns<'_>,
        cuts: &Cuts,
        (needs, budget): (PayloadBytes, u64),
        spill_dir: &Path,
        progress: &Progress,
    ) -> Result<Rows> {
        let (plane, plan) = (columns.plane, columns.plan);
        // A payload that is held whole leaves the rest of the budget.
        let room = Room::new(if needs.whole <= budget { budget - needs.whole } else { budget }.max(LEAST_ROOM));
        let requests = plane.request.as_ref().filter(|_| self.carried.iter().any(|c| c.origin != Origin::Row));
        let requests = requests.map(|codes| RequestRows::new(&plane.input_row, &codes.rows, codes.len()));
        let decoder = SourceDecoder::new(self, source, requests.as_ref(), room, progress);
        let wanted = |rows: &Arc<Vec<u32>>, carriers: &Arc<Vec<u32>>| -> Vec<Arc<Vec<u32>>> {
            self.carried.iter().map(|c| Arc::clone(if c.origin == Origin::Row { rows } else { carriers })).collect()
        };
        if needs.whole <= budget {
            let rows = Arc::new(plane.input_row.clone());
            return Ok(Rows::whole(Payload::load(&decoder, &wanted(&rows, &self.carriers.rows))?));
        }
        // Two parts may be held at once, beside what is encoded.
        let parts = needs.in_parts.div_ceil((budget / 3).max(1)).clamp(2, MAX_PARTS) as usize;
        let ranges = cuts.parts(parts);
        let files = ranges.iter().map(|_| Ok(Box::new(store::scratch(spill_dir)?) as Box<dyn Scratch>));
        let files: Vec<_> = files.collect::<Result<_>>()?;
        let by_part: Vec<Vec<Arc<Vec<u32>>>> = ranges
            .par_iter()
            .map(|batches| {
                let Wanted { examples, carriers } = self.wanted_by(plane, plan, batches.clone());
                let rows = Arc::new(examples.iter().map(|e| plane.input_row[*e as usize]).collect());
                let carriers = Arc::new(carriers.iter().map(|c| self.carriers.rows[*c as usize]).collect());
                wanted(&rows, &carriers)
            })
            .collect();
        let spill = Spill::write(&decoder, files, &by_part)?;
        drop(by_part);
        Ok(Rows::spilled(spill, ranges))
    }

    /// Makes the payload of these batches ready.
    pub fn prepare(&self, columns: &Columns<'_>, rows: &Rows, batches: Range<usize>) -> Result<()> {
        rows.prepare(columns.plan, batches, |part| self.wanted_by(columns.plane, columns.plan, part))
    }

    fn wanted_by(&self, plane: &KeyPlane, plan: &Plan, batches: Range<usize>) -> Wanted {
        let b = plan.batch_size;
        let mut examples = plan.order[batches.start * b..(batches.end * b).min(plan.order.len())].to_vec();
        let mut carriers: Vec<u32> = match &plane.request {
            Some(request) if self.carried.iter().any(|c| c.origin != Origin::Row) => {
                examples.iter().map(|e| self.carriers.of[request.rows[*e as usize] as usize]).collect()
            }
            _ => Vec::new(),
        };
        for list in [&mut examples, &mut carriers] {
            list.sort_unstable();
            list.dedup();
        }
        Wanted { examples, carriers }
    }

    /// The columns of a row group's batches, for each rank.
    pub fn row_group<'s>(
        &'s self,
        columns: &'s Columns<'s>,
        rows: &Rows,
        batches: Range<usize>,
        stats: &'s StatsSink,
    ) -> Result<RowGroupColumns<'s>> {
        let generated: Vec<BatchColumns> =
            batches.clone().into_par_iter().map(|b| columns.batch(b)).collect::<Result<_>>()?;
        generated.iter().for_each(|g| stats.add(&g.stats));
        let generated = Arc::new(generated);
        let part = rows.of(&batches)?;
        let slice = self.pipeline.slice();
        let rank = |rank: usize| {
            let of_rank = |batch: &[u32]| (rank * slice).min(batch.len())..((rank + 1) * slice).min(batch.len());
            let sources = Arc::new(RowSources::new(&self.carriers, columns, &part, batches.clone(), of_rank));
            let mut out: Vec<crate::dataset::ColumnSource<'s>> = Vec::with_capacity(self.fields.len());
            for (k, carried) in self.carried.iter().enumerate() {
                let (part, sources) = (Arc::clone(&part), Arc::clone(&sources));
                let number = sources.of(carried.origin).len();
                let mut keys = KeyRange::of(carried.field.name(), carried.field.data_type());
                out.push(Box::new((0..number).step_by(carried.chunk_rows).flat_map(move |start| {
                    let rows = &sources.of(carried.origin)[start..number.min(start + carried.chunk_rows)];
                    let gathered = part.payload().gather(k, carried.field.data_type(), rows).and_then(|arrays| {
                        keys.iter_mut().try_for_each(|keys| arrays.iter().try_for_each(|array| keys.add(array)))?;
                        Ok(arrays)
                    });
                    match gathered {
                        Ok(arrays) => arrays.into_iter().map(Ok).collect(),
                        Err(e) => vec![Err(e)],
                    }
                })));
            }
            for k in 0..self.fields.len() - self.carried.len() {
                let generated = Arc::clone(&generated);
                out.push(Box::new((0..generated.len()).flat_map(move |b| {
                    let len = generated[b].arrays[k].len();
                    generated[b].pieces(k, (rank * slice).min(len)..((rank + 1) * slice).min(len)).map(Ok)
                })));
            }
            out
        };
        Ok((0..self.pipeline.ranks).map(rank).collect())
    }
}

/// Decodes payload columns for [`Payload::load`], checking request columns as they come by.
struct SourceDecoder<'a> {
    output: &'a Output<'a>,
    source: &'a Source,
    spans: Vec<RowGroupSpan>,
    constancy: Vec<Option<Constancy<'a>>>,
    /// For dictionaries so large that not every core may hold one.
    room: Room,
    progress: &'a Progress,
}

/// Smaller dictionaries count as the arrays that each core decodes.
const LARGE_DICTIONARY: u64 = 8 << 20;

/// What large dictionaries may take together, however little room there is.
const LEAST_ROOM: u64 = 32 << 20;

/// A dictionary page as it is stored, decompressed, and decoded.
const COPIES: u64 = 3;

impl<'a> SourceDecoder<'a> {
    fn new(
        output: &'a Output<'a>,
        source: &'a Source,
        requests: Option<&'a RequestRows<'a>>,
        room: Room,
        progress: &'a Progress,
    ) -> Self {
        let constancy = output.carried.iter().map(|c| match (requests, c.origin != Origin::Row) {
            (Some(requests), true) => Some(Constancy::new(c.field.name().clone(), requests)),
            _ => None,
        });
        let spans = source.row_groups.iter().map(|g| RowGroupSpan { first_row: g.first_row, rows: g.rows });
        SourceDecoder { spans: spans.collect(), constancy: constancy.collect(), output, source, room, progress }
    }
}

impl Decoder for SourceDecoder<'_> {
    fn spans(&self) -> &[RowGroupSpan] {
        &self.spans
    }

    fn cost(&self, column: usize, row_group: usize) -> u64 {
        self.source.decoded_bytes_in(&self.source.row_groups[row_group], self.output.carried[column].column)
    }

    fn decode(&self, column: usize, row_group: usize, size: ArraySize, each: &mut Sink<'_>) -> Result<()> {
        let group = &self.source.row_groups[row_group];
        let dictionary = self.source.dictionary_bytes_in(group, self.output.carried[column].column);
        let _taken = self.room.take(if dictionary < LARGE_DICTIONARY { 0 } else { dictionary.saturating_mul(COPIES) });
        let bytes = match size {
            ArraySize::Small => source::SMALL_ARRAY,
            ArraySize::Large => LARGE_ARRAY,
        };
        source::decode_each(self.source, group, self.output.carried[column].column, bytes, &mut |at, array| {
            let first_row = group.first_row + at;
            if let Some(constancy) = &self.constancy[column] {
                constancy.check(first_row, &array, &self.source.place(group))?;
            }
            each(first_row, array)
        })?;
        self.progress.advance(1);
        Ok(())
    }
}

/// Collects the batches' statistics, in any order.
pub struct StatsSink(Mutex<Vec<BatchStats>>);

impl StatsSink {
    pub fn new(batches: usize) -> Self {
        StatsSink(Mutex::new(Vec::with_capacity(batches)))
    }

    fn add(&self, stats: &BatchStats) {
        self.0.lock().unwrap_or_else(|p| p.into_inner()).push(stats.clone());
    }

    /// In batch order, with the batches' times.
    pub fn finish(self, times: Option<&[(i64, i64)]>) -> Vec<BatchStats> {
        let mut all = self.0.into_inner().unwrap_or_else(|p| p.into_inner());
        all.sort_unstable_by_key(|s| s.batch);
        if let Some(times) = times {
            all.iter_mut().zip(times).for_each(|(stats, time)| stats.time = Some(*time));
        }
        all
    }
}

/// The Arrow type of the time column.
pub fn time_type(p: &Pipeline, source: &Source) -> Option<DataType> {
    let (_, field) = source.column("columns.time", p.time.as_ref()?).ok()?;
    Some(if let DataType::Dictionary(_, v) = field.data_type() { *v.clone() } else { field.data_type().clone() })
}
