//! The tables of items and positives.

use std::path::Path;
use std::sync::Arc;

use arrow::compute::cast;
use arrow::datatypes::Field;
use rayon::prelude::*;

use super::decoder::unfit_example;
use super::facts::ItemFacts;
use super::prepare::Prepared;
use crate::dataset::{self, ItemRow, TableRecord};
use crate::error::{Error, Place, Result};
use crate::keys::Keys;
use crate::negatives::ln_share;
use crate::payload::{
    ArraySize, Decoder, Payload, RowGroupSpan, Scratch, Sink, Spill, WantedLists, WantedRow, alone, with_keys_for,
};
use crate::pipeline::Pipeline;
use crate::source::{self, InputColumn, PLACE, Source};
use crate::spill::MOST_PARTITIONS;
use crate::store;

/// Values of items that are written at a time, in bytes, and most of them.
const PIECE_BYTES: u64 = 16 << 20;
const PIECE_ITEMS: u64 = 1 << 16;

/// Writes items.parquet and positives.parquet, where the pipeline has them. Values of items that pass `room` bytes go through
/// scratch files in `spill_dir`.
pub fn write(p: &Pipeline, prepared: &Prepared, root: &Path, room: u64, spill_dir: &Path) -> Result<Vec<TableRecord>> {
    let mut records = Vec::new();
    let Some(item) = &prepared.keys.shape().item else { return Ok(records) };
    if let Some(name) = &p.item {
        let (column, field) = prepared.source.column("columns.item", name)?;
        let counts = &prepared.facts.items;
        let total = prepared.keys.len() as u64;
        let examples = &counts.shown_by;
        let order = by_low_token(&item.tokens);
        let value_bytes = (prepared.source.decoded_bytes(column) / u64::from(prepared.source.rows.max(1))).max(1);
        let piece = (PIECE_BYTES / value_bytes).clamp(1, PIECE_ITEMS) as usize;
        let least = order.len().div_ceil(MOST_PARTITIONS).max(1);
        let part = ((room / value_bytes) as usize).max(least).next_multiple_of(piece);
        let parts: Vec<(&[u32], Arc<Vec<u32>>)> = order
            .chunks(part)
            .map(|codes| {
                let mut rows: Vec<u32> = codes.par_iter().map(|code| examples[*code as usize]).collect();
                rows.par_sort_unstable();
                (codes, Arc::new(rows))
            })
            .collect();
        // All items stand in one table, and so may be more than narrow keys tell apart.
        let order = prepared.source.order(column);
        let whole =
            order.map_or_else(|| with_keys_for(item.len(), field.data_type()), |order| order.data_type().clone());
        let written = Arc::new(Field::clone(field).with_data_type(whole));
        let held = order.map_or(field.data_type(), |_| &PLACE);
        let mut values = Values::load(&OneColumn::new(prepared, column), &parts, spill_dir)?;
        let pieces = parts.iter().enumerate().flat_map(|(k, (codes, rows))| {
            let payload = match values.part(k) {
                Ok(payload) => payload,
                Err(e) => return Box::new(std::iter::once(Err(e))) as Box<dyn Iterator<Item = _>>,
            };
            let (written, row) = (&written, |code: &u32| {
                let input_row = examples[*code as usize];
                Some(WantedRow { ordinal: rows.partition_point(|row| *row < input_row) as u32, input_row })
            });
            Box::new(codes.chunks(piece).map(move |codes| {
                let values = payload.gather(0, held, &codes.iter().map(row).collect::<Vec<_>>())?;
                let wide = |values| match order {
                    Some(order) => order.dictionary(&values),
                    None => cast(&alone(values), written.data_type()),
                };
                let values = values.into_iter().map(wide).collect::<std::result::Result<_, _>>();
                let values = values.map_err(|e| Error::damaged(Place::column(field.name()), e))?;
                Ok((
                    codes.iter().map(|code| item_row(counts, *code, item.tokens[*code as usize], total)).collect(),
                    values,
                ))
            }))
        });
        records.push(dataset::write_items(root, &written, prepared.source.dates_as_days(), pieces)?);
    }
    if let (true, Some(positives)) = (p.positives, &prepared.positives) {
        let users = &prepared.keys.shape().identity.tokens;
        let order = by_low_token(users);
        let rows = order.into_iter().map(|code| {
            let mut items: Vec<i64> = positives.of(code).iter().map(|i| low(item.tokens[*i as usize])).collect();
            items.sort_unstable();
            (low(users[code as usize]), items)
        });
        records.push(dataset::write_positives(root, rows)?);
    }
    Ok(records)
}

