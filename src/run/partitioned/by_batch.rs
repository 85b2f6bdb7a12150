//! Rows that wait for the other rows of their batch.

use super::number_of_parts;
use crate::compose::Slots;
use crate::error::Result;
use crate::run::memory::KeyRoom;
use crate::store::{Parts, words};

/// The rows of a pool by batch.
pub struct ByBatch {
    parts: Parts,
    /// The dataset's first batch of the pool, and the batches of a part.
    first_batch: usize,
    per_part: usize,
    batch_size: usize,
    /// Rows that stay together.
    together: usize,
}

impl ByBatch {
    /// `rows` rows in consecutive batches from `first_batch` on, of which all but the last are full.
    pub fn new(first_batch: usize, rows: usize, batch_size: usize, together: usize, room: &KeyRoom) -> Self {
        let batches = rows.div_ceil(batch_size);
        let per_part = batches.div_ceil(number_of_parts(rows, room)).max(1);
        let parts = Parts::new(batches.div_ceil(per_part), room.bytes / 4, &room.folder);
        ByBatch { parts, first_batch, per_part, batch_size, together }
    }

    /// Puts a row into a batch, counted from the first.
    pub fn push(&mut self, batch: u32, row: u32) -> Result<()> {
        self.parts.push_words(batch as usize / self.per_part, [batch, row])
    }

    /// Calls `each` with the position in the dataset of each row, in reading order.
    pub fn place(self, seed: u64, mut each: impl FnMut(usize, u32) -> Result<()>) -> Result<()> {
        for part in 0..self.parts.len() {
            let records = self.parts.take(part)?;
            let first = part * self.per_part;
            let mut slots = Slots::new(records.len() / 8, self.batch_size);
            words(&records).for_each(|[batch, row]| slots.place(batch - first as u32, row));
            drop(records);
            let first = self.first_batch + first;
            let placed = slots.shuffled(self.together, seed, first).into_iter().enumerate();
            placed.into_iter().try_for_each(|(at, row)| each(first * self.batch_size + at, row))?;
        }
        Ok(())
    }
}
