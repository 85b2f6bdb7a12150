//! The plan: for each position of the output, the example that stands there.

use std::ops::Range;

/// Batches whose rows were drawn from one pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    pub first_batch: usize,
    pub batches: usize,
}

/// What composition decides. Position `p` is slot `p % batch_size` of batch `p / batch_size`; only the
/// last batch can be short.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    pub batch_size: usize,
    /// The example (row of the key plane) at each position.
    pub order: Vec<u32>,
    /// Copy ordinal of each position, 0 for the example itself; empty if there are no copies.
    pub copy: Vec<u32>,
    /// Positions that are padding, ascending.
    pub padding: Vec<u32>,
    /// Rows of a group; 0 where there are no groups.
    pub group_size: usize,
    /// Rows in groups of each batch: its first ones. Empty where there are no groups.
    pub grouped: Vec<u32>,
    /// In reading order.
    pub pools: Vec<Pool>,
    /// Examples that do not occur, with their pool.
    pub dropped: Vec<(u32, u32)>,
}

impl Plan {
    pub fn new(batch_size: usize) -> Self {
        Plan { batch_size, ..Plan::default() }
    }

    pub fn batches(&self) -> usize {
        self.order.len().div_ceil(self.batch_size)
    }

    /// The positions of a pool, of `rows` in all.
    pub fn positions(&self, pool: &Pool, rows: usize) -> Range<usize> {
        let start = pool.first_batch * self.batch_size;
        start..(start + pool.batches * self.batch_size).min(rows)
    }

    /// The examples of a batch, by slot.
    pub fn batch(&self, batch: usize) -> &[u32] {
        let start = batch * self.batch_size;
        &self.order[start..(start + self.batch_size).min(self.order.len())]
    }

    /// Copy ordinal of the row at a position.
    pub fn copy_at(&self, position: usize) -> u32 {
        self.copy.get(position).copied().unwrap_or(0)
    }

    pub fn is_padding(&self, position: usize) -> bool {
        self.padding.binary_search(&(position as u32)).is_ok()
    }

    /// Ordinal in its batch of the group that a position belongs to, −1 outside groups.
    pub fn group_slot(&self, position: usize) -> i32 {
        let (batch, slot) = (position / self.batch_size, position % self.batch_size);
        match self.grouped.get(batch) {
            Some(rows) if slot < *rows as usize => (slot / self.group_size) as i32,
            _ => -1,
        }
    }

    /// Number of copies in the output.
    pub fn copies(&self) -> usize {
        self.copy.iter().filter(|c| **c > 0).count()
    }

    /// The plan of these positions alone, which are whole batches; `order` tells what stands there. It has no copies.
    pub fn part(&self, positions: Range<usize>, order: Vec<u32>) -> Plan {
        let batches = positions.start / self.batch_size..positions.end.div_ceil(self.batch_size);
        let padding = &self.padding[self.padding.partition_point(|at| (*at as usize) < positions.start)..];
        let padding = &padding[..padding.partition_point(|at| (*at as usize) < positions.end)];
        Plan {
            batch_size: self.batch_size,
            order,
            copy: Vec::new(),
            padding: padding.iter().map(|at| at - positions.start as u32).collect(),
            group_size: self.group_size,
            grouped: self.grouped.get(batches.clone()).map_or_else(Vec::new, <[u32]>::to_vec),
            pools: vec![Pool { first_batch: 0, batches: batches.len() }],
            dropped: Vec::new(),
        }
    }

    /// Appends examples.
    pub(super) fn extend(&mut self, examples: Vec<u32>) {
        // Not copied, if they are the first.
        if self.order.is_empty() { self.order = examples } else { self.order.extend(examples) }
    }

    /// Ends a pool at the current end of `order`.
    pub(super) fn close_pool(&mut self) {
        let first_batch = self.pools.last().map_or(0, |p| p.first_batch + p.batches);
        self.pools.push(Pool { first_batch, batches: self.batches() - first_batch });
    }

    /// Numbers the occurrences of each example in reading order; of an example that `padding` names n times, the last n are
    /// padding.
    pub(super) fn number_copies(&mut self, padding: &[u32]) {
        let examples = self.order.iter().max().map_or(0, |m| *m as usize + 1);
        let mut seen = vec![0u32; examples];
        let mut any = false;
        for row in &self.order {
            seen[*row as usize] += 1;
            any |= seen[*row as usize] > 1;
        }
        if !any {
            return;
        }
        let mut own = seen.clone();
        padding.iter().for_each(|row| own[*row as usize] -= 1);
        seen.fill(0);
        self.copy = Vec::with_capacity(self.order.len());
        for (position, row) in self.order.iter().enumerate() {
            let ordinal = &mut seen[*row as usize];
            self.copy.push(*ordinal);
            if *ordinal >= own[*row as usize] {
                self.padding.push(position as u32);
            }
            *ordinal += 1;
        }
    }
}
