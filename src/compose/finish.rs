//! What becomes of the dataset's last rows, if they fill no batch.

use rayon::prelude::*;

use super::check_positions;
use super::plan::Plan;
use crate::error::Result;
use crate::keys::KeyPlane;
use crate::pipeline::{Pipeline, Remainder, Scarce};

/// A row that is placed.
pub struct Standing<'a> {
    pub row: u32,
    /// Codes; the request's is 0 where none is mapped.
    pub identity: u32,
    pub request: u32,
    /// Ascending.
    pub positions: &'a [u32],
}

/// What stands where.
pub trait Placed {
    /// Calls `each` with all rows that stand at position `first` or behind it, ascending; what stands before is left out.
    fn each(&self, first: usize, each: &mut dyn FnMut(&Standing<'_>)) -> Result<()>;
}

/// The last rows, once it is settled what becomes of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// What stands there.
    pub order: Vec<u32>,
    /// Rows of which copies were added, once for each.
    pub padding: Vec<u32>,
}

/// The last rows, as composed.
pub struct Ending<'a, P> {
    /// Where they begin.
    pub start: usize,
    /// They stand there, and fill no batch.
    pub rows: Vec<u32>,
    /// All rows, these included.
    pub placed: &'a P,
    /// Of each identity.
    pub rank: &'a [u32],
}

impl<P: Placed> Ending<'_, P> {
    /// Settles what becomes of them. Of the plan all but its order is looked at, and brought up to date.
    pub fn settle(self, plan: &mut Plan, p: &Pipeline) -> Result<Tail> {
        if self.rows.is_empty() {
            return Ok(Tail::default());
        }
        match p.remainder {
            Remainder::Short => Ok(Tail { order: self.rows, padding: Vec::new() }),
            Remainder::Drop => {
                let (full, pool) = (self.start / p.batch_size, plan.pools.len().saturating_sub(1) as u32);
                plan.dropped.extend(self.lost(p)?.into_iter().map(|row| (pool, row)));
                plan.grouped.truncate(full);
                plan.pools.iter_mut().last().iter_mut().for_each(|pool| pool.batches -= 1);
                Ok(Tail::default())
            }
            Remainder::Pad => {
                check_positions(self.start + p.batch_size)?;
                self.pad(plan, p)
            }
        }
    }

    /// The rows that occur nowhere else.
    fn lost(self, p: &Pipeline) -> Result<Vec<u32>> {
        let mut rows = self.rows;
        rows.sort_unstable();
        rows.dedup();
        if p.group.as_ref().is_none_or(|group| group.scarce != Scarce::Repeat) {
            return Ok(rows);
        }
        let mut stays = vec![false; rows.len()];
        self.placed.each(0, &mut |standing| {
            if let Ok(at) = rows.binary_search(&standing.row) {
                stays[at] = (standing.positions[0] as usize) < self.start;
            }
        })?;
        let mut stays = stays.into_iter();
        rows.retain(|_| stays.next() == Some(false));
        Ok(rows)
    }
}

/// Settles what becomes of the last rows of a plan in memory.
pub fn held(mut plan: Plan, plane: &KeyPlane, rank: &[u32], p: &Pipeline) -> Result<Plan> {
    let mut order = std::mem::take(&mut plan.order);
    let start = order.len() / p.batch_size * p.batch_size;
    let placed = Held { plane, order: &order };
    let ending = Ending { start, rows: order[start..].to_vec(), placed: &placed, rank };
    let tail = ending.settle(&mut plan, p)?;
    order.truncate(start);
    order.extend(tail.order);
    plan.order = order;
    plan.number_copies(&tail.padding);
    Ok(plan)
}

struct Held<'a> {
    plane: &'a KeyPlane,
    order: &'a [u32],
}

impl Placed for Held<'_> {
    fn each(&self, first: usize, each: &mut dyn FnMut(&Standing<'_>)) -> Result<()> {
        let placed = self.order.iter().zip(0u64..).skip(first);
        let mut placed: Vec<u64> = placed.map(|(row, position)| u64::from(*row) << 32 | position).collect();
        placed.par_sort_unstable();
        let mut positions = Vec::new();
        for same in placed.chunk_by(|a, b| a >> 32 == b >> 32) {
            let row = (same[0] >> 32) as usize;
            positions.clear();
            positions.extend(same.iter().map(|placed| *placed as u32));
            each(&Standing {
                row: row as u32,
                identity: self.plane.identity.rows[row],
                request: self.plane.request.as_ref().map_or(0, |codes| codes.rows[row]),
                positions: &positions,
            });
        }
        Ok(())
    }
}
