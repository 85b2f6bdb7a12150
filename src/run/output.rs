//! Wires payload and masks to the writer: which columns the output has, and where each one's values come from.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use parquet::file::properties::WriterProperties;
use rayon::prelude::*;

use crate::classes::Classes;
use crate::compose::Plan;
use crate::dataset::{ColumnHints, RowGroupColumns, writer_properties};
use crate::error::Result;
use crate::keys::KeyPlane;
use crate::negatives::{BatchColumns, Columns};
use crate::payload::{Constancy, Decoder, Payload, RowGroupSpan};
use crate::pipeline::{Layout, Pipeline};
use crate::progress::Progress;
use crate::schema::Generated;
use crate::source::{self, InputColumn, Source};
use crate::stats::BatchStats;

/// A payload column of the output.
struct Carried {
    column: InputColumn,
    field: FieldRef,
    /// Its values must be constant within a request.
    of_request: bool,
    /// Its values stand only on the first row of each request.
    first_only: bool,
}

pub struct Output<'a> {
    pipeline: &'a Pipeline,
    carried: Vec<Carried>,
    fields: Vec<FieldRef>,
    /// By request: the input row that brings its columns, its first example.
    carriers: Vec<u32>,
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
                Carried { column, field, of_request, first_only }
            })
            .collect();
        let mut fields: Vec<FieldRef> = carried.iter().map(|c| Arc::clone(&c.field)).collect();
        fields.extend(Generated::of(p).into_iter().map(|g| Arc::new(g.field(p.batch_size))));
        let mut carriers = vec![u32::MAX; plane.request.as_ref().map_or(0, |r| r.len())];
        for (code, row) in plane.request.iter().flat_map(|r| &r.rows).zip(&plane.input_row) {
            carriers[*code as usize] = carriers[*code as usize].min(*row);
        }
        Output { pipeline: p, carried, fields, carriers }
    }

    pub fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.fields.clone()))
    }

    /// Number of payload columns.
    pub fn columns(&self) -> usize {
        self.carried.len()
    }

    pub fn properties(&self, source: &Source) -> Result<WriterProperties> {
        let dictionary =
            self.carried.iter().filter_map(|c| Some((c.field.name().clone(), source.dictionaries(c.column)?)));
        let hints = ColumnHints { dictionary: dictionary.collect() };
        writer_properties(&self.schema(), self.pipeline.compression, &hints)
    }

    /// Decodes the payload of all rows that occur in the output.
    pub fn load(&self, source: &Source, plane: &KeyPlane, plan: &Plan, progress: &Progress) -> Result<Payload> {
        let mut occurs = vec![plan.dropped.is_empty(); plane.len()];
        if !plan.dropped.is_empty() {
            plan.order.iter().for_each(|row| occurs[*row as usize] = true);
        }
        let rows = (0..plane.len()).filter(|row| occurs[*row]).map(|row| plane.input_row[row]).collect();
        let rows: Arc<Vec<u32>> = Arc::new(rows);
        let mut firsts: Vec<u32> = self.carriers.iter().copied().filter(|row| *row != u32::MAX).collect();
        firsts.par_sort_unstable();
        let firsts = Arc::new(firsts);
        let wanted: Vec<Arc<Vec<u32>>> =
            self.carried.iter().map(|c| Arc::clone(if c.first_only { &firsts } else { &rows })).collect();
        Payload::load(&SourceDecoder::new(self, source, plane, progress), &wanted)
    }

    /// The columns of a row group's batches, for each rank.
    pub fn row_group<'s>(
        &'s self,
        columns: &'s Columns<'s>,
        payload: &'s Payload,
        batches: Range<usize>,
        stats: &'s StatsSink,
    ) -> Result<RowGroupColumns<'s>> {
        let generated: Vec<BatchColumns> =
            batches.clone().into_par_iter().map(|b| columns.batch(b)).collect::<Result<_>>()?;
        generated.iter().for_each(|g| stats.add(&g.stats));
        let generated = Arc::new(generated);
        let slice = self.pipeline.slice();
        let rank = |rank: usize| {
            let of_rank = move |batch: &[u32]| (rank * slice).min(batch.len())..((rank + 1) * slice).min(batch.len());
            let mut out: Vec<crate::dataset::ColumnSource<'s>> = Vec::with_capacity(self.fields.len());
            for (k, carried) in self.carried.iter().enumerate() {
                let batches = batches.clone();
                out.push(Box::new(move || {
                    let (plan, plane) = (columns.plan, columns.plane);
                    let examples = batches.map(|b| &plan.batch(b)[of_rank(plan.batch(b))]);
                    let rows: Vec<Option<u32>> = match (&plane.request, carried.first_only) {
                        (Some(request), true) => {
                            examples.flat_map(|slice| carriers(slice, &request.rows, &self.carriers)).collect()
                        }
                        _ => examples.flatten().map(|row| Some(plane.input_row[*row as usize])).collect(),
                    };
                    payload.gather(k, carried.field.data_type(), &rows)
                }));
            }
            for k in 0..self.fields.len() - self.carried.len() {
                let generated = Arc::clone(&generated);
                out.push(Box::new(move || {
                    let cut = |g: &BatchColumns| -> ArrayRef {
                        let rows = g.arrays[k].len();
                        let (start, end) = ((rank * slice).min(rows), ((rank + 1) * slice).min(rows));
                        g.arrays[k].slice(start, end - start)
                    };
                    Ok(generated.iter().map(cut).collect())
                }));
            }
            out
        };
        Ok((0..self.pipeline.ranks).map(rank).collect())
    }
}

/// For each slot of a slice: the input row that brings its request's columns, on the request's first row; else none.
fn carriers(slice: &[u32], requests: &[u32], carriers: &[u32]) -> Vec<Option<u32>> {
    let classes = Classes::new(slice.iter().map(|row| u64::from(requests[*row as usize])));
    let first = |(slot, class): (usize, &u32)| classes.members(*class)[0] as usize == slot;
    let of = |slot: usize| carriers[requests[slice[slot] as usize] as usize];
    classes.of.iter().enumerate().map(|at| first(at).then(|| of(at.0))).collect()
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

    fn decode(&self, column: usize, row_group: usize) -> Result<Vec<ArrayRef>> {
        let group = &self.source.row_groups[row_group];
        let arrays = source::decode_rows(self.source, group, self.output.carried[column].column, None)?;
        if let Some(constancy) = &self.constancy[column] {
            constancy.check(group.first_row, &arrays, &self.source.place(group))?;
        }
        self.progress.advance(1);
        Ok(arrays)
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
