//! What becomes of the dataset's last rows, if they fill no batch.

use rayon::prelude::*;

use super::plan::Plan;
use super::{check_positions, pad};
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

/// Settles what becomes of `tail`, which stands at `start` and fills no batch. Of the plan all but its order is looked at, and
/// brought up to date.
pub fn finish(
    plan: &mut Plan,
    start: usize,
    tail: Vec<u32>,
    placed: &impl Placed,
    rank: &[u32],
    p: &Pipeline,
) -> Result<Tail> {
    if tail.is_empty() {
        return Ok(Tail::default());
    }
    match p.remainder {
        Remainder::Short => Ok(Tail { order: tail, padding: Vec::new() }),
        Remainder::Drop => {
            let dropped = lost(start, tail, placed, p)?;
            let pool = plan.pools.len().saturating_sub(1) as u32;
            plan.dropped.extend(dropped.into_iter().map(|row| (pool, row)));
            plan.grouped.truncate(start / p.batch_size);
            plan.pools.iter_mut().last().iter_mut().for_each(|pool| pool.batches -= 1);
            Ok(Tail::default())
        }
        Remainder::Pad => {
            check_positions(start + p.batch_size).and_then(|()| pad::fill(plan, start, tail, placed, rank, p))
        }
    }
}

/// The rows of a tail that occur nowhere else.
fn lost(start: usize, mut tail: Vec<u32>, placed: &impl Placed, p: &Pipeline) -> Result<Vec<u32>> {
    tail.sort_unstable();
    tail.dedup();
    if p.group.as_ref().is_none_or(|group| group.scarce != Scarce::Repeat) {
        return Ok(tail);
    }
    let mut stays = vec![false; tail.len()];
    placed.each(0, &mut |standing| {
        if let Ok(at) = tail.binary_search(&standing.row) {
            stays[at] = (standing.positions[0] as usize) < start;
        }
    })?;
    let mut stays = stays.into_iter();
    tail.retain(|_| stays.next() == Some(false));
    Ok(tail)
}

/// Settles it for a plan in memory.
pub fn held(mut plan: Plan, plane: &KeyPlane, rank: &[u32], p: &Pipeline) -> Result<Plan> {
    let mut order = std::mem::take(&mut plan.order);
    let start = order.len() / p.batch_size * p.batch_size;
    let tail = finish(&mut plan, start, order[start..].to_vec(), &Held { plane, order: &order }, rank, p)?;
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
