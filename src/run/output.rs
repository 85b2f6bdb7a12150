//! Wires payload and masks to the writer: which columns the output has, and where each one's values come from.

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use parquet::file::properties::WriterProperties;
use rayon::prelude::*;

use crate::classes::Classes;
use crate::compose::Plan;
use crate::dataset::{ColumnHints, Cuts, RowGroupColumns, TRIAL_ROWS, leaf_encodings, writer_properties};
use crate::error::{Error, Result};
use crate::keys::KeyPlane;
use crate::negatives::{BatchColumns, Columns};
use crate::payload::{Constancy, Decoder, Payload, RowGroupSpan, Scratch, Sink, Spill};
use crate::pipeline::{Layout, Pipeline, Rule};
use crate::progress::Progress;
use crate::schema::{self, Generated, bitmap_bytes};
use crate::source::{self, InputColumn, Source};
use crate::stats::BatchStats;
use crate::store;

use super::rows::{PartRows, Rows};

/// A payload column of the output.
struct Carried {
    column: InputColumn,
    field: FieldRef,
    /// Its values must be constant within a request.
    of_request: bool,
    /// Its values stand only on the first row of each request.
    first_only: bool,
    /// Rows that are gathered and encoded at a time; by the footers, so the same for every run.
    chunk_rows: usize,
}

/// Most parts that a spill is cut into: one scratch file each.
const MAX_PARTS: u64 = 256;

/// What is gathered of a column at a time, in bytes.
const CHUNK_BYTES: u64 = 4 << 20;

/// An iterator's items in vectors of `size`.
struct Chunks<I> {
    rows: I,
    size: usize,
}

impl<I: Iterator> Iterator for Chunks<I> {
    type Item = Vec<I::Item>;

    fn next(&mut self) -> Option<Self::Item> {
        let chunk: Vec<I::Item> = self.rows.by_ref().take(self.size).collect();
        (!chunk.is_empty()).then_some(chunk)
    }
}

pub struct Output<'a> {
    pipeline: &'a Pipeline,
    carried: Vec<Carried>,
    fields: Vec<FieldRef>,
    /// The input rows that bring requests' columns, each request's first example; ascending.
    carrier_rows: Arc<Vec<u32>>,
    /// By request: the ordinal of its carrier among them.
    carrier_of: Vec<u32>,
}

impl<'a> Output<'a> {
    pub fn new(p: &'a Pipeline, source: &Source, plane: &KeyPlane) -> Self {
        let hidden = |name: &String| p.drop.contains(name) || (!p.keep_raw && p.identity.contains(name));
        let carried: Vec<Carried> = source
            .fields()
            .filter(|(_, field)| !hidden(field.name()))
            .map(|(column, field)| {
                let of_request = p.request_columns.contains(field.name());
                let first_only = of_request && p.layout == Layout::First;
                let field = match first_only {
                    true => Arc::new(Field::clone(field).with_nullable(true)),
                    false => Arc::clone(field),
                };
                let row_bytes = (source.column_bytes(column) / u64::from(source.rows.max(1))).max(1);
                let chunk_rows = (CHUNK_BYTES / row_bytes).clamp(1, 1 << 16) as usize;
                Carried { column, field, of_request, first_only, chunk_rows }
            })
            .collect();
        let mut fields: Vec<FieldRef> = carried.iter().map(|c| Arc::clone(&c.field)).collect();
        fields.extend(Generated::of(p).into_iter().map(|g| Arc::new(g.field(p.batch_size))));
        let (carrier_rows, carrier_of) = request_carriers(plane);
        Output { pipeline: p, carried, fields, carrier_rows: Arc::new(carrier_rows), carrier_of }
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
                leaf_encodings(&carried.field, &rows, &dictionary, p.compression).map_err(fail)
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
        let batch = |b: usize| (b * columns.plan.batch_size, columns.plan.batch(b));
        let sources = batches.map(batch).flat_map(|(position, batch)| {
            let slice = &batch[..batch.len().min(number)];
            self.sources(columns, carried, part, position, slice)
        });
        let rows: Vec<Option<u32>> = sources.take(number).collect();
        part.payload().gather(column, carried.field.data_type(), &rows)
    }

