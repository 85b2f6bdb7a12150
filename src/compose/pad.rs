//! remainder = "pad": copies that fill the dataset's last batch, other identities first.

use std::collections::BinaryHeap;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::finish::{Ending, Placed, Tail};
use super::plan::Plan;
use super::rng::Rng;
use crate::error::Result;
use crate::pipeline::{Mode, Pipeline};

impl<P: Placed> Ending<'_, P> {
    /// Fills the batch. An identity gets no more than ⌈c/N⌉ rows of it, if the pool has N ≥ 1 full batches and it has c rows
    /// there.
    pub(super) fn pad(self, plan: &mut Plan, p: &Pipeline) -> Result<Tail> {
        let Ending { start, rows: mut order, placed, rank } = self;
        let (b, g) = (p.batch_size, plan.group_size);
        let pool = LastPool { first: plan.pools.last().map_or(0, |pool| pool.first_batch) * b, start, batch_size: b };
        let need = b - order.len();
        let mut rng = Rng::new(p.seed, "pad", 0);
        if g > 0 && plan.grouped.last() == Some(&(order.len() as u32)) {
            let padding = groups(plan, &pool, placed, need / g, &mut rng)?;
            order.extend(&padding);
            rng.shuffle_chunks(&mut order, g);
            plan.grouped.pop();
            plan.grouped.push(b as u32);
            return Ok(Tail { order, padding });
        }
        let picks = pool.picks(placed, rank, need, &mut rng)?;
        let mut padding = pool.rows(placed, rank, picks)?;
        if p.mode == Mode::RequestPacked {
            padding.sort_unstable();
        }
        let padding: Vec<u32> = padding.into_iter().map(|(_, row)| row).collect();
        order.extend(&padding);
        if p.mode != Mode::RequestPacked {
            let ungrouped = plan.grouped.last().map_or(0, |rows| *rows as usize);
            rng.shuffle(&mut order[ungrouped..]);
        }
        Ok(Tail { order, padding })
    }
}

/// Rows of `need` whole groups of the pool, those of identities outside the last batch first, each as rarely as can be.
fn groups(plan: &Plan, pool: &LastPool, placed: &impl Placed, need: usize, rng: &mut Rng) -> Result<Vec<u32>> {
    let (b, g) = (plan.batch_size, plan.group_size);
    let mut here = Vec::new();
    placed.each(pool.start, &mut |standing| here.push(standing.identity))?;
    here.sort_unstable();
    let seed = rng.next_u64();
    // The first of all groups in a seeded order.
    let mut chosen: BinaryHeap<(bool, bool, u64, u32)> = BinaryHeap::with_capacity(need + 1);
    let is_first = |at: usize| plan.group_slot(at) >= 0 && (at % b).is_multiple_of(g);
    placed.each(pool.first, &mut |standing| {
        for at in standing.positions.iter().filter(|at| is_first(**at as usize)) {
            let met = here.binary_search(&standing.identity).is_ok();
            chosen.push((*at as usize >= pool.start, met, xxh3_64_with_seed(&at.to_le_bytes(), seed), *at));
            if chosen.len() > need {
                chosen.pop();
            }
        }
    })?;
    let chosen = chosen.into_sorted_vec();
    let mut firsts: Vec<(u32, usize)> = chosen.iter().enumerate().map(|(k, (.., at))| (*at, k)).collect();
    firsts.sort_unstable();
    let mut rows = vec![0; chosen.len() * g];
    placed.each(pool.first, &mut |standing| {
        for at in standing.positions.iter().filter(|at| plan.group_slot(**at as usize) >= 0) {
            let within = *at as usize % b % g;
            if let Ok(found) = firsts.binary_search_by_key(&(*at - within as u32), |(first, _)| *first) {
                rows[firsts[found].1 * g + within] = standing.row;
            }
        }
    })?;
    Ok(rows.into_iter().cycle().take(need * g).collect())
}

/// The dataset's last pool.
struct LastPool {
    /// Its first position, and that of the last batch.
    first: usize,
    start: usize,
    batch_size: usize,
}

/// A row to copy: the rank of its identity, and which of this one's rows it is, those first that are not in the last batch.
type Pick = (u32, u32);

/// What of the pool is an identity's.
#[derive(Clone, Copy, Default)]
struct Own {
    rows: u32,
    /// Of these, the ones in the last batch.
    here: u32,
}

impl LastPool {
    fn own(&self, placed: &impl Placed, rank: &[u32]) -> Result<Vec<Own>> {
        let mut own = vec![Own::default(); rank.len()];
        placed.each(self.first, &mut |standing| {
            let own = &mut own[rank[standing.identity as usize] as usize];
            own.rows += 1;
            own.here += u32::from(self.is_here(standing.positions));
        })?;
        Ok(own)
    }

    fn is_here(&self, positions: &[u32]) -> bool {
        positions.last().is_some_and(|last| *last as usize >= self.start)
    }

    fn picks(&self, placed: &impl Placed, rank: &[u32], need: usize, rng: &mut Rng) -> Result<Vec<Pick>> {
        let full = ((self.start - self.first) / self.batch_size).max(1) as u32;
        let mut owners: Vec<(u32, Own)> = (0..).zip(self.own(placed, rank)?).filter(|(_, own)| own.rows > 0).collect();
        rng.shuffle(&mut owners);
        owners.sort_by_key(|(_, own)| own.here > 0);
        let others = owners.iter().take_while(|(_, own)| own.here == 0).count();
        let mut picks = Vec::with_capacity(need);
        for side in [0..others, others..owners.len()] {
            // Everybody's first, everybody's second, and so on.
            for round in 0.. {
                let before = picks.len();
                let has_room =
                    |own: &Own| round < own.rows.div_ceil(full).saturating_sub(own.here).min(own.rows - own.here);
                let willing = owners[side.clone()].iter().filter(|(_, own)| has_room(own));
                picks.extend(willing.map(|(rank, _)| (*rank, round)).take(need - before));
                if picks.len() == before {
                    break;
                }
            }
        }
        // Only without a full batch in the pool, where no cap can hold: every row again, as often as needed.
        let again = owners.iter().flat_map(|(rank, own)| (0..own.rows).map(|k| (*rank, k)));
        picks.extend(again.cycle().take(need - picks.len()));
        Ok(picks)
    }

    /// The picked rows with their requests, in order.
    fn rows(&self, placed: &impl Placed, rank: &[u32], picks: Vec<Pick>) -> Result<Vec<(u32, u32)>> {
        let own = self.own(placed, rank)?;
        let mut rows = vec![(0, 0); picks.len()];
        let mut wanted: Vec<(Pick, usize)> = picks.into_iter().zip(0..).collect();
        wanted.sort_unstable();
        let mut came = vec![Own::default(); rank.len()];
        placed.each(self.first, &mut |standing| {
            let rank = rank[standing.identity as usize];
            let (own, came) = (own[rank as usize], &mut came[rank as usize]);
            let is_here = self.is_here(standing.positions);
            let ordinal = if is_here { own.rows - own.here + came.here } else { came.rows - came.here };
            came.rows += 1;
            came.here += u32::from(is_here);
            let first = wanted.partition_point(|(pick, _)| *pick < (rank, ordinal));
            for (_, k) in wanted[first..].iter().take_while(|(pick, _)| *pick == (rank, ordinal)) {
                rows[*k] = (standing.request, standing.row);
            }
        })?;
        Ok(rows)
    }
}
