//! logQ: the logarithm of an item's share of the pool that a batch was drawn from, for the sampled-softmax correction
//! (Yi et al., "Sampling-bias-corrected neural modeling for large corpus item recommendations", 2019).

use rayon::prelude::*;

/// ln(`count` / `total`), by libm, so that it is the same on every machine.
pub fn ln_share(count: u64, total: u64) -> f32 {
    libm::log(count as f64 / total as f64) as f32
}

/// Counts below this are looked up: most items are rarer, and a logarithm a row took a hundredth of a run.
const RARE: u32 = 4096;

/// ln of each item's share of the examples of the pool that a batch was drawn from; copies do not count, dropped examples do.
#[derive(Debug, Clone)]
pub enum LogQ {
    /// By item: all batches are of one pool.
    OfItems(Vec<f32>),
    /// By position of the dataset, from `first` on.
    OfPositions { first: usize, shares: Vec<f32> },
}

impl LogQ {
    /// All batches are of one pool, with `counts[item]` examples of each item.
    pub fn of_one_pool(counts: &[u32]) -> Self {
        let total = counts.iter().map(|count| u64::from(*count)).sum();
        let shares = Shares::new(counts.iter().copied().max().unwrap_or(0), total);
        LogQ::OfItems(counts.par_iter().map(|count| shares.of(*count)).collect())
    }

    /// logQ of the item at a position of the dataset.
    pub fn at(&self, position: usize, item: u32) -> f32 {
        match self {
            LogQ::OfItems(shares) => shares[item as usize],
            LogQ::OfPositions { first, shares } => shares[position - first],
        }
    }
}

/// Counts the items of pools, one pool after the other.
pub struct PoolItems {
    counts: Vec<u32>,
    /// Items that occur.
    seen: Vec<u32>,
    examples: u64,
}

impl PoolItems {
    /// No rows yet, of `number` items.
    pub fn new(number: usize) -> Self {
        PoolItems { counts: vec![0; number], seen: Vec::new(), examples: 0 }
    }

    /// Forgets the pool before.
    pub fn next_pool(&mut self) {
        self.seen.drain(..).for_each(|item| self.counts[item as usize] = 0);
        self.examples = 0;
    }

    /// Takes items of examples.
    pub fn add(&mut self, items: impl Iterator<Item = u32>) {
        for item in items {
            let count = &mut self.counts[item as usize];
            if *count == 0 {
                self.seen.push(item);
            }
            *count += 1;
            self.examples += 1;
        }
    }

    /// logQ in a pool with so many rows, once all its examples were taken.
    pub fn log_q(&self, rows: usize) -> PoolLogQ<'_> {
        PoolLogQ { counts: &self.counts, shares: Shares::new(rows as u32, self.examples) }
    }
}

/// logQ in a pool.
pub struct PoolLogQ<'a> {
    counts: &'a [u32],
    shares: Shares,
}

impl PoolLogQ<'_> {
    /// logQ of each of these items.
    pub fn of_all(&self, items: &[u32]) -> Vec<f32> {
        items.par_iter().map(|item| self.shares.of(self.counts[*item as usize])).collect()
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
