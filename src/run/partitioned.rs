//! Composition of keys that are on file: user_spread in parts by the seeded order of identities, request_packed with nothing
//! but requests held.

use std::ops::Range;

use super::composed::Positions;
use super::memory::KeyRoom;
use crate::compose::{self, Plan, Pool, Requests, Rng, Slots, Spreader, WindowEnds};
use crate::error::Result;
use crate::keys::{FiledKeys, Key, KeyPlane, PartedKeys};
use crate::pipeline::{Field, Mode, Pipeline, Remainder};
use crate::store::{Parts, words};

/// Most parts.
const MOST_PARTS: usize = 256;

/// Of how many rows one time is looked at, to cut times into parts.
const SAMPLED: usize = 256;

fn number_of_parts(rows: usize, room: &KeyRoom) -> usize {
    rows.div_ceil(room.rows).clamp(1, MOST_PARTS)
}

/// Composes as [`compose::compose`] does, but for groups and for padding. The plan has no order; where each row stands is told
/// instead.
pub fn compose(filed: &FiledKeys, p: &Pipeline, room: &KeyRoom) -> Result<(Plan, Positions)> {
    let (b, rows) = (p.batch_size, filed.len());
    let placed = if p.remainder == Remainder::Drop { rows / b * b } else { rows };
    compose::check(placed, rows, p)?;
    let deciding = if p.mode == Mode::RequestPacked { &[REQUEST][..] } else { &[] };
    let sorted = in_precedence(filed, deciding, room)?;
    let keys = Precedence { keys: sorted.as_ref().unwrap_or(filed), sorted: sorted.is_some() };
    let rank = compose::identity_ranks(&filed.shape().identity.tokens, p.seed);
    let ends = keys.pools(p)?;
    let mut plan = Plan::new(b);
    let (mut positions, mut dropped) = (Positions::new(rows, room), Vec::new());
    let mut place = |position: usize, row: u32| {
        if position < placed {
            return positions.push(row, position as u32);
        }
        dropped.push(row);
        Ok(())
    };
    plan.pools = match p.mode {
        Mode::RequestPacked => pack(&keys, &rank, &ends, p, &mut place)?,
        _ => spread(&keys, &rank, &ends, p, room, &mut place)?,
    };
    if !dropped.is_empty() {
        // They are the last pool's short batch.
        dropped.sort_unstable();
        let last = plan.pools.len().saturating_sub(1) as u32;
        plan.dropped = dropped.into_iter().map(|row| (last, row)).collect();
        plan.pools.iter_mut().last().iter_mut().for_each(|pool| pool.batches -= 1);
    }
    Ok((plan, positions))
}

/// Rows of a range of identities at a time; `place` gets each row's position.
fn spread(
    keys: &Precedence<'_>,
    rank: &[u32],
    ends: &[usize],
    p: &Pipeline,
    room: &KeyRoom,
    mut place: impl FnMut(usize, u32) -> Result<()>,
) -> Result<Vec<Pool>> {
    let b = p.batch_size;
    let (mut pools, mut start) = (Vec::with_capacity(ends.len()), 0);
    for (k, end) in ends.iter().enumerate() {
        let rows = end - start;
        let mut rng = Rng::new(p.seed, "deal", k as u64);
        let mut spreader = Spreader::new(rows, b, rank, &mut rng);
        let mut by_batch = ByBatch::new(start / b, rows, b, room);
        let by_rank = keys.by_rank(start..*end, rank, room)?;
        for part in 0..by_rank.len() {
            let (rows, plane) = by_rank.take(part)?;
            let all = (0..plane.len() as u32).collect();
            let row = |at: u32| rows[at as usize];
            spreader.take(all, &plane.identity.rows, row, |batch, row| by_batch.push(batch, row));
        }
        spreader.finish(|batch, row| by_batch.push(batch, row));
        by_batch.place(p.seed, &mut place)?;
        pools.push(Pool { first_batch: start / b, batches: rows.div_ceil(b) });
        start = *end;
    }
    Ok(pools)
}

/// Nothing is held but requests; `place` gets each row's position.
fn pack(
    keys: &Precedence<'_>,
    rank: &[u32],
    ends: &[usize],
    p: &Pipeline,
    mut place: impl FnMut(usize, u32) -> Result<()>,
) -> Result<Vec<Pool>> {
    let all = 0..keys.keys.len();
    let codes = |plane: &KeyPlane| plane.request.as_ref().map_or_else(Vec::new, |request| request.rows.clone());
    let mut requests = Requests::new(keys.keys.shape().request.as_ref().map_or(0, |request| request.len()));
    keys.keys.each_piece(all.clone(), &[REQUEST], |_, plane| {
        let identities = plane.identity.rows.iter().map(|identity| rank[*identity as usize]);
        codes(plane).into_iter().zip(identities).for_each(|(request, rank)| requests.add(request, rank));
        Ok(())
    })?;
    let mut packed = requests.pack(ends, p);
    keys.keys.each_piece(all, &[REQUEST, Key::InputRow], |first, plane| {
        let mut codes = codes(plane).into_iter().enumerate();
        codes.try_for_each(|(at, request)| place(packed.place(request) as usize, keys.row(first, plane, at)))
    })?;
    Ok(packed.pools)
}

