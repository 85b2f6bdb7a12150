//! Trades between small batches: dealing by blocks lets the identities of a block meet too seldom where batches are small.

use std::ops::Range;

use super::rng::Rng;

/// Batches of up to so many rows trade; larger ones meet enough others as they are dealt.
const SMALL: usize = 64;

/// Rounds of trades: with two, identities meet as in a random order from batches of 2 rows on.
const ROUNDS: u64 = 2;

/// Rows of the batches that trade with one another, about.
const CHUNK_ROWS: usize = 1 << 16;

/// Whether batches of so many rows trade.
pub fn are_small(batch_size: usize) -> bool {
    batch_size <= SMALL
}

/// Cuts `batches` full batches into chunks, within which they trade: as many in each as goes.
#[derive(Debug, Clone, Copy)]
pub struct Chunks {
    batches: usize,
    number: usize,
}

impl Chunks {
    pub fn new(batches: usize, batch_size: usize) -> Self {
        Chunks { batches, number: batches.div_ceil((CHUNK_ROWS / batch_size).max(1)).max(1) }
    }

    pub fn len(&self) -> usize {
        self.number
    }

    /// The batches of some chunks.
    pub fn batches(&self, chunks: Range<usize>) -> Range<usize> {
        let start = |chunk: usize| (chunk as u128 * self.batches as u128 / self.number as u128) as usize;
        start(chunks.start)..start(chunks.end)
    }

    /// The chunk of a batch; the last one's for what stands behind.
    pub fn of(&self, batch: usize) -> usize {
        let mut chunk = (batch as u128 * self.number as u128 / self.batches.max(1) as u128) as usize;
        chunk = chunk.min(self.number - 1);
        // Bounds are rounded down.
        while chunk + 1 < self.number && self.batches(chunk + 1..chunk + 2).start <= batch {
            chunk += 1;
        }
        chunk
    }
}

/// Units of `size` rows that stand in batches of `units` units each, with the identity of each unit.
pub struct Traded<'a> {
    pub rows: &'a mut [u32],
    pub owners: &'a mut [u32],
    pub size: usize,
    pub units: usize,
}

impl Traded<'_> {
    /// Trades between the batches, of which the first is the dataset's `first_batch`: in each round they are paired, and the
    /// units of identities that stand once in exactly one of a pair are dealt anew over their places. So caps and sizes stay.
    pub fn trade(&mut self, seed: u64, first_batch: usize) {
        let batches = self.owners.len() / self.units.max(1);
        for round in 0..ROUNDS {
            let mut rng = Rng::new(seed, "trades", (first_batch as u64) << 1 | round);
            let mut paired: Vec<u32> = (0..batches as u32).collect();
            rng.shuffle(&mut paired);
            for pair in paired.chunks_exact(2) {
                self.trade_pair(pair[0] as usize, pair[1] as usize, &mut rng);
            }
        }
    }

    fn trade_pair(&mut self, one: usize, other: usize, rng: &mut Rng) {
        let places = |batch: usize| batch * self.units..(batch + 1) * self.units;
        let mut standing: Vec<(u32, u32)> =
            places(one).chain(places(other)).map(|at| (self.owners[at], at as u32)).collect();
        standing.sort_unstable();
        let once = standing.chunk_by(|a, b| a.0 == b.0).filter(|own| own.len() == 1);
        let mut units: Vec<u32> = once.map(|own| own[0].1).collect();
        let mut places = units.clone();
        places.sort_unstable();
        rng.shuffle(&mut units);
        let size = self.size;
        let rows: Vec<u32> =
            units.iter().flat_map(|at| &self.rows[*at as usize * size..(*at as usize + 1) * size]).copied().collect();
        let owners: Vec<u32> = units.iter().map(|at| self.owners[*at as usize]).collect();
        for ((place, owner), rows) in places.into_iter().zip(owners).zip(rows.chunks_exact(size)) {
            self.owners[place as usize] = owner;
            self.rows[place as usize * size..(place as usize + 1) * size].copy_from_slice(rows);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn chunks_hold_all_batches_once() {
        for (batches, batch_size) in [(0, 4), (1, 4096), (5, 4096), (1_000, 64), (1_025, 64), (40_000, 2), (99_999, 3)]
        {
            let chunks = Chunks::new(batches, batch_size);
            assert_eq!(chunks.batches(0..chunks.len()), 0..batches);
            for chunk in 0..chunks.len() {
                let own = chunks.batches(chunk..chunk + 1);
                assert!(own.len() * batch_size <= CHUNK_ROWS.max(batch_size));
                own.for_each(|batch| assert_eq!(chunks.of(batch), chunk));
            }
        }
    }

    proptest! {
        /// Rows stay with their owners, each stands where one stood before, and nobody comes to stand more often in a batch than
        /// once or than before.
        #[test]
        fn trades_keep_rows_sizes_and_caps(
            owners in prop::collection::vec(0u32..12, 4..200),
            units in 1usize..9,
            size in 1usize..4,
            seed in any::<u64>(),
        ) {
            let mut owners = owners;
            owners.truncate(owners.len() / units * units);
            let mut rows: Vec<u32> = (0..(owners.len() * size) as u32).collect();
            let (before, number) = (owners.clone(), owners.len());
            Traded { rows: &mut rows, owners: &mut owners, size, units }.trade(seed, 7);
            for (group, owner) in rows.chunks_exact(size).zip(&owners) {
                prop_assert!(group.windows(2).all(|pair| pair[0] + 1 == pair[1]));
                prop_assert_eq!(before[group[0] as usize / size], *owner);
            }
            let mut all = rows.clone();
            all.sort_unstable();
            prop_assert_eq!(all, (0..(number * size) as u32).collect::<Vec<_>>());
            let most = |owners: &[u32], owner: u32| {
                let in_batch = |batch: &[u32]| batch.iter().filter(|own| **own == owner).count();
                owners.chunks(units.max(1)).map(in_batch).max().unwrap_or(0)
            };
            for owner in 0..12 {
                prop_assert!(most(&owners, owner) <= most(&before, owner).max(1));
            }
        }
    }
}
