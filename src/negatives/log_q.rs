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

/// For each position, ln of its item's share of its pool's examples; copies do not count, dropped examples do.
/// `None` where no item is mapped.
pub fn log_q(plane: &KeyPlane, plan: &Plan) -> Option<Vec<f32>> {
    let item = &plane.item.as_ref()?.rows;
    let mut out = Vec::with_capacity(plan.order.len());
    let mut counts = vec![0u32; plane.item.as_ref()?.len()];
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
        gone.iter().for_each(|(_, row)| counts[item[*row as usize] as usize] += 1);
        for position in (start..end).filter(|position| plan.copy_at(*position) == 0) {
            counts[item[plan.order[position] as usize] as usize] += 1;
            total += 1;
        }
        let placed = &plan.order[start..end];
        // An item that occurs only as a copy has its original in an earlier pool: its share here counts as one.
        let of = |count: u64| ln_share(count.max(1), total.max(1));
        let rare: Vec<f32> = (0..RARE.min(placed.len())).map(|count| of(count as u64)).collect();
        let share = |row: &u32| {
            let count = counts[item[*row as usize] as usize];
            rare.get(count as usize).copied().unwrap_or_else(|| of(count.into()))
        };
        out.par_extend(placed.par_iter().map(share));
        placed.iter().for_each(|row| counts[item[*row as usize] as usize] = 0);
        gone.iter().for_each(|(_, row)| counts[item[*row as usize] as usize] = 0);
    }
    Some(out)
}