const REQUEST: Key = Key::Code(Field::Request);

/// Keys in precedence.
struct Precedence<'a> {
    keys: &'a FiledKeys,
    /// They were sorted: what are the rows in the input elsewhere are the rows of the examples here.
    sorted: bool,
}

impl Precedence<'_> {
    /// The row of the examples at a place of a piece, which begins at `first`.
    fn row(&self, first: usize, plane: &KeyPlane, at: usize) -> u32 {
        if self.sorted { plane.input_row[at] } else { (first + at) as u32 }
    }

    /// Where pools end.
    fn pools(&self, p: &Pipeline) -> Result<Vec<usize>> {
        let mut ends = WindowEnds::new(self.keys.shape(), p)?;
        self.keys.each_piece(0..self.keys.len(), &[Key::Time], |_, plane| {
            match &plane.time {
                Some(time) => time.iter().for_each(|time| ends.add(*time)),
                None => (0..plane.len()).for_each(|_| ends.add(0)),
            }
            Ok(())
        })?;
        Ok(ends.pools(p.batch_size))
    }

    /// The identities of a pool's rows in parts by rank, with the rows.
    fn by_rank(&self, pool: Range<usize>, rank: &[u32], room: &KeyRoom) -> Result<PartedKeys> {
        let mut shape = KeyPlane::default();
        shape.identity = self.keys.shape().identity.without_rows();
        let number = number_of_parts(pool.len(), room);
        let mut parted = PartedKeys::new(&shape, number, room.bytes / 4, &room.folder);
        let columns = if self.sorted { &[Key::InputRow][..] } else { &[] };
        self.keys.each_piece(pool, columns, |first, plane| {
            for (at, identity) in plane.identity.rows.iter().enumerate() {
                let part = rank[*identity as usize] as usize * number / rank.len();
                parted.push(part, self.row(first, plane, at), plane, at)?;
            }
            Ok(())
        })?;
        Ok(parted)
    }
}

/// Identities, times and these columns in precedence, if they are not already: by time, then by row, which stands for the row in
/// the input.
fn in_precedence(filed: &FiledKeys, columns: &[Key], room: &KeyRoom) -> Result<Option<FiledKeys>> {
    let (mut last, mut is_sorted, mut sample) = (i64::MIN, true, Vec::new());
    filed.each_piece(0..filed.len(), &[Key::Time], |first, plane| {
        for (time, row) in plane.time.iter().flatten().zip(first..) {
            is_sorted &= last <= *time;
            last = *time;
            if row % SAMPLED == 0 {
                sample.push((*time, row as u32));
            }
        }
        Ok(())
    })?;
    if is_sorted {
        return Ok(None);
    }
    sample.sort_unstable();
    let number = number_of_parts(filed.len(), room);
    // With rows, so that times that are all the same are parted too.
    let splitters: Vec<(i64, u32)> = (1..number).map(|k| sample[k * sample.len() / number]).collect();
    let mut parted: Option<PartedKeys> = None;
    filed.each_piece(0..filed.len(), &[columns, &[Key::Time]].concat(), |first, plane| {
        let parted = parted.get_or_insert_with(|| PartedKeys::new(plane, number, room.bytes, &room.folder));
        plane.time.iter().flatten().enumerate().try_for_each(|(at, time)| {
            let row = (first + at) as u32;
            parted.push(splitters.partition_point(|s| *s <= (*time, row)), row, plane, at)
        })
    })?;
    let mut sorted = FiledKeys::empty(filed.shape().only(columns), &room.folder)?;
    for part in 0..number {
        let Some((rows, plane)) = parted.as_ref().map(|parted| parted.take(part)).transpose()? else { continue };
        let time = plane.time.as_deref().unwrap_or(&[]);
        let mut order: Vec<u32> = (0..plane.len() as u32).collect();
        // Stable: rows came in input order.
        order.sort_by_key(|at| time[*at as usize]);
        sorted.extend(&mut KeyPlane { input_row: rows, ..plane }.gather(&order))?;
    }
    Ok(Some(sorted))
}