    /// The payload of all examples: in memory if it fits `budget` bytes, else in scratch files in `spill_dir`, by parts of
    /// the output that fit.
    pub fn load(
        &self,
        source: &Source,
        columns: &Columns<'_>,
        cuts: &Cuts,
        memory: (u64, &Path),
        progress: &Progress,
    ) -> Result<Rows> {
        let (budget, spill_dir) = memory;
        let (plane, plan) = (columns.plane, columns.plan);
        let decoder = SourceDecoder::new(self, source, plane, progress);
        let wanted = |rows: &Arc<Vec<u32>>, carriers: &Arc<Vec<u32>>| -> Vec<Arc<Vec<u32>>> {
            self.carried.iter().map(|c| Arc::clone(if c.first_only { carriers } else { rows })).collect()
        };
        let bytes = self.payload_bytes(source, plane);
        if bytes <= budget {
            let rows = Arc::new(plane.input_row.clone());
            return Ok(Rows::whole(Payload::load(&decoder, &wanted(&rows, &self.carrier_rows))?));
        }
        // Two parts may be held at once, beside what is encoded.
        let parts = bytes.div_ceil((budget / 3).max(1)).clamp(2, MAX_PARTS) as usize;
        let ranges = cuts.parts(parts);
        let lists: Vec<(Vec<u32>, Vec<u32>)> =
            ranges.par_iter().map(|batches| self.wanted_by(plane, plan, batches.clone())).collect();
        let files = ranges.iter().map(|_| Ok(Box::new(store::scratch(spill_dir)?) as Box<dyn Scratch>));
        let files: Vec<_> = files.collect::<Result<_>>()?;
        let by_part: Vec<Vec<Arc<Vec<u32>>>> = lists
            .iter()
            .map(|(examples, carriers)| {
                let rows = Arc::new(examples.iter().map(|e| plane.input_row[*e as usize]).collect());
                let carriers = Arc::new(carriers.iter().map(|c| self.carrier_rows[*c as usize]).collect());
                wanted(&rows, &carriers)
            })
            .collect();
        let spill = Spill::write(&decoder, files, &by_part)?;
        drop(by_part);
        Ok(Rows::spilled(spill, ranges, lists))
    }

    /// Decoded bytes of what is carried, as far as the footers tell: encoded values, which dictionaries make smaller.
    fn payload_bytes(&self, source: &Source, plane: &KeyPlane) -> u64 {
        let kept = |bytes: u64, rows: usize| (bytes as f64 * rows as f64 / f64::from(source.rows.max(1))) as u64;
        let of = |c: &Carried| {
            let rows = if c.first_only { self.carrier_rows.len() } else { plane.len() };
            kept(source.decoded_bytes(c.column), rows)
        };
        self.carried.iter().map(of).sum()
    }

    /// The examples and the carriers (as ordinals) that a range of batches needs, ascending.
    fn wanted_by(&self, plane: &KeyPlane, plan: &Plan, batches: Range<usize>) -> (Vec<u32>, Vec<u32>) {
        let b = plan.batch_size;
        let mut examples = plan.order[batches.start * b..(batches.end * b).min(plan.order.len())].to_vec();
        let mut carriers: Vec<u32> = match &plane.request {
            Some(request) if self.carried.iter().any(|c| c.first_only) => {
                examples.iter().map(|e| self.carrier_of[request.rows[*e as usize] as usize]).collect()
            }
            _ => Vec::new(),
        };
        for list in [&mut examples, &mut carriers] {
            list.sort_unstable();
            list.dedup();
        }
        (examples, carriers)
    }

