//! A plan while it is made, pool after pool.

use std::ops::Range;

use super::plan::{Head, Pool};
use super::precedence::Precedence;
use crate::error::Result;
use crate::keys::Keys;
use crate::pipeline::{Pipeline, WindowEnds};
use crate::spill::{Column, Room};

pub struct Composer<'a> {
    pub keys: &'a Keys,
    pub precedence: Precedence<'a>,
    pub p: &'a Pipeline,
    pub room: &'a Room,
    pub head: Head,
    /// The row of the keys at each position.
    pub order: Column<u32>,
    /// Rows of which the last positions are padding, once for each of these.
    pub padded: Vec<u32>,
    /// Rows that do not occur, each with its pool: (pool, row).
    pub dropped: Column<[u32; 2]>,
}

impl<'a> Composer<'a> {
    /// A plan without pools.
    ///
    /// # Errors
    /// A scratch file that can't be created.
    pub fn new(keys: &'a Keys, precedence: Precedence<'a>, p: &'a Pipeline, room: &'a Room) -> Result<Self> {
        Ok(Composer {
            keys,
            precedence,
            p,
            room,
            head: Head::new(p.batch_size),
            order: Column::new(room)?,
            padded: Vec::new(),
            dropped: Column::new(room)?,
        })
    }

    /// Number of pools.
    pub fn pools(&self) -> usize {
        self.precedence.ends.len()
    }

    /// The rows of a pool, as places in precedence.
    pub fn places(&self, pool: usize) -> Range<usize> {
        let ends = &self.precedence.ends;
        let start = pool.checked_sub(1).map_or(0, |before| ends[before]);
        start..ends[pool]
    }

    /// Whether what fills no batch stays in this pool.
    pub fn is_last(&self, pool: usize) -> bool {
        self.p.window_ends == WindowEnds::Exact || pool + 1 == self.pools()
    }

    /// Number of identities, with rows or without.
    pub fn identities(&self) -> usize {
        self.keys.shape().identity.len()
    }

    /// Number of batches so far.
    pub fn batches(&self) -> usize {
        self.head.batches()
    }

    /// Drops a row.
    ///
    /// # Errors
    /// A scratch file that can't be written.
    pub fn drop_rows(&mut self, pool: usize, rows: impl Iterator<Item = u32>) -> Result<()> {
        let rows: Vec<[u32; 2]> = rows.map(|row| [pool as u32, row]).collect();
        self.dropped.extend(&rows)
    }

    /// Ends a pool, whose full batches are in `order`; `tail` are rows that fill no batch.
    ///
    /// # Errors
    /// A scratch file that can't be written.
    pub fn close_pool(&mut self, pool: usize, tail: Vec<u32>) -> Result<()> {
        self.add_pool(self.order.len());
        self.settle(pool, tail)
    }

    /// Adds a pool of full batches, which ends at a position.
    pub fn add_pool(&mut self, end: usize) {
        let (first_batch, first_position) = (self.head.batches(), self.head.rows());
        let rows = end - first_position;
        self.head.pools.push(Pool { first_batch, batches: rows / self.p.batch_size, first_position, rows });
    }

    /// Adds a batch to the last pool.
    ///
    /// # Errors
    /// A scratch file that can't be written.
    pub fn add_batch(&mut self, rows: &[u32]) -> Result<()> {
        self.order.extend(rows)?;
        if let Some(pool) = self.head.pools.last_mut() {
            pool.rows += rows.len();
            pool.batches += 1;
        }
        Ok(())
    }
}
