//! logQ: the logarithm of an item's share of the pool that a batch was drawn from, for the sampled-softmax correction
//! (Yi et al., "Sampling-bias-corrected neural modeling for large corpus item recommendations", 2019).

use rayon::prelude::*;

use crate::compose::plan::Plan;
use crate::keys::KeyPlane;

/// ln(`count` / `total`), by libm, so that it is the same on every machine.
pub fn ln_share(count: u64, total: u64) -> f32 {
    libm::log(count as f64 / total as f64) as f32
}

/// Counts below this are looked up: most items are rarer, and a logarithm a row took a hundredth of a run.
const RARE: usize = 4096;

/// logQ of what a plan places.
pub enum LogQ {
    /// By item: all batches are of one pool.
    OfItems(Vec<f32>),
    /// By position.
    OfPositions(Vec<f32>),
}

impl LogQ {
    /// ln of each item's share of its pool's examples; copies do not count, dropped examples do. `None` where no item is
    /// mapped.
    pub fn new(plane: &KeyPlane, plan: &Plan) -> Option<Self> {
        let item = plane.item.as_ref()?;
        let code = |row: &u32| item.rows[*row as usize] as usize;
        let mut out = Vec::new();
        let mut counts = vec![0u32; item.len()];
        let mut dropped = plan.dropped.clone();
        dropped.sort_unstable();
        let mut dropped = dropped.as_slice();
        for (k, pool) in plan.pools.iter().enumerate() {
            let start = pool.first_batch * plan.batch_size;
            let end = (start + pool.batches * plan.batch_size).min(plan.order.len());
            let own = dropped.iter().take_while(|(pool, _)| *pool as usize <= k).count();
            let (gone, later) = dropped.split_at(own);
            dropped = later;
            let mut total = gone.len() as u64;
            gone.iter().for_each(|(_, row)| counts[code(row)] += 1);
            for position in (start..end).filter(|position| plan.copy_at(*position) == 0) {
                counts[code(&plan.order[position])] += 1;
                total += 1;
            }
            // An item that occurs only as a copy has its original in an earlier pool: its share here counts as one.
            let of = |count: u32| ln_share(count.max(1).into(), total.max(1));
            let rare: Vec<f32> = (0..RARE.min(end - start) as u32).map(of).collect();
            let share = |count: u32| rare.get(count as usize).copied().unwrap_or_else(|| of(count));
            if plan.pools.len() == 1 {
                return Some(LogQ::OfItems(counts.into_par_iter().map(share).collect()));
            }
            let placed = &plan.order[start..end];
            out.par_extend(placed.par_iter().map(|row| share(counts[code(row)])));
            placed.iter().chain(gone.iter().map(|(_, row)| row)).for_each(|row| counts[code(row)] = 0);
        }
        Some(LogQ::OfPositions(out))
    }

    /// That of the item at a position.
    pub fn at(&self, position: usize, item: u32) -> f32 {
        match self {
            LogQ::OfItems(shares) => shares[item as usize],
            LogQ::OfPositions(shares) => shares[position],
        }
    }
}