    /// The wanted rows that bring a column's values for a slice of a batch, whose first row is at `position`.
    fn sources(
        &self,
        columns: &Columns<'_>,
        carried: &Carried,
        part: &PartRows,
        position: usize,
        slice: &[u32],
    ) -> Vec<Option<u32>> {
        match (&columns.plane.request, carried.first_only) {
            (Some(request), true) => {
                let carriers = on_first_rows(slice, &request.rows, &self.carrier_of);
                carriers.into_iter().map(|c| c.map(|c| part.carrier(c))).collect()
            }
            _ => slice.iter().enumerate().map(|(k, row)| Some(part.example(position + k, *row))).collect(),
        }
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
            let of_rank = move |batch: &[u32]| (rank * slice).min(batch.len())..((rank + 1) * slice).min(batch.len());
            let mut out: Vec<crate::dataset::ColumnSource<'s>> = Vec::with_capacity(self.fields.len());
            for (k, carried) in self.carried.iter().enumerate() {
                let batches = batches.clone();
                let part = Arc::clone(&part);
                let values = Arc::clone(&part);
                let rows = batches.flat_map(move |b| {
                    let batch = columns.plan.batch(b);
                    let own = of_rank(batch);
                    let position = b * columns.plan.batch_size + own.start;
                    self.sources(columns, carried, &part, position, &batch[own])
                });
                let data_type = carried.field.data_type();
                out.push(Box::new(Chunks { rows, size: carried.chunk_rows }.flat_map(move |rows| {
                    match values.payload().gather(k, data_type, &rows) {
                        Ok(arrays) => arrays.into_iter().map(Ok).collect(),
                        Err(e) => vec![Err(e)],
                    }
                })));
            }
            for k in 0..self.fields.len() - self.carried.len() {
                let generated = Arc::clone(&generated);
                out.push(Box::new((0..generated.len()).map(move |b| {
                    let array = &generated[b].arrays[k];
                    let (start, end) = ((rank * slice).min(array.len()), ((rank + 1) * slice).min(array.len()));
                    Ok(array.slice(start, end - start))
                })));
            }
            out
        };
        Ok((0..self.pipeline.ranks).map(rank).collect())
    }
}

/// The first example's input row of each request, ascending, and by request its ordinal among them.
fn request_carriers(plane: &KeyPlane) -> (Vec<u32>, Vec<u32>) {
    let Some(request) = &plane.request else { return Default::default() };
    let mut of = vec![u32::MAX; request.len()];
    let mut rows = Vec::new();
    for (code, input_row) in request.rows.iter().zip(&plane.input_row) {
        let ordinal = &mut of[*code as usize];
        if *ordinal == u32::MAX {
            *ordinal = rows.len() as u32;
            rows.push(*input_row);
        }
    }
    (rows, of)
}

/// For each slot of a slice: its request's carrier, on the request's first row; else none.
fn on_first_rows(slice: &[u32], requests: &[u32], carrier_of: &[u32]) -> Vec<Option<u32>> {
    let classes = Classes::new(slice.iter().map(|row| u64::from(requests[*row as usize])));
    let first = |(slot, class): (usize, &u32)| classes.members(*class)[0] as usize == slot;
    let carrier = |slot: usize| carrier_of[requests[slice[slot] as usize] as usize];
    classes.of.iter().enumerate().map(|at| first(at).then(|| carrier(at.0))).collect()
}

/// Decodes payload columns for [`Payload::load`], checking request columns as they come by.
struct SourceDecoder<'a> {
    output: &'a Output<'a>,
    source: &'a Source,
    spans: Vec<RowGroupSpan>,
    constancy: Vec<Option<Constancy<'a>>>,
    progress: &'a Progress,
}

impl<'a> SourceDecoder<'a> {
    fn new(output: &'a Output<'a>, source: &'a Source, plane: &'a KeyPlane, progress: &'a Progress) -> Self {
        let constancy = output.carried.iter().map(|c| match (&plane.request, c.of_request) {
            (Some(r), true) => Some(Constancy::new(c.field.name().clone(), &plane.input_row, &r.rows, r.len())),
            _ => None,
        });
        let spans = source.row_groups.iter().map(|g| RowGroupSpan { first_row: g.first_row, rows: g.rows });
        SourceDecoder { spans: spans.collect(), constancy: constancy.collect(), output, source, progress }
    }
}

impl Decoder for SourceDecoder<'_> {
    fn spans(&self) -> &[RowGroupSpan] {
        &self.spans
    }

    fn decode(&self, column: usize, row_group: usize, each: &mut Sink<'_>) -> Result<()> {
        let group = &self.source.row_groups[row_group];
        source::decode_each(self.source, group, self.output.carried[column].column, &mut |at, array| {
            let first_row = group.first_row + at;
            if let Some(constancy) = &self.constancy[column] {
                constancy.check(first_row, std::slice::from_ref(&array), &self.source.place(group))?;
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

    /// In batch order.
    pub fn finish(self) -> Vec<BatchStats> {
        let mut all = self.0.into_inner().unwrap_or_else(|p| p.into_inner());
        all.sort_unstable_by_key(|s| s.batch);
        all
    }
}

/// The Arrow type of the time column.
pub fn time_type(p: &Pipeline, source: &Source) -> Option<DataType> {
    let (_, field) = source.column("columns.time", p.time.as_ref()?).ok()?;
    Some(if let DataType::Dictionary(_, v) = field.data_type() { *v.clone() } else { field.data_type().clone() })
}
