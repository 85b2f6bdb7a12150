//! What becomes of a pool's last rows, if they fill no batch.

use std::ops::Range;

use rayon::prelude::*;

use super::by_code::by_code;
use super::check_positions;
use super::composer::Composer;
use super::rng::Rng;
use crate::error::Result;
use crate::keys::Key;
use crate::pipeline::{Remainder, Scarce};
use crate::spill::Exchange;

/// A row that is placed.
pub(super) struct Standing<'a> {
    pub row: u32,
    pub identity: u32,
    /// The code of what stands side by side; 0 where nothing need.
    pub together: u32,
    /// Ascending.
    pub positions: &'a [u32],
}

/// Positions that are looked at at a time.
const PIECE: usize = 1 << 18;

impl Composer<'_> {
    /// Settles what becomes of the rows that fill no batch of the pool that was added last.
    pub(super) fn settle(&mut self, pool: usize, tail: Vec<u32>) -> Result<()> {
        if tail.is_empty() {
            return Ok(());
        }
        check_positions(self.order.len() + tail.len())?;
        match self.p.remainder {
            Remainder::Short => {
                let mut tail = tail;
                self.shuffle(&mut tail);
                self.add_batch(&tail)
            }
            Remainder::Drop => {
                // It would have been the batch behind the others.
                let batches = self.batches();
                self.head.grouped.truncate(batches);
                let lost = self.lost(tail)?;
                self.drop_rows(pool, lost.into_iter())
            }
            Remainder::Pad => {
                check_positions(self.order.len() + self.p.batch_size)?;
                self.pad(tail)
            }
        }
    }

    /// Shuffles the slots behind a batch's groups, unless some rows stay together.
    fn shuffle(&self, rows: &mut [u32]) {
        if self.together.is_some() {
            return;
        }
        let grouped = self.head.grouped.get(self.batches()).map_or(0, |rows| *rows as usize);
        Rng::new(self.p.seed, "rest of a batch", self.batches() as u64).shuffle(&mut rows[grouped..]);
    }

    /// The positions of the pool that is closed last.
    pub(super) fn pool_positions(&self) -> Range<usize> {
        self.head.pools.last().map_or(0..0, |pool| pool.first_position..pool.first_position + pool.rows)
    }

    /// The rows that occur nowhere else.
    fn lost(&self, mut rows: Vec<u32>) -> Result<Vec<u32>> {
        rows.sort_unstable();
        rows.dedup();
        if self.p.group.as_ref().is_none_or(|group| group.scarce != Scarce::Repeat) {
            return Ok(rows);
        }
        // Copies stand in the pool of their original, unless groups were carried from one pool to the next.
        let positions = if self.pools() == 1 || !self.is_last(0) { 0..self.order.len() } else { self.pool_positions() };
        let mut stays = vec![false; rows.len()];
        for start in positions.clone().step_by(PIECE) {
            let placed = self.order.read(start..positions.end.min(start + PIECE))?;
            placed.iter().filter_map(|row| rows.binary_search(row).ok()).for_each(|at| stays[at] = true);
        }
        let mut stays = stays.into_iter();
        rows.retain(|_| stays.next() == Some(false));
        Ok(rows)
    }

    /// Calls `each` with all rows that stand at some positions, or in `tail`, which stands behind all others; ascending.
    pub(super) fn each_standing(
        &self,
        positions: Range<usize>,
        tail: &[u32],
        mut each: impl FnMut(&Standing<'_>),
    ) -> Result<()> {
        let rows = self.keys.len();
        let number = self.room.partitions(rows);
        let size = rows.div_ceil(number).max(1);
        let mut parted: Exchange<[u32; 2]> = Exchange::new(number, 4, self.room);
        parted.scatter_pieces(positions, |positions| {
            let placed = self.order.read(positions.clone())?;
            let record = |(row, at): (&u32, usize)| (*row as usize / size, [*row, at as u32]);
            Ok(placed.iter().zip(positions).map(record).collect())
        })?;
        let first = self.order.len();
        parted.scatter(tail.len(), |at| (tail[at] as usize / size, [tail[at], (first + at) as u32]))?;
        let columns: Vec<Key> = self.together.iter().cloned().map(Key::Code).chain([Key::IDENTITY]).collect();
        let mut own = Vec::new();
        for part in 0..number {
            let records = parted.take(part)?;
            if records.is_empty() {
                continue;
            }
            let rows = part * size..rows.min((part + 1) * size);
            let view = self.keys.view(rows.clone(), &columns)?;
            let together = self.together.as_ref().and_then(|field| view.codes(field));
            let placed: Vec<u32> = records.par_iter().map(|[row, _]| *row).collect();
            let sorted = by_code(&placed, rows.start as u32..rows.end as u32);
            let mut at = sorted.places.iter();
            for (row, number) in sorted.runs {
                own.clear();
                own.extend(at.by_ref().take(number as usize).map(|at| records[*at as usize][1]));
                let at = row as usize - rows.start;
                each(&Standing {
                    row,
                    identity: view.identity.rows[at],
                    together: together.map_or(0, |codes| codes[at]),
                    positions: &own,
                });
            }
        }
        Ok(())
    }
}
