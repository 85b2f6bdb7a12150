//! Wires payload and masks to the writer: which columns the output has, and where each one's values come from.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::ArrayRef;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;
use parquet::file::properties::WriterProperties;
use rayon::prelude::*;

use super::items::item_column;
use super::origin::Origin;
use super::parts::LoadedPart;
use super::routes::Purpose;
use super::row_sources::RowSources;
use crate::dataset::{ColumnHints, RowGroupColumns, TRIAL_ROWS, leaf_storage, writer_properties};
use crate::error::{Error, Place, Result};
use crate::negatives::{BatchColumns, Columns, LogQOfBatches, MaskRules, Positives, need_positives};
use crate::payload::{Constancy, DecodedColumn, KeyRange, Payload, RequestRows, WantedRow};
use crate::pipeline::{Pipeline, Types};
use crate::schema::{self, bitmap_bytes, portable};
use crate::source::{InputColumn, Order, PLACE, Source};
use crate::stats::BatchStats;

/// A payload column of the output.
struct Carried {
    column: InputColumn,
    field: FieldRef,
    /// As it is written: in types that older readers know, where these are asked for.
    written: FieldRef,
    /// The order of an ordered dictionary, whose rows travel as places in it.
    order: Option<Order>,
    origin: Origin,
    /// Rows that are gathered and encoded at a time; by the footers, so the same for every run.
    chunk_rows: usize,
}

impl Carried {
    /// Values of these rows, in order, as they are written.
    fn gather(&self, payload: &Payload, column: usize, rows: &[Option<WantedRow>]) -> Result<Vec<ArrayRef>> {
        let fail = |e: ArrowError| Error::damaged(Place::column(self.field.name()), e);
        let Some(order) = &self.order else {
            let arrays = payload.gather(column, self.field.data_type(), rows)?;
            let written = self.written.data_type();
            if written == self.field.data_type() {
                return Ok(arrays);
            }
            return arrays.iter().map(|array| cast(array, written).map_err(fail)).collect();
        };
        let places = payload.gather(column, &PLACE, rows)?;
        places.iter().map(|places| order.dictionary(places).map_err(fail)).collect()
    }
}

/// What is gathered of a column at a time, in bytes.
const CHUNK_BYTES: u64 = 4 << 20;

pub struct Output<'a> {
    pipeline: &'a Pipeline,
    carried: Vec<Carried>,
    fields: Vec<FieldRef>,
    /// Where one is mapped.
    item: Option<InputColumn>,
    rules: MaskRules,
    positives: Option<&'a Positives>,
    /// Where an item is mapped.
    log_q: Option<LogQOfBatches>,
    /// Batches whose false negatives are counted.
    sampled: Vec<usize>,
}

impl<'a> Output<'a> {
    /// # Errors
    /// The input lacks the column of items.
    pub fn new(p: &'a Pipeline, source: &Source, log_q: Option<LogQOfBatches>) -> Result<Self> {
        let written_as = |field: &FieldRef| match p.types {
            Types::Exact => Arc::clone(field),
            Types::Portable => Arc::new(portable(field)),
        };
        let carried: Vec<Carried> = source
            .carried()
            .iter()
            .map(|(column, field)| {
                let origin = Origin::of(p, field.name());
                let order = source.order(*column).cloned();
                let mut written = Field::clone(field);
                if let Some(order) = &order {
                    written = written.with_data_type(order.data_type().clone());
                }
                let nullable = written.is_nullable() || origin == Origin::RequestFirst;
                let field = Arc::new(written.with_nullable(nullable));
                let row_bytes = (source.plain_bytes(*column) / u64::from(source.rows.max(1))).max(1);
                let chunk_rows = (CHUNK_BYTES / row_bytes).clamp(1, 1 << 16) as usize;
                let written = written_as(&field);
                Carried { column: *column, field, written, order, origin, chunk_rows }
            })
            .collect();
        let mut fields: Vec<FieldRef> = carried.iter().map(|c| Arc::clone(&c.written)).collect();
        fields.extend(p.generated().into_iter().map(|g| written_as(&Arc::new(g.field(p.batch_size)))));
        Ok(Output {
            pipeline: p,
            carried,
            fields,
            item: item_column(p, source)?,
            rules: MaskRules::of(p)?,
            positives: None,
            log_q,
            sampled: Vec::new(),
        })
    }

