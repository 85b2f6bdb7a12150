//! user_spread of keys that are on file: in parts by the seeded order of identities, each composed by itself.

use std::ops::Range;

use super::composed::Positions;
use super::memory::KeyRoom;
use crate::compose::{self, Plan, Pool, Rng, Slots, Spreader, WindowEnds};
use crate::error::Result;
use crate::keys::{FiledKeys, Key, KeyPlane, PartedKeys};
use crate::pipeline::{Field, Pipeline, Remainder};
use crate::store::{Column, Parts};

/// Most parts.
const MOST_PARTS: usize = 256;

/// Of how many rows one time is looked at, to cut times into parts.
const SAMPLED: usize = 256;

fn number_of_parts(rows: usize, room: &KeyRoom) -> usize {
    rows.div_ceil(room.rows).clamp(1, MOST_PARTS)
}

/// Composes as [`compose::compose`] does, but for padding. The plan has no order; where each row stands is told instead.
pub fn spread(filed: &FiledKeys, p: &Pipeline, room: &KeyRoom) -> Result<(Plan, Positions)> {
    let (b, rows) = (p.batch_size, filed.len());
    let placed = if p.remainder == Remainder::Drop { rows / b * b } else { rows };
    compose::check(placed, rows, p)?;
    let sorted = in_precedence(filed, room)?;
    let keys = Precedence { keys: sorted.as_ref().unwrap_or(filed), sorted: sorted.is_some() };
    let rank = compose::identity_ranks(&filed.shape().identity.tokens, p.seed);
    let mut plan = Plan::new(b);
    let mut positions = Positions::new(rows, room);
    let mut start = 0;
    for (k, end) in keys.pools(p)?.into_iter().enumerate() {
        let mut rng = Rng::new(p.seed, "deal", k as u64);
        let mut spreader = Spreader::new(end - start, b, &rank, &mut rng);
        let mut by_batch = ByBatch::new(start / b, end - start, b, room);
        let by_rank = keys.by_rank(start..end, &rank, room)?;
        for part in 0..by_rank.len() {
            let (rows, plane) = by_rank.take(part)?;
            let all = (0..plane.len() as u32).collect();
            let row = |at: u32| rows[at as usize];
            spreader.take(all, &plane.identity.rows, row, |batch, row| by_batch.push(batch, row));
        }
        spreader.finish(|batch, row| by_batch.push(batch, row));
        by_batch.place(p.seed, |position, row| {
            if position < placed {
                return positions.push(row, position as u32);
            }
            plan.dropped.push((k as u32, row));
            Ok(())
        })?;
        plan.pools.push(Pool { first_batch: start / b, batches: end.min(placed).div_ceil(b) - start / b });
        start = end;
    }
    plan.dropped.sort_unstable();
    Ok((plan, positions))
}

/// Keys in precedence.
struct Precedence<'a> {
    keys: &'a FiledKeys,
    /// They were sorted: what are the rows in the input elsewhere are the rows of the examples here.
    sorted: bool,
}

impl Precedence<'_> {
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
                let row = if self.sorted { plane.input_row[at] } else { (first + at) as u32 };
                parted.push(part, row, plane, at)?;
            }
            Ok(())
        })?;
        Ok(parted)
    }
}