/// A value of each item, by parts of the table.
enum Values {
    Whole(Option<Payload>),
    Spilled(Spill),
}

impl Values {
    /// `parts`: items, and the ascending input rows that show them.
    fn load(decoder: &OneColumn<'_>, parts: &[(&[u32], Arc<Vec<u32>>)], spill_dir: &Path) -> Result<Self> {
        if let [(_, rows)] = parts {
            return Ok(Values::Whole(Some(Payload::load(decoder, &[Arc::clone(rows)])?)));
        }
        let files = parts.iter().map(|_| Ok(Box::new(store::scratch(spill_dir)?) as Box<dyn Scratch>));
        let lists: Vec<Arc<Vec<u32>>> = parts.iter().map(|(_, rows)| Arc::clone(rows)).collect();
        let wanted = WantedLists { lists: &lists, spans: decoder.spans() };
        Ok(Values::Spilled(Spill::write(decoder, 1, files.collect::<Result<_>>()?, &wanted)?))
    }

    /// Each part is asked for once.
    fn part(&mut self, part: usize) -> Result<Payload> {
        match self {
            Values::Whole(payload) => Ok(payload.take().unwrap_or_default()),
            Values::Spilled(spill) => spill.load(part),
        }
    }
}

/// What the output shows of a token.
fn low(token: u128) -> i64 {
    token as u64 as i64
}

/// Codes `0..len`, sorted by `key`, then by code. The keys are moved along: looking them up took most of a sort's time.
fn sorted_codes(len: usize, key: impl Fn(u32) -> u32 + Sync) -> Vec<u32> {
    let mut keyed: Vec<u64> =
        (0..len as u32).into_par_iter().map(|code| u64::from(key(code)) << 32 | u64::from(code)).collect();
    keyed.par_sort_unstable();
    keyed.into_par_iter().map(|keyed| keyed as u32).collect()
}

/// The codes of tokens, sorted by what the output shows of them.
fn by_low_token(tokens: &[u128]) -> Vec<u32> {
    let low = |code: u32| low(tokens[code as usize]);
    let high_half = |code: u32| ((low(code) ^ i64::MIN) as u64 >> 32) as u32;
    let mut order = sorted_codes(tokens.len(), high_half);
    for tied in order.chunk_by_mut(|a, b| high_half(*a) == high_half(*b)).filter(|tied| tied.len() > 1) {
        tied.sort_unstable_by_key(|code| (low(*code), *code));
    }
    order
}

/// An item's row, of `total` examples.
fn item_row(counts: &ItemFacts, code: u32, token: u128, total: u64) -> ItemRow {
    let k = code as usize;
    ItemRow {
        token: low(token),
        rows_before_dedup: counts.rows_before_dedup[k],
        rows: counts.rows[k],
        positives: counts.positives[k],
        log_q: ln_share(counts.rows[k].into(), total),
    }
}

/// Decodes one column.
struct OneColumn<'a> {
    source: &'a Source,
    examples: &'a Keys,
    column: InputColumn,
    spans: Vec<RowGroupSpan>,
}

impl<'a> OneColumn<'a> {
    fn new(prepared: &'a Prepared, column: InputColumn) -> Self {
        let Prepared { source, keys: examples, .. } = prepared;
        let spans = source.row_groups.iter().map(|g| RowGroupSpan { first_row: g.first_row, rows: g.rows }).collect();
        OneColumn { source, examples, column, spans }
    }
}

impl Decoder for OneColumn<'_> {
    fn spans(&self) -> &[RowGroupSpan] {
        &self.spans
    }

    fn cost(&self, _: usize, row_group: usize) -> u64 {
        self.source.row_groups[row_group].rows.into()
    }

    fn decode(&self, _: usize, row_group: usize, _: ArraySize, each: &mut Sink<'_>) -> Result<()> {
        let OneColumn { source, examples, column, .. } = self;
        let group = &source.row_groups[row_group];
        let mut unfit = |rows: &[u32]| unfit_example(source, *column, group, rows, examples);
        let each = &mut |at, array| each(group.first_row + at, array);
        let to = source.field(*column).data_type();
        source::decode_each(source, group, *column, to, source::SMALL_ARRAY, &mut unfit, each)
    }
}
