//! What a run takes, estimated from footers and keys.

use serde::Serialize;

use super::items::item_column;
use super::origin::Origin;
use super::prepare::Prepared;
use crate::allocator::KEPT;
use crate::compose::mode;
use crate::dataset::Cuts;
use crate::figures::Composition;
use crate::keys::Codes;
use crate::negatives::{Positives, need_positives};
use crate::payload::KEEP_WHOLE;
use crate::pipeline::{Encoding, Field, Pipeline};
use crate::schema::bitmap_bytes;
use crate::source::Source;
use crate::spill::{MOST_PARTITIONS, half_of_free};
use crate::stats::BatchStats;

/// What encoders and decoders hold beside keys and payload, for each row group in flight, and beside its own bytes.
const IN_FLIGHT: u64 = 96 << 20;

/// A run that takes less than this need not say that its limit is short.
const WORTH_A_WORD: u64 = 256 << 20;

/// What a run may hold at once.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Bytes of payload: the limit less keys and what is in flight.
    pub payload: u64,
    /// Row groups that are encoded side by side; columns are anyway.
    pub row_groups: usize,
    /// If a limit is given that keys and what is in flight alone pass: what the run may take.
    pub short_of: Option<u64>,
}

/// A row group's bitmaps where hardly any are the same.
fn bitmaps(p: &Pipeline, rows: u64) -> u64 {
    if p.encoding != Encoding::Bitmap || !need_positives(p) {
        return 0;
    }
    bitmap_bytes(p.batch_size) as u64 * p.row_group_rows.min(rows)
}

/// What is held for a row group, while it is encoded and the one before is written.
fn in_flight(p: &Pipeline, row_bytes: u64, payload: u64, rows: u64) -> u64 {
    IN_FLIGHT + 2 * Cuts::row_group_bytes(p, row_bytes).min(payload) + 2 * bitmaps(p, rows)
}

/// Row groups that are encoded side by side in so many bytes.
fn row_groups_in(bytes: u64, in_flight: u64) -> u64 {
    (bytes / 2 / in_flight).clamp(1, rayon::current_num_threads() as u64)
}

/// Row groups of a part that are encoded side by side, in `limit` bytes or half of what is free.
pub fn row_groups_at_a_time(p: &Pipeline, source: &Source, limit: Option<u64>) -> usize {
    let all = limit.unwrap_or_else(half_of_free);
    row_groups_in(all, in_flight(p, source.row_bytes(), u64::MAX, source.rows.into())) as usize
}

/// Shares out `limit`, or half of what is free.
pub fn budget(p: &Pipeline, prepared: &Prepared, limit: Option<u64>) -> Budget {
    let all = limit.unwrap_or_else(half_of_free);
    let keys = KeyBytes::of(p, prepared);
    let payload = payload_bytes(p, prepared);
    // One is encoded while another is written.
    let rows = prepared.composition.composed.head().rows();
    let in_flight = in_flight(p, prepared.source.row_bytes(), payload.in_parts, rows as u64);
    let beside_keys = all.saturating_sub(keys.held);
    let row_groups = row_groups_in(beside_keys, in_flight);
    let parts = if payload.whole + keys.held > all { 3 * payload.in_parts / MOST_PARTITIONS as u64 } else { 0 };
    let least = keys.composing.max(keys.held + 2 * in_flight + parts);
    Budget {
        payload: beside_keys.saturating_sub(in_flight * row_groups + all / KEPT).max(all / 8),
        row_groups: row_groups as usize,
        short_of: (limit.is_some() && all < least && keys.held + payload.whole > WORTH_A_WORD).then_some(least),
    }
}

/// Bytes, roughly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Memory {
    pub keys: u64,
    /// Decoded.
    pub payload: u64,
    /// What goes through scratch files, before compression.
    pub spill: u64,
    /// If `--memory` is given and short: what the run may take.
    pub short_of: Option<u64>,
}

/// The estimate for a run in `limit` bytes (`None`: half of what is free).
pub fn memory(p: &Pipeline, prepared: &Prepared, limit: Option<u64>) -> Memory {
    let payload = payload_bytes(p, prepared);
    let Budget { payload: room, short_of, .. } = budget(p, prepared, limit);
    let on_file = prepared.composition.room.is_on_file();
    let spill = if payload.whole > room || on_file { payload.in_parts } else { 0 };
    Memory { keys: KeyBytes::of(p, prepared).most(), payload: payload.whole, spill: spill + prepared.spilled, short_of }
}