/// The keys in precedence, if they are not already: by time, then by row, which stands for the row in the input.
fn in_precedence(filed: &FiledKeys, room: &KeyRoom) -> Result<Option<FiledKeys>> {
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
    filed.each_piece(0..filed.len(), &[Key::Time], |first, plane| {
        let parted = parted.get_or_insert_with(|| PartedKeys::new(plane, number, room.bytes, &room.folder));
        plane.time.iter().flatten().enumerate().try_for_each(|(at, time)| {
            let row = (first + at) as u32;
            parted.push(splitters.partition_point(|s| *s <= (*time, row)), row, plane, at)
        })
    })?;
    let (mut rows, mut identities, mut times) =
        (Column::new(Some(&room.folder))?, Column::new(Some(&room.folder))?, Column::new(Some(&room.folder))?);
    for part in 0..number {
        let Some((numbers, plane)) = parted.as_ref().map(|parted| parted.take(part)).transpose()? else { continue };
        let time = plane.time.as_deref().unwrap_or(&[]);
        let mut order: Vec<u32> = (0..plane.len() as u32).collect();
        // Stable: rows came in input order.
        order.sort_by_key(|at| time[*at as usize]);
        let plane = KeyPlane { input_row: numbers, ..plane }.gather(&order);
        rows.extend(&plane.input_row)?;
        identities.extend(&plane.identity.rows)?;
        times.extend(plane.time.as_deref().unwrap_or(&[]))?;
    }
    let codes = vec![(Field::Identity, identities)];
    Ok(Some(FiledKeys::new(filed.shape().without_rows(), rows, codes, Some(times), None)))
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
            let mut record = [0; 8];
            record[..4].copy_from_slice(&batch.to_le_bytes());
            record[4..].copy_from_slice(&row.to_le_bytes());
            self.failed = self.parts.push(batch as usize / self.per_part, &record);
        }
    }

    /// Calls `each` with the position in the dataset of each row, in reading order.
    fn place(self, seed: u64, mut each: impl FnMut(usize, u32) -> Result<()>) -> Result<()> {
        self.failed?;
        for part in 0..self.parts.len() {
            let records = self.parts.take(part)?;
            let first = part * self.per_part;
            let mut slots = Slots::new(records.len() / 8, self.batch_size);
            for record in records.chunks_exact(8) {
                let word = |at: usize| record[at..at + 4].try_into().map_or(0, u32::from_le_bytes);
                slots.place(word(0) - first as u32, word(4));
            }
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
    fn spread_of(plane: &mut KeyPlane, p: &Pipeline, bytes: u64) -> Result<(Plan, Positions)> {
        let dir = tempfile::tempdir().unwrap();
        let filed = FiledKeys::of(plane, dir.path());
        spread(&filed, p, &KeyRoom { bytes, folder: dir.path().into(), rows: 7 })
    }

    proptest! {
        #[test]
        fn parts_give_what_all_keys_at_once_give(
            rows in prop::collection::vec((prop_oneof![0u32..3, 0u32..40], 0i64..30), 1..200),
            sorted in any::<bool>(),
            batch_size in 1u32..20,
            remainder in prop::sample::select(vec!["short", "drop"]),
            window in prop::sample::select(vec!["", "compose.window = 30", "compose.window = \"5ns\""]),
            bytes in prop::sample::select(vec![0u64, 300, 1 << 20]),
        ) {
            let mut rows = rows;
            if sorted {
                rows.sort_by_key(|(_, time)| *time);
            }
            let tokens = (0..40u128).map(|k| k << 64).collect();
            let mut plane = KeyPlane {
                input_row: (0..rows.len() as u32).map(|row| 3 * row + 1).collect(),
                identity: Codes::new(rows.iter().map(|(identity, _)| *identity).collect(), tokens),
                time: Some(rows.iter().map(|(_, time)| *time).collect()),
                time_unit_nanos: Some(1),
                ..KeyPlane::default()
            };
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("p.toml");
            let text = format!(
                "input.shards = [\"in\"]\ncolumns = {{ identity = \"u\", time = \"t\" }}\noutput.path = \"out\"\n\
                 compose.batch_size = {batch_size}\ncompose.remainder = \"{remainder}\"\n{window}"
            );
            crate::store::write(&file, text.as_bytes()).unwrap();
            let p = pipeline::load(&file, &[]).unwrap();
            let expected = compose::compose(&plane, compose::windows(&plane, &p).unwrap(), &p);
            match (expected, spread_of(&mut plane, &p, bytes)) {
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
