//! Groups that wait for the other groups of their batch.

use rayon::prelude::*;

use super::by_code::by_code;
use super::rng::Rng;
use super::trades::{Chunks, Traded, are_small};
use crate::error::Result;
use crate::spill::{Column, Exchange, Room};

/// The rows of a pool's groups by batch.
pub struct ByBatch {
    /// (batch, owner, row).
    parted: Exchange<[u32; 3]>,
    chunks: Chunks,
    full: usize,
    batch_size: usize,
    /// Rows of a group.
    size: usize,
}

impl ByBatch {
    /// For `full` full batches, and one behind them.
    pub fn new(full: usize, batch_size: usize, size: usize, room: &Room) -> Self {
        let chunks = Chunks::new(full, batch_size);
        let number = room.partitions(full * batch_size).min(chunks.len());
        ByBatch { parted: Exchange::new(number, 4, room), chunks, full, batch_size, size }
    }

    /// Takes groups, one after the other, with the batch and the owner of each.
    ///
    /// # Errors
    /// A scratch file that can't be written.
    pub fn take(&mut self, groups: &[(u32, u32)], rows: &[u32]) -> Result<()> {
        let (chunks, size, number) = (self.chunks, self.size, self.parted.len());
        self.parted.scatter(rows.len(), |at| {
            let (batch, owner) = groups[at / size];
            (chunks.of(batch as usize) * number / chunks.len(), [batch, owner, rows[at]])
        })
    }

    /// Appends the rows of full batches to `order`; gives those of the batch behind. The dataset's first is `first_batch`.
    ///
    /// # Errors
    /// A scratch file that can't be read or written.
    pub fn place(mut self, seed: u64, first_batch: usize, order: &mut Column<u32>) -> Result<Vec<u32>> {
        self.parted.file_rest()?;
        let ByBatch { parted, chunks, full, batch_size, size } = self;
        let mut behind = Vec::new();
        for part in 0..parted.len() {
            let records = parted.take(part)?;
            let first = (part * chunks.len()).div_ceil(parted.len());
            let own = first..((part + 1) * chunks.len()).div_ceil(parted.len());
            let batches = chunks.batches(own.clone());
            let codes: Vec<u32> = records.par_iter().map(|[batch, ..]| *batch).collect();
            let sorted = by_code(&codes, batches.start as u32..full as u32 + 1);
            let of = |k: usize| sorted.places.par_iter().map(|at| records[*at as usize][k]).collect::<Vec<u32>>();
            let mut rows = of(2);
            let placed = batches.len() * batch_size;
            if are_small(batch_size) {
                let mut owners: Vec<u32> = of(1).into_iter().step_by(size).collect();
                let units = batch_size / size;
                let mut chunked = own.map(|chunk| chunks.batches(chunk..chunk + 1)).collect::<Vec<_>>();
                chunked.retain(|batches| !batches.is_empty());
                for own in chunked {
                    let groups = (own.start - batches.start) * units..(own.end - batches.start) * units;
                    let rows = &mut rows[groups.start * size..groups.end * size];
                    Traded { rows, owners: &mut owners[groups], size, units }.trade(seed, first_batch + own.start);
                }
            }
            let slots = rows[..placed].par_chunks_exact_mut(batch_size).enumerate();
            slots.for_each(|(at, slots)| {
                Rng::new(seed, "slots", (first_batch + batches.start + at) as u64).shuffle_chunks(slots, size);
            });
            let last = &mut rows[placed..];
            Rng::new(seed, "slots", (first_batch + full) as u64).shuffle_chunks(last, size);
            behind.extend_from_slice(last);
            rows.truncate(placed);
            order.append(rows)?;
        }
        Ok(behind)
    }
}