/// Decoded bytes of what is carried, as far as the footers tell.
#[derive(Debug, Clone, Copy)]
pub struct PayloadBytes {
    /// With one value of requests' columns for each request.
    pub whole: u64,
    /// Cut into parts of the output, each with what its rows need.
    pub in_parts: u64,
}

pub fn payload_bytes(p: &Pipeline, prepared: &Prepared) -> PayloadBytes {
    let Prepared { source, composition, .. } = prepared;
    let Composition { keys, facts, .. } = composition;
    let rows = keys.len();
    let requests = facts.number_of_requests().unwrap_or(rows);
    let kept = |bytes: u64, rows: usize| {
        let share = rows as f64 / f64::from(source.rows.max(1));
        (bytes as f64 * if share >= KEEP_WHOLE { 1.0 } else { share }) as u64
    };
    let mut bytes = PayloadBytes { whole: 0, in_parts: 0 };
    for (column, field) in source.carried() {
        let decoded = source.decoded_bytes(*column);
        let (whole, in_parts) = match (Origin::of(p, field.name()), mode(p).together()) {
            (Origin::Row, _) => (rows, rows),
            (_, Some(Field::Request)) => (requests, requests),
            // The rows of a request may stand in as many parts.
            _ => (requests, rows),
        };
        bytes.whole += kept(decoded, whole);
        bytes.in_parts += kept(decoded, in_parts);
    }
    // The value of each item, for their table.
    if let (Some(item), Ok(Some(column))) = (&keys.shape().item, item_column(p, source)) {
        let values = kept(source.decoded_bytes(column), item.len());
        bytes.whole += values;
        bytes.in_parts += values;
    }
    bytes
}

/// What is held of keys.
struct KeyBytes {
    /// While they are composed.
    composing: u64,
    /// Once they are, beside payload.
    held: u64,
}

impl KeyBytes {
    fn of(p: &Pipeline, prepared: &Prepared) -> Self {
        let Composition { keys, composed, .. } = &prepared.composition;
        let (shape, head) = (keys.shape(), composed.head());
        let of = |held: bool, bytes: u64| if held { bytes } else { 0 };
        let (rows, positions) = (keys.len() as u64, head.rows() as u64);
        let distinct = |codes: Option<&Codes<'_>>| codes.map_or(0, |c| c.len() as u64);
        let texts = shape.label.iter().flat_map(|label| label.text.iter().flatten());
        // A label's token and text; an identity's token and counts; an item's token, four counts, and what sorts them; a
        // request's count, carrier and its row.
        let by_value = texts.map(|text| 64 + text.len() as u64).sum::<u64>()
            + distinct(Some(&shape.identity)) * 32
            + distinct(shape.item.as_ref()) * 48
            + distinct(shape.request.as_ref()) * 16
            + prepared.composition.positives.as_ref().map_or(0, Positives::bytes);
        // Requests' shapes, order and places, while they are packed.
        let packing =
            if mode(p).deciding() == Some(Field::Request) { distinct(shape.request.as_ref()) * 84 } else { 0 };
        // Statistics of the output's batches, and of the input's order; a pool and a row for each dropped example.
        let both = by_value + 2 * (head.batches() * size_of::<BatchStats>()) as u64;
        let (composing, held) = match prepared.composition.room.is_on_file() {
            false => {
                let codes = [Some(&shape.identity), shape.request.as_ref(), shape.item.as_ref()];
                let coded =
                    codes.into_iter().flatten().count() + shape.columns.len() + usize::from(shape.label.is_some());
                // And the row in the input.
                let row = 4 * coded as u64 + 4 + of(shape.positive.is_some(), 1) + of(shape.time.is_some(), 8);
                // Rows by identity, as they are dealt, and their order; or the order, and the rows that payload is read for.
                let windowed = head.pools.len() > 1 && shape.item.is_some();
                let by_position = of(head.copies > 0, 4) + of(windowed, 4);
                (rows * (row + 12) + positions * by_position, rows * (row + 4) + positions * (by_position + 4))
            }
            // Whether a row survives dedup.
            true => (rows, 0),
        };
        KeyBytes { composing: composing + packing + both, held: held + both }
    }

    fn most(&self) -> u64 {
        self.composing.max(self.held)
    }
}
