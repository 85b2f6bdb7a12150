//! Stage 2, dedup: which of several equal rows survives.
//!
//! Takes keys, tells of each row whether it survives. Rows are equal when they agree in all fields of the key; a row
//! with a null in the key equals no other. The survivor is the first or the last in time order, then
//! input order: a total order, so neither threads nor chunks matter.

use std::ops::Range;

use rayon::prelude::*;

use crate::error::Result;
use crate::keys::{Key, KeyExchange, KeyView, Keys};
use crate::pipeline::{Field, Keep};
use crate::spill::Room;

const BUCKET_BITS: u32 = 8;

/// Rows that are held by bucket at a time, about, 8 bytes each; with more rows, the buckets are filled in several rounds.
const ROWS_AT_A_TIME: u32 = 4 << 20;

/// Whether each row survives.
pub fn survivors(plane: &KeyView<'_>, key: &[Field], keep: Keep) -> Vec<bool> {
    let rounds = (plane.len() as u32).div_ceil(ROWS_AT_A_TIME).next_power_of_two().min(1 << BUCKET_BITS);
    survivors_in_rounds(plane, key, keep, rounds)
}

/// Whether each of all rows survives.
///
/// # Errors
/// A scratch file that can't be read or written.
pub fn survivors_of(keys: &Keys, key: &[Field], keep: Keep, room: &Room) -> Result<Vec<bool>> {
    let columns: Vec<Key> = key.iter().cloned().map(Key::Code).chain([Key::Time]).collect();
    let number = room.partitions(keys.len());
    if number == 1 {
        return Ok(survivors(&keys.view(0..keys.len(), &columns)?, key, keep));
    }
    let mut parted: Option<KeyExchange> = None;
    keys.each_piece(&columns, |first, view| {
        let codes: Vec<&[u32]> = key.iter().filter_map(|f| view.codes(f)).collect();
        // Rows that are equal come into one partition.
        let part = |row: u32| ((hash(&codes, row as usize) >> 32) as usize % number) as u32;
        let rows: Vec<(u32, u32, u32)> =
            (0..view.len() as u32).into_par_iter().map(|row| (part(row), first as u32 + row, row)).collect();
        parted.get_or_insert_with(|| KeyExchange::new(view, number, 1, room)).extend(&rows, view)
    })?;
    let mut survives = vec![false; keys.len()];
    for part in 0..number {
        let Some((rows, view)) = parted.as_ref().map(|parted| parted.read(part)).transpose()? else { continue };
        let kept = survivors(&view, key, keep);
        rows.into_iter().zip(kept).for_each(|(row, kept)| survives[row as usize] = kept);
    }
    Ok(survives)
}

fn hash(columns: &[&[u32]], row: usize) -> u64 {
    columns.iter().fold(0, |h, c| mix(h ^ u64::from(c[row])))
}

/// Whether each row survives, decided in `rounds` rounds: a power of two up to the number of buckets.
fn survivors_in_rounds(plane: &KeyView<'_>, key: &[Field], keep: Keep, rounds: u32) -> Vec<bool> {
    let rows = plane.len() as u32;
    let columns: Vec<&[u32]> = key.iter().filter_map(|f| plane.codes(f)).collect();
    if columns.is_empty() {
        return vec![true; plane.len()];
    }
    let null_label = match &plane.label {
        Some(labels) if key.contains(&Field::Label) => {
            labels.text.iter().position(Option::is_none).map(|code| (&*labels.rows, code as u32))
        }
        _ => None,
    };
    let key = Compared { columns, null_label };
    let order = |row: u32| (plane.time.as_ref().map_or(0, |t| t[row as usize]), row);
    let mut survives = vec![false; rows as usize];
    let at_a_time = (1 << BUCKET_BITS) / rounds;
    for first in (0..1 << BUCKET_BITS).step_by(at_a_time as usize) {
        let parts = key.bucketed(rows, first..first + at_a_time);
        let kept: Vec<Vec<u32>> = (0..at_a_time as usize)
            .into_par_iter()
            .map(|bucket| {
                let mut entries: Vec<u64> = parts.iter().flat_map(|buckets| &buckets[bucket]).copied().collect();
                entries.sort_unstable();
                key.best(&entries, |row, best| (keep == Keep::First) == (order(row) < order(best)))
            })
            .collect();
        kept.iter().flatten().for_each(|row| survives[*row as usize] = true);
    }
    survives
}

