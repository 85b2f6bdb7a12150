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
const RARE: u32 = 4096;

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
        if plan.pools.len() == 1 {
            let mut counts = vec![0; item.len()];
            item.rows.iter().for_each(|code| counts[*code as usize] += 1);
            return Some(LogQ::of_one_pool(&counts));
        }
        let code = |row: &u32| item.rows[*row as usize];
        let items: Vec<u32> = plan.order.iter().map(code).collect();
        let dropped: Vec<(u32, u32)> = plan.dropped.iter().map(|(pool, row)| (*pool, code(row))).collect();
        Some(LogQ::of_pools(&items, item.len(), plan, dropped))
    }

    /// All batches are of one pool, with `counts[item]` examples of each item.
    pub fn of_one_pool(counts: &[u32]) -> Self {
        let total = counts.iter().map(|count| u64::from(*count)).sum();
        let shares = Shares::new(counts.iter().copied().max().unwrap_or(0), total);
        LogQ::OfItems(counts.par_iter().map(|count| shares.of(*count)).collect())
    }

    /// The batches are of several pools: `items[position]` is one of `number`, `dropped` are pools with items, and of `plan` all
    /// but its order is looked at.
    pub fn of_pools(items: &[u32], number: usize, plan: &Plan, mut dropped: Vec<(u32, u32)>) -> Self {
        dropped.sort_unstable();
        let mut dropped = dropped.as_slice();
        let mut counts = vec![0u32; number];
        let mut out = Vec::with_capacity(items.len());
        for (k, pool) in plan.pools.iter().enumerate() {
            let start = pool.first_batch * plan.batch_size;
            let end = (start + pool.batches * plan.batch_size).min(items.len());
            let own = dropped.iter().take_while(|(pool, _)| *pool as usize <= k).count();
            let (gone, later) = dropped.split_at(own);
            dropped = later;
            let mut total = gone.len() as u64;
            gone.iter().for_each(|(_, item)| counts[*item as usize] += 1);
            for position in (start..end).filter(|position| plan.copy_at(*position) == 0) {
                counts[items[position] as usize] += 1;
                total += 1;
            }
            let shares = Shares::new((end - start) as u32, total);
            let placed = &items[start..end];
            out.par_extend(placed.par_iter().map(|item| shares.of(counts[*item as usize])));
            placed.iter().chain(gone.iter().map(|(_, item)| item)).for_each(|item| counts[*item as usize] = 0);
        }
        LogQ::OfPositions(out)
    }

    /// That of the item at a position of the dataset.
    pub fn at(&self, position: usize, item: u32) -> f32 {
        match self {
            LogQ::OfItems(shares) => shares[item as usize],
            LogQ::OfPositions(shares) => shares[position],
        }
    }
}

/// Logarithms of shares of a total, the small ones ready.
struct Shares {
    rare: Vec<f32>,
    total: u64,
}

impl Shares {
    fn new(most: u32, total: u64) -> Self {
        let mut shares = Shares { rare: Vec::new(), total: total.max(1) };
        shares.rare = (0..RARE.min(most)).map(|count| shares.worked_out(count)).collect();
        shares
    }

    fn of(&self, count: u32) -> f32 {
        self.rare.get(count as usize).copied().unwrap_or_else(|| self.worked_out(count))
    }

    /// An item that occurs only as a copy has its original in an earlier pool: its share here counts as one.
    fn worked_out(&self, count: u32) -> f32 {
        ln_share(count.max(1).into(), self.total)
    }
}
