//! The plan: for each position of the output, the example that stands there.

use std::borrow::Cow;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Batches whose rows were drawn from one pool: all full, but for the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    pub first_batch: usize,
    pub batches: usize,
    /// Where its first batch begins.
    pub first_position: usize,
    pub rows: usize,
}

/// What is known of all batches. Positions are counted over the dataset, in reading order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub batch_size: usize,
    /// In reading order.
    pub pools: Vec<Pool>,
    /// Rows of a group; 0 where there are no groups.
    pub group_size: usize,
    /// Rows in groups of each batch: its first ones. Empty where there are no groups.
    pub grouped: Vec<u32>,
    /// Positions that are padding, ascending.
    pub padding: Vec<u32>,
    /// Rows that are copies.
    pub copies: usize,
    /// Examples that do not occur.
    pub dropped: u64,
}

impl Head {
    pub fn new(batch_size: usize) -> Self {
        Head { batch_size, ..Head::default() }
    }

    /// Rows of all batches.
    pub fn rows(&self) -> usize {
        self.pools.last().map_or(0, |pool| pool.first_position + pool.rows)
    }

    /// Number of batches.
    pub fn batches(&self) -> usize {
        self.pools.last().map_or(0, |pool| pool.first_batch + pool.batches)
    }

    /// The pool of a batch: the last one that begins with it or before.
    fn pool_of(&self, batch: usize) -> Option<&Pool> {
        let at = self.pools.partition_point(|pool| pool.first_batch <= batch);
        self.pools[..at].iter().rev().find(|pool| pool.batches > 0)
    }

    /// Where a batch begins; the number of rows for the batch behind the last.
    fn start_of(&self, batch: usize) -> usize {
        let start = |pool: &Pool| pool.first_position + ((batch - pool.first_batch) * self.batch_size).min(pool.rows);
        self.pool_of(batch).map_or(0, start)
    }

    /// The positions of some batches.
    pub fn positions(&self, batches: &Range<usize>) -> Range<usize> {
        self.start_of(batches.start)..self.start_of(batches.end)
    }

    /// The batch and the slot of a position.
    pub fn place_of(&self, position: usize) -> (usize, usize) {
        let at = self.pools.partition_point(|pool| pool.first_position <= position);
        let Some(pool) = self.pools[..at].iter().rev().find(|pool| pool.rows > 0) else { return (0, position) };
        let within = position - pool.first_position;
        (pool.first_batch + within / self.batch_size, within % self.batch_size)
    }

    /// Ordinal in its batch of the group that a slot belongs to, −1 outside groups.
    pub fn group_slot(&self, batch: usize, slot: usize) -> i32 {
        match self.grouped.get(batch) {
            Some(rows) if slot < *rows as usize => (slot / self.group_size) as i32,
            _ => -1,
        }
    }

    pub fn is_padding(&self, position: usize) -> bool {
        self.padding.binary_search(&(position as u32)).is_ok()
    }

    /// Where batches end.
    pub fn ends(&self) -> Vec<usize> {
        (1..=self.batches()).map(|batch| self.start_of(batch)).collect()
    }

    /// The ordinal of each batch's pool, among those that have batches.
    pub fn pool_of_batches(&self) -> Vec<u32> {
        let pools = self.pools.iter().filter(|pool| pool.batches > 0).zip(0..);
        pools.flat_map(|(pool, ordinal)| std::iter::repeat_n(ordinal, pool.batches)).collect()
    }

    /// Batches that are short, ascending.
    pub fn short_batches(&self) -> Vec<usize> {
        let short = |pool: &&Pool| !pool.rows.is_multiple_of(self.batch_size);
        self.pools.iter().filter(short).map(|pool| pool.first_batch + pool.batches - 1).collect()
    }
}

/// Consecutive batches of a plan.
#[derive(Debug, Clone)]
pub struct Plan<'a> {
    pub head: &'a Head,
    /// The dataset's.
    pub batches: Range<usize>,
    /// The example, as a row of some keys, at each of their positions.
    pub order: Cow<'a, [u32]>,
    /// Copy ordinal of each of their positions, 0 for the example itself; empty if there are no copies.
    pub copy: Cow<'a, [u32]>,
}

impl Plan<'_> {
    /// The positions, counted over the dataset.
    pub fn positions(&self) -> Range<usize> {
        self.head.positions(&self.batches)
    }

    fn within(&self, batch: usize) -> Range<usize> {
        let first = self.head.start_of(self.batches.start);
        let own = self.head.positions(&(batch..batch + 1));
        own.start - first..own.end - first
    }

    /// The examples of a batch of the dataset, by slot.
    pub fn batch(&self, batch: usize) -> &[u32] {
        &self.order[self.within(batch)]
    }

    /// Copy ordinals of a batch, by slot; empty if the plan has no copies.
    pub fn copies(&self, batch: usize) -> &[u32] {
        if self.copy.is_empty() { &[] } else { &self.copy[self.within(batch)] }
    }

    /// Whether a slot of a batch is padding.
    pub fn is_padding(&self, batch: usize, slot: usize) -> bool {
        !self.head.padding.is_empty() && self.head.is_padding(self.head.start_of(batch) + slot)
    }
}