/// The columns by which rows are compared.
struct Compared<'a> {
    columns: Vec<&'a [u32]>,
    /// The labels and the code that says that there is none, if they are part of the key.
    null_label: Option<(&'a [u32], u32)>,
}

impl Compared<'_> {
    /// The rows whose hash falls into one of these buckets: for each core's part of the rows and each bucket, 32 further
    /// bits of the hash above the row.
    fn bucketed(&self, rows: u32, buckets: Range<u32>) -> Vec<Vec<Vec<u64>>> {
        let part = rows.div_ceil(rayon::current_num_threads() as u32).max(1);
        let starts: Vec<u32> = (0..rows).step_by(part as usize).collect();
        let of_part = |start: u32| {
            let room = (part >> BUCKET_BITS) as usize;
            let mut entries = vec![Vec::with_capacity(room + room / 8); buckets.len()];
            for row in start..rows.min(start.saturating_add(part)) {
                let hash = hash(&self.columns, row as usize);
                let bucket = (hash >> (64 - BUCKET_BITS)) as u32;
                if buckets.contains(&bucket) {
                    entries[(bucket - buckets.start) as usize].push(hash << 32 | u64::from(row));
                }
            }
            entries
        };
        starts.into_par_iter().map(of_part).collect()
    }

    /// The best row of each value among a bucket's sorted entries.
    fn best(&self, entries: &[u64], is_better: impl Fn(u32, u32) -> bool) -> Vec<u32> {
        let row = |entry: u64| entry as u32;
        let mut kept = Vec::with_capacity(entries.len());
        for run in entries.chunk_by(|a, b| a >> 32 == b >> 32) {
            if let [entry] = run {
                kept.push(row(*entry));
                continue;
            }
            // Rows of one hash: nearly always one value, so `best` has one entry.
            let mut best: Vec<u32> = Vec::new();
            for row in run.iter().copied().map(row) {
                let same = |b: &u32| self.columns.iter().all(|c| c[*b as usize] == c[row as usize]);
                match best.iter_mut().find(|b| same(b)) {
                    Some(_) if self.equals_none(row) => kept.push(row),
                    None => best.push(row),
                    Some(b) if is_better(row, *b) => *b = row,
                    Some(_) => {}
                }
            }
            kept.extend(best);
        }
        kept
    }

    fn equals_none(&self, row: u32) -> bool {
        self.null_label.is_some_and(|(codes, null)| codes[row as usize] == null)
    }
}

/// A 64-bit finalizer (SplitMix64's), good enough to spread codes over buckets.
fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Codes;

    #[test]
    fn rounds_do_not_matter() {
        let rows = 5_000u32;
        let plane = KeyView {
            input_row: (0..rows).collect::<Vec<u32>>().into(),
            identity: Codes::without_tokens((0..rows).map(|row| row * row % 1_009).collect(), 1_009),
            item: Some(Codes::without_tokens((0..rows).map(|row| row % 3).collect(), 3)),
            time: Some((0..rows).map(|row| i64::from(row % 7)).collect::<Vec<i64>>().into()),
            ..KeyView::default()
        };
        let key = [Field::Identity, Field::Item];
        for keep in [Keep::First, Keep::Last] {
            let once = survivors_in_rounds(&plane, &key, keep, 1);
            assert!((1_000..4_000).contains(&once.iter().filter(|survives| **survives).count()));
            for rounds in [4, 256] {
                assert_eq!(survivors_in_rounds(&plane, &key, keep, rounds), once);
            }
        }
    }
}