/// The rows of a pool by batch.
struct ByBatch {
    parts: Parts,
    /// The dataset's first batch of the pool, and the batches of a part.
    first_batch: usize,
    per_part: usize,
    batch_size: usize,
    /// Of a record that could not be written.
    failed: Result<()>,
}

impl ByBatch {
    fn new(first_batch: usize, rows: usize, batch_size: usize, room: &KeyRoom) -> Self {
        let batches = rows.div_ceil(batch_size);
        let per_part = batches.div_ceil(number_of_parts(rows, room)).max(1);
        let parts = Parts::new(batches.div_ceil(per_part), room.bytes / 4, &room.folder);
        ByBatch { parts, first_batch, per_part, batch_size, failed: Ok(()) }
    }

    fn push(&mut self, batch: u32, row: u32) {
        if self.failed.is_ok() {
            self.failed = self.parts.push_words(batch as usize / self.per_part, [batch, row]);
        }
    }

    /// Calls `each` with the position in the dataset of each row, in reading order.
    fn place(self, seed: u64, mut each: impl FnMut(usize, u32) -> Result<()>) -> Result<()> {
        self.failed?;
        for part in 0..self.parts.len() {
            let records = self.parts.take(part)?;
            let first = part * self.per_part;
            let mut slots = Slots::new(records.len() / 8, self.batch_size);
            words(&records).for_each(|[batch, row]| slots.place(batch - first as u32, row));
            drop(records);
            let first = self.first_batch + first;
            let placed = slots.shuffled(seed, first).into_iter().enumerate();
            placed.into_iter().try_for_each(|(at, row)| each(first * self.batch_size + at, row))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::keys::Codes;
    use crate::pipeline;

    /// With few rows a part, and room for few records.
    fn in_parts(plane: &mut KeyPlane, p: &Pipeline, bytes: u64) -> Result<(Plan, Positions)> {
        let dir = tempfile::tempdir().unwrap();
        let mut filed = FiledKeys::empty(plane.without_rows(), dir.path())?;
        filed.extend(plane)?;
        compose(&filed, p, &KeyRoom { bytes, folder: dir.path().into(), rows: 7 })
    }

    proptest! {
        #[test]
        fn parts_give_what_all_keys_at_once_give(
            rows in prop::collection::vec((prop_oneof![0u32..3, 0u32..40], 0i64..30, prop_oneof![0u32..2, 0u32..60]), 1..200),
            mode in prop::sample::select(vec!["user_spread", "request_packed"]),
            sorted in any::<bool>(),
            batch_size in 1u32..20,
            remainder in prop::sample::select(vec!["short", "drop"]),
            window in prop::sample::select(vec!["", "compose.window = 30", "compose.window = \"5ns\""]),
            bytes in prop::sample::select(vec![0u64, 300, 1 << 20]),
        ) {
            let mut rows = rows;
            if sorted {
                rows.sort_by_key(|(_, time, _)| *time);
            }
            let tokens = (0..40u128).map(|k| k << 64).collect();
            let mut plane = KeyPlane {
                input_row: (0..rows.len() as u32).map(|row| 3 * row + 1).collect(),
                identity: Codes::new(rows.iter().map(|(identity, ..)| *identity).collect(), tokens),
                time: Some(rows.iter().map(|(_, time, _)| *time).collect()),
                request: Some(Codes::without_tokens(rows.iter().map(|(.., request)| *request).collect(), 60)),
                time_unit_nanos: Some(1),
                ..KeyPlane::default()
            };
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("p.toml");
            let text = format!(
                "input.shards = [\"in\"]\ncolumns = {{ identity = \"u\", request = \"r\", time = \"t\" }}\noutput.path = \"out\"\n\
                 compose.batch_size = {batch_size}\ncompose.remainder = \"{remainder}\"\ncompose.mode = \"{mode}\"\n{window}"
            );
            crate::store::write(&file, text.as_bytes()).unwrap();
            let p = pipeline::load(&file, &[]).unwrap();
            let expected = compose::compose(&plane, compose::windows(&plane, &p).unwrap(), &p);
            match (expected, in_parts(&mut plane, &p, bytes)) {
                (Ok(expected), Ok((plan, positions))) => {
                    prop_assert_eq!(positions.order(), expected.order);
                    prop_assert_eq!(plan.pools, expected.pools);
                    prop_assert_eq!(plan.dropped, expected.dropped);
                    prop_assert!(expected.copy.is_empty());
                }
                (expected, found) => prop_assert_eq!(
                    expected.map_err(|e| e.to_string()).err(),
                    found.map_err(|e| e.to_string()).err()
                ),
            }
        }
    }
}