    /// Knows positives, and counts false negatives in these batches.
    #[must_use]
    pub fn knowing(self, positives: Option<&'a Positives>, sampled: Vec<usize>) -> Self {
        Output { positives, sampled, ..self }
    }

    pub fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.fields.clone()))
    }

    /// The column of items, where one is mapped.
    pub fn item(&self) -> Option<InputColumn> {
        self.item
    }

    /// The name of a payload column.
    pub fn name(&self, column: usize) -> &str {
        self.carried[column].field.name()
    }

    /// Number of decoded columns.
    pub fn columns(&self) -> usize {
        self.carried.len() + usize::from(self.item.is_some())
    }

    /// How shards are encoded: by the input's footers and the first rows of the output. The payload of the first row group
    /// must be there.
    ///
    /// # Errors
    /// Values that can't be encoded.
    pub fn properties(&self, source: &Source, part: &LoadedPart<'_>, first: &Range<usize>) -> Result<WriterProperties> {
        let p = self.pipeline;
        let leaves = self.carried.par_iter().enumerate().filter_map(|(k, carried)| {
            if carried.order.is_some() {
                return None;
            }
            let dictionary = source.dictionaries(carried.column, carried.field.data_type())?;
            let trial = self.first_rows(part, k, first.clone()).and_then(|rows| {
                let fail = |e: parquet::errors::ParquetError| {
                    let problem = format!("column `{}` can't be encoded ({e})", carried.field.name());
                    Error::output(&p.output, problem, "drop it with input.drop")
                };
                leaf_storage(&carried.written, &rows, &dictionary, p.compression).map_err(fail)
            });
            Some(trial.map(|leaves| (carried.field.name().clone(), leaves)))
        });
        let leaves = leaves.collect::<Result<_>>()?;
        // Half of a row group's bitmaps: with more distinct ones, a dictionary is not worth its indices.
        let limit = bitmap_bytes(p.batch_size).saturating_mul(first.len() * p.slice()) / 2;
        let mut bitmaps = vec![(schema::SAME_USER, limit)];
        if !need_positives(p) {
            bitmaps.push((schema::NEGATIVES, limit));
        }
        let hints = ColumnHints { leaves, dates_as_days: source.dates_as_days(), bitmaps };
        writer_properties(&self.schema(), p.compression, &hints)
    }

    /// A payload column's first rows in the output, of these batches.
    fn first_rows(&self, part: &LoadedPart<'_>, column: usize, batches: Range<usize>) -> Result<Vec<ArrayRef>> {
        let carried = &self.carried[column];
        let number = TRIAL_ROWS.min(carried.chunk_rows);
        let batches = batches.start..batches.end.min(batches.start + number.div_ceil(self.pipeline.batch_size));
        let rows = RowSources::new(self.pipeline, part, batches, |batch| 0..batch.len());
        let rows = rows.of(carried.origin);
        let rows = &rows[..rows.len().min(number)];
        carried.gather(&part.payload, column, rows)
    }

    /// How the payload's columns are decoded, `examples` telling which rows are any; and the column of items behind them.
    ///
    /// # Errors
    /// A scratch file that can't be read.
    pub fn decoded<'k>(&self, source: &Source, requests: Option<&'k RequestRows<'k>>) -> Vec<DecodedColumn<'k>> {
        let constancy = |carried: &Carried| {
            let requests = requests.filter(|_| carried.origin != Origin::Row)?;
            Some(Constancy::new(carried.field.name().clone(), requests))
        };
        let carried = self.carried.iter().map(|carried| DecodedColumn {
            column: carried.column,
            data_type: carried.field.data_type().clone(),
            constancy: constancy(carried),
        });
        let item = self.item.map(|column| DecodedColumn {
            column,
            data_type: source.field(column).data_type().clone(),
            constancy: None,
        });
        carried.chain(item).collect()
    }

    /// The types in which decoded columns come.
    pub fn decoded_types(&self, source: &Source) -> Vec<DataType> {
        let item = self.item.map(|column| match source.order(column) {
            Some(_) => PLACE,
            None => source.field(column).data_type().clone(),
        });
        let of = |c: &Carried| if c.order.is_some() { PLACE } else { c.field.data_type().clone() };
        self.carried.iter().map(of).chain(item).collect()
    }

    /// Which decoded columns are compressed while they wait.
    pub fn compressed(&self, source: &Source) -> Vec<bool> {
        self.carried.iter().map(|c| c.column).chain(self.item).map(|column| source.shrinks(column)).collect()
    }

    /// What the rows of decoded columns are wanted for.
    pub fn purposes(&self) -> Vec<Purpose> {
        let of = |c: &Carried| if c.origin == Origin::Row { Purpose::Examples } else { Purpose::Carriers };
        self.carried.iter().map(of).chain(self.item.map(|_| Purpose::Items)).collect()
    }

    /// What the payload's columns take their values from.
    pub fn origins(&self) -> Vec<Origin> {
        self.carried.iter().map(|carried| carried.origin).collect()
    }

    /// The columns of a row group's batches, for each rank.
    ///
    /// # Errors
    /// A scratch file that can't be read, or a batch whose exclusions pass 2³¹−1.
    pub fn row_group<'s, 'k: 's>(
        &'s self,
        part: &Arc<LoadedPart<'k>>,
        batches: Range<usize>,
        stats: &StatsSink,
    ) -> Result<RowGroupColumns<'s>> {
        let log_q = self.log_q.as_ref().map(|log_q| log_q.of(part.keys.plan.head, &batches)).transpose()?;
        let columns = Columns {
            pipeline: self.pipeline,
            plane: &part.keys.view,
            plan: &part.keys.plan,
            rules: &self.rules,
            positives: self.positives,
            log_q: log_q.as_deref(),
            sampled: &self.sampled,
        };
        let generate = |batch: usize| columns.batch(batch);
        let generated: Vec<BatchColumns> = batches.clone().into_par_iter().map(generate).collect::<Result<_>>()?;
        generated.iter().for_each(|g| stats.add(&g.stats));
        let generated = Arc::new(generated);
        let slice = self.pipeline.slice();
        let rank = |rank: usize| {
            let of_rank = |batch: &[u32]| (rank * slice).min(batch.len())..((rank + 1) * slice).min(batch.len());
            let sources = Arc::new(RowSources::new(self.pipeline, part, batches.clone(), of_rank));
            let mut out: Vec<crate::dataset::ColumnSource<'s>> = Vec::with_capacity(self.fields.len());
            for (k, carried) in self.carried.iter().enumerate() {
                let (part, sources) = (Arc::clone(part), Arc::clone(&sources));
                let number = sources.of(carried.origin).len();
                // A dictionary that is ordered is written whole, whichever rows there are.
                let keys = KeyRange::of(carried.field.name(), carried.field.data_type());
                let mut keys = keys.filter(|_| carried.order.is_none());
                out.push(Box::new((0..number).step_by(carried.chunk_rows).flat_map(move |start| {
                    let rows = &sources.of(carried.origin)[start..number.min(start + carried.chunk_rows)];
                    let gathered = carried.gather(&part.payload, k, rows).and_then(|arrays| {
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

/// Collects the batches' statistics, in any order.
pub struct StatsSink(Mutex<Vec<BatchStats>>);

impl StatsSink {
    pub fn new(batches: usize) -> Self {
        StatsSink(Mutex::new(Vec::with_capacity(batches)))
    }

    fn add(&self, stats: &BatchStats) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(stats.clone());
    }

    /// In batch order.
    pub fn finish(self) -> Vec<BatchStats> {
        let mut all = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        all.sort_unstable_by_key(|s| s.batch);
        all
    }
}
