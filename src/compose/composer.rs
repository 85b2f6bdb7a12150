//! A plan while it is made, pool after pool.

use std::ops::Range;

use super::plan::{Head, Pool};
use super::precedence::{Piece, Precedence};
use crate::error::Result;
use crate::keys::Keys;
use crate::pipeline::{Field, Pipeline, WindowEnds};
use crate::spill::{Column, Room};

pub struct Composer<'a> {
    pub(super) keys: &'a Keys,
    pub(super) precedence: Precedence<'a>,
    pub(super) p: &'a Pipeline,
    pub(super) room: &'a Room,
    /// The key whose rows stand side by side.
    pub(super) together: Option<Field>,
    pub(super) head: Head,
    /// The row of the keys at each position.
    pub(super) order: Column<u32>,
    /// Rows of which the last positions are padding, once for each of these.
    pub(super) padded: Vec<u32>,
    /// Rows that do not occur, each with its pool: (pool, row).
    pub(super) dropped: Column<[u32; 2]>,
}

impl<'a> Composer<'a> {
    /// A plan without pools.
    ///
    /// # Errors
    /// A scratch file that can't be created.
    pub(super) fn new(
        keys: &'a Keys,
        precedence: Precedence<'a>,
        p: &'a Pipeline,
        room: &'a Room,
        together: Option<Field>,
    ) -> Result<Self> {
        Ok(Composer {
            keys,
            precedence,
            p,
            room,
            together,
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

    /// Rows at some places: their keys, in precedence.
    ///
    /// # Errors
    /// A scratch file that can't be read.
    pub fn piece(&self, places: Range<usize>) -> Result<Piece<'_>> {
        self.precedence.piece(places)
    }

    /// Rows of a batch.
    pub fn batch_size(&self) -> usize {
        self.p.batch_size
    }

    /// The seed of all that is random.
    pub fn seed(&self) -> u64 {
        self.p.seed
    }

    /// Appends rows of full batches, slot by slot.
    ///
    /// # Errors
    /// A scratch file that can't be written.
    pub fn place(&mut self, rows: &[u32]) -> Result<()> {
        self.order.extend(rows)
    }

    /// Whether what fills no batch stays in this pool.
    pub(super) fn is_last(&self, pool: usize) -> bool {
        self.p.window_ends == WindowEnds::Exact || pool + 1 == self.pools()
    }

    /// Number of identities, with rows or without.
    pub(super) fn identities(&self) -> usize {
        self.keys.shape().identity.len()
    }

    /// Number of batches so far.
    pub(super) fn batches(&self) -> usize {
        self.head.batches()
    }

    /// Drops a row.
    ///
    /// # Errors
    /// A scratch file that can't be written.
    pub(super) fn drop_rows(&mut self, pool: usize, rows: impl Iterator<Item = u32>) -> Result<()> {
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
    pub(super) fn add_pool(&mut self, end: usize) {
        let (first_batch, first_position) = (self.head.batches(), self.head.rows());
        let rows = end - first_position;
        self.head.pools.push(Pool { first_batch, batches: rows / self.p.batch_size, first_position, rows });
    }

    /// Adds a batch to the last pool.
    ///
    /// # Errors
    /// A scratch file that can't be written.
    pub(super) fn add_batch(&mut self, rows: &[u32]) -> Result<()> {
        self.order.extend(rows)?;
        if let Some(pool) = self.head.pools.last_mut() {
            pool.rows += rows.len();
            pool.batches += 1;
        }
        Ok(())
    }
}
