//! The tables of items and positives.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use rayon::prelude::*;

use crate::dataset::{self, ItemRow, TableRecord};
use crate::error::{Error, Place, Result};
use crate::figures::Composition;
use crate::negatives::ln_share;
use crate::payload::{Payload, WantedRow, alone, with_keys_for};
use crate::pipeline::Pipeline;
use crate::source::{InputColumn, PLACE, Source};
use crate::spill::MOST_PARTITIONS;

/// Values of items that are written at a time, in bytes, and most of them.
const PIECE_BYTES: u64 = 16 << 20;
const PIECE_ITEMS: u64 = 1 << 16;

/// The column that `columns.item` names; `None` where none is mapped.
///
/// # Errors
/// The input has no such column.
pub fn item_column(p: &Pipeline, source: &Source) -> Result<Option<InputColumn>> {
    p.item.as_ref().map(|name| Ok(source.column("columns.item", name)?.0)).transpose()
}

/// Cuts the table of `number` items into parts whose values take about `room` bytes.
pub fn item_parts(source: &Source, column: InputColumn, number: usize, room: u64) -> Vec<Range<usize>> {
    let least = number.div_ceil(MOST_PARTITIONS).max(1);
    // Parts are whole pieces, so that the table does not depend on the room.
    let size = ((room / value_bytes(source, column)) as usize).max(least).next_multiple_of(piece(source, column));
    (0..number).step_by(size).map(|start| start..number.min(start + size)).collect()
}

/// Items whose values are written at a time.
fn piece(source: &Source, column: InputColumn) -> usize {
    (PIECE_BYTES / value_bytes(source, column)).clamp(1, PIECE_ITEMS) as usize
}

/// What an item's value takes, on average.
fn value_bytes(source: &Source, column: InputColumn) -> u64 {
    (source.decoded_bytes(column) / u64::from(source.rows.max(1))).max(1)
}

/// All items, in the order of their table.
pub struct ItemOrder<'a> {
    composition: &'a Composition,
    tokens: Arc<Vec<u128>>,
    codes: Vec<u32>,
}

impl<'a> ItemOrder<'a> {
    /// `None` where no item is mapped.
    pub fn new(composition: &'a Composition) -> Option<Self> {
        let tokens = Arc::clone(&composition.keys.shape().item.as_ref()?.tokens);
        Some(ItemOrder { composition, codes: by_low_token(&tokens), tokens })
    }

    pub fn len(&self) -> usize {
        self.codes.len()
    }

    /// The row of the table at a place, and the input row that shows the item's value.
    pub fn at(&self, place: usize) -> (ItemRow, u32) {
        let code = self.codes[place] as usize;
        let counts = &self.composition.facts.items;
        let row = ItemRow {
            token: low(self.tokens[code]),
            rows_before_dedup: counts.rows_before_dedup[code],
            rows: counts.rows[code],
            positives: counts.positives[code],
            log_q: ln_share(counts.rows[code].into(), self.composition.keys.len() as u64),
        };
        (row, counts.shown_by[code])
    }

    /// The input rows that show the items of some places, ascending.
    pub fn rows(&self, places: Range<usize>) -> Vec<u32> {
        let shown_by = &self.composition.facts.items.shown_by;
        let mut rows: Vec<u32> = self.codes[places].par_iter().map(|code| shown_by[*code as usize]).collect();
        rows.par_sort_unstable();
        rows
    }
}

/// Writes items.parquet of `number` items, a part after the other: `at` gives the row at a place of the table and the input row that shows
/// its value; `load` gives the values of a part, by ascending input row.
///
/// # Errors
/// What `load` says, or a file that can't be written.
pub fn write_items(
    source: &Source,
    column: InputColumn,
    root: &Path,
    (number, parts): (usize, &[Range<usize>]),
    at: impl Fn(usize) -> (ItemRow, u32),
    mut load: impl FnMut(usize) -> Result<Payload>,
) -> Result<TableRecord> {
    let field = source.field(column);
    let order = source.order(column);
    let piece = piece(source, column);
    // All items stand in one table, and so may be more than narrow keys tell apart.
    let whole = order.map_or_else(|| with_keys_for(number, field.data_type()), |order| order.data_type().clone());
    let written = Arc::new(Field::clone(field).with_data_type(whole));
    let held: &DataType = order.map_or(field.data_type(), |_| &PLACE);
    let at = &at;
    let pieces = parts.iter().enumerate().flat_map(|(part, places)| {
        let payload = match load(part) {
            Ok(payload) => payload,
            Err(e) => return Box::new(std::iter::once(Err(e))) as Box<dyn Iterator<Item = _>>,
        };
        let mut shown: Vec<u32> = places.clone().map(|place| at(place).1).collect();
        shown.par_sort_unstable();
        let written = &written;
        Box::new(places.clone().step_by(piece).map(move |start| {
            let (items, rows): (Vec<ItemRow>, Vec<u32>) = (start..places.end.min(start + piece)).map(at).unzip();
            let wanted = |row: &u32| {
                Some(WantedRow { ordinal: shown.partition_point(|shown| shown < row) as u32, input_row: *row })
            };
            let values = payload.gather(0, held, &rows.iter().map(wanted).collect::<Vec<_>>())?;
            let wide = |values| match order {
                Some(order) => order.dictionary(&values),
                None => cast(&alone(values), written.data_type()),
            };
            let values = values.into_iter().map(wide).collect::<std::result::Result<_, _>>();
            Ok((items, values.map_err(|e| Error::damaged(Place::column(field.name()), e))?))
        }))
    });
    dataset::write_items(root, &written, source.dates_as_days(), pieces)
}

/// Writes positives.parquet.
///
/// # Errors
/// A file that can't be written.
pub fn write_positives(p: &Pipeline, composition: &Composition, root: &Path) -> Result<Option<TableRecord>> {
    let (true, Some(positives), Some(item)) = (p.positives, &composition.positives, &composition.keys.shape().item)
    else {
        return Ok(None);
    };
    let users = &composition.keys.shape().identity.tokens;
    let rows = by_low_token(users).into_iter().map(|code| {
        let mut items: Vec<i64> = positives.of(code).iter().map(|i| low(item.tokens[*i as usize])).collect();
        items.sort_unstable();
        (low(users[code as usize]), items)
    });
    dataset::write_positives(root, rows).map(Some)
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
