//! Dealing: units in seeded order of their identities over batches, so that each identity is spread as evenly as counting
//! allows. Local: what becomes of a block depends on the counts of the identities at its ends, hardly ever on other blocks.

use std::ops::Range;

use rayon::prelude::*;

use super::rng::Rng;

/// Units that one core deals at a time, about.
const PIECE: usize = 1 << 18;

/// Deals a pool's units, which come identity by identity. Batches `0..full` take as many units each; the batches behind them
/// take `partial[…]` units; together they take all.
///
/// A partial batch takes units at even distances m/r (m units left, r taken), so ⌈c·r/m⌉ of an identity's c. What is left is
/// cut into blocks of `full` units. Block k is dealt by a permutation of its own: an identity fills whole blocks, one unit a
/// batch, and at most two in part. The second of these, its head, takes batches that the first, its tail, left out, as far
/// as they go; so no batch gets more than ⌈c/full⌉.
///
/// Say that h units of block k belong to an identity that began in block b, of which t_b stand in b, and that the last t
/// units belong to one that goes on behind k. If h + t + t_b ≤ full, the tail stands on the last t batches of the
/// permutation, whatever b was dealt, and the head on the first others outside b's tail. Else the block is tight: the head
/// comes first, outside b's tail as far as it goes, and the tail on the last of what is left.
pub struct Deal {
    seed: u64,
    purpose: &'static str,
    pool: u64,
    full: usize,
    partial: Vec<Partial>,
    /// For each block but the first, the identity that stands on both sides of its start.
    straddling: Vec<Option<Range<usize>>>,
    /// Units of full batches that have been counted.
    counted: usize,
    /// All units that have been counted.
    seen: usize,
}

/// A batch that takes `take` of the `left` units that the partial batches before it leave.
#[derive(Debug, Clone, Copy)]
struct Partial {
    take: usize,
    left: usize,
    offset: usize,
}

impl Partial {
    /// How many of the first `units` it takes: its t-th is number floor((t·left + offset) / take).
    fn among(self, units: usize) -> usize {
        (units * self.take).saturating_sub(self.offset).div_ceil(self.left.max(1)).min(self.take)
    }
}

impl Deal {
    /// Deals `total` units in pool number `pool`; `purpose` names the stream of randomness.
    pub fn new(seed: u64, purpose: &'static str, pool: u64, total: usize, full: usize, partial: &[usize]) -> Self {
        let mut left = total;
        let mut offsets =
            Rng::new(seed, "partial batches", xxhash_rust::xxh3::xxh3_64_with_seed(purpose.as_bytes(), pool));
        let partial = partial.iter().map(|take| {
            let partial = Partial { take: *take, left, offset: if *take > 0 { offsets.below(left) } else { 0 } };
            left -= take;
            partial
        });
        let partial = partial.collect();
        let blocks = left.checked_div(full).unwrap_or(0);
        Deal { seed, purpose, pool, full, partial, straddling: vec![None; blocks], counted: 0, seen: 0 }
    }

    /// Number of blocks, which is the number of units of a full batch.
    pub fn blocks(&self) -> usize {
        self.straddling.len()
    }

    /// Number of full batches.
    pub fn full(&self) -> usize {
        self.full
    }

    /// Counts the units of the next identities.
    pub fn count(&mut self, runs: impl Iterator<Item = usize>) {
        for run in runs {
            self.seen += run;
            let start = self.counted;
            self.counted = self.full_among(self.seen);
            // Starts of blocks within it; without full batches there are none.
            let Some(block) = start.checked_div(self.full) else { continue };
            let first = (block + 1).min(self.blocks());
            let end = self.counted.div_ceil(self.full).min(self.blocks());
            self.straddling[first..end.max(first)].fill(Some(start..self.counted));
        }
    }

    /// How many of the first `units` stand in full batches.
    fn full_among(&self, units: usize) -> usize {
        self.partial.iter().fold(units, |units, partial| units - partial.among(units))
    }

    /// Whether partial batches take any of these units.
    pub fn takes_partial(&self, units: Range<usize>) -> bool {
        self.full_among(units.end) - self.full_among(units.start) < units.len()
    }

    /// Takes the units of partial batches out of consecutive units, of which `first` is the ordinal of the first; `partial` gets
    /// those of each of these batches.
    pub fn split<U: Copy>(&self, first: usize, mut units: Vec<U>, partial: &mut [Vec<U>]) -> Vec<U> {
        let mut first = first;
        for (batch, taken) in self.partial.iter().zip(partial) {
            let before = batch.among(first);
            let own = batch.among(first + units.len()) - before;
            if own > 0 {
                let ordinals = (before..before + own).map(|t| (t * batch.left + batch.offset) / batch.take - first);
                let mut at = 0;
                let (mut kept, mut from) = (0, 0);
                for ordinal in ordinals {
                    taken.push(units[ordinal]);
                    units.copy_within(from..ordinal, kept);
                    kept += ordinal - from;
                    from = ordinal + 1;
                    at += 1;
                }
                debug_assert_eq!(at, own);
                units.copy_within(from.., kept);
                units.truncate(units.len() - own);
            }
            first -= before;
        }
        units
    }

    /// Ranges of blocks, in order, which can be dealt side by side: about `number` of them.
    pub fn ranges(&self, number: usize) -> Vec<Range<usize>> {
        let size = self.blocks().div_ceil(number.max(1)).max(1);
        let (mut ranges, mut start) = (Vec::new(), 0);
        while start < self.blocks() {
            let mut end = (start + size).min(self.blocks());
            // A range begins where the tail that it must avoid is known without dealing others.
            while end < self.blocks() && self.began(end).is_some_and(|(block, _)| self.is_tight(block)) {
                end += 1;
            }
            ranges.push(start..end);
            start = end;
        }
        ranges
    }

    /// Deals blocks one by one.
    pub fn blocks_of(&self, range: Range<usize>) -> Blocks<'_> {
        let mut blocks = Blocks {
            deal: self,
            next: range.start,
            tail: Vec::new(),
            met: vec![false; self.full],
            permutation: Vec::with_capacity(self.full),
            passed: Vec::new(),
        };
        let began = if range.start < self.blocks() { self.began(range.start) } else { None };
        if let Some((block, _)) = began {
            // Back to a block whose tail nothing decides but itself.
            let mut from = block;
            while self.is_tight(from) {
                let Some((before, _)) = self.began(from) else { break };
                from = before;
            }
            blocks.next = from;
            while blocks.next <= block {
                blocks.deal_next();
            }
            blocks.next = range.start;
        }
        blocks
    }

    /// Where the identity that stands on both sides of a block's start began, if it began within a block, and how many of its
    /// units stand there.
    fn began(&self, block: usize) -> Option<(usize, usize)> {
        let own = self.straddling.get(block)?.as_ref()?;
        let (began, within) = (own.start / self.full, own.start % self.full);
        (within > 0).then(|| (began, self.full - within))
    }

    /// Units of a block that belong to an identity that began before it.
    fn head(&self, block: usize) -> usize {
        let own = self.straddling.get(block).and_then(Option::as_ref);
        own.map_or(0, |own| (own.end - block * self.full).min(self.full))
    }

    /// Units of a block that belong to an identity that begins within it and goes on behind it.
    fn tail(&self, block: usize) -> usize {
        match self.began(block + 1) {
            Some((began, units)) if began == block => units,
            _ => 0,
        }
    }

    fn is_tight(&self, block: usize) -> bool {
        self.head(block) + self.tail(block) + self.began(block).map_or(0, |(_, units)| units) > self.full
    }
}

/// Blocks, dealt in order.
pub struct Blocks<'a> {
    deal: &'a Deal,
    next: usize,
    /// Batches of the last tail that was dealt.
    tail: Vec<u32>,
    /// Whether a batch is among those that a head should not take.
    met: Vec<bool>,
    permutation: Vec<u32>,
    /// Batches that a head passes over.
    passed: Vec<u32>,
}

impl Blocks<'_> {
    /// The batch of each unit of the next block.
    pub fn deal_next(&mut self) -> &[u32] {
        let Blocks { deal, tail, met, permutation, passed, .. } = self;
        let block = self.next;
        self.next += 1;
        permutation.clear();
        permutation.extend(0..deal.full as u32);
        Rng::new(deal.seed, deal.purpose, deal.pool << 32 | block as u64).shuffle(permutation);
        let (head, own_tail) = (deal.head(block), deal.tail(block));
        if own_tail == 0 && (head == 0 || head == deal.full) {
            return permutation;
        }
        // The identity of the head began where the last tail was dealt, if it began within a block.
        let avoided = if head > 0 && deal.began(block).is_some() { std::mem::take(tail) } else { Vec::new() };
        avoided.iter().for_each(|batch| met[*batch as usize] = true);
        // The tail of a tight block is what the head leaves.
        let free = if deal.is_tight(block) { deal.full } else { deal.full - own_tail };
        let (mut taken, mut seen) = (0, 0);
        passed.clear();
        while taken < head && seen < free {
            let batch = permutation[seen];
            seen += 1;
            if met[batch as usize] {
                passed.push(batch);
            } else {
                permutation[taken] = batch;
                taken += 1;
            }
        }
        permutation[taken..seen].copy_from_slice(passed);
        avoided.iter().for_each(|batch| met[*batch as usize] = false);
        if own_tail > 0 {
            tail.clear();
            tail.extend(&permutation[deal.full - own_tail..]);
        }
        permutation
    }
}

impl Deal {
    /// The batch of each unit, in order, once all are counted: `give` gets them in pieces. Those of partial batches are behind
    /// the full ones.
    ///
    /// # Errors
    /// What `give` says.
    pub fn batches<E: Send>(&self, mut give: impl FnMut(Vec<u32>) -> Result<(), E>) -> Result<(), E> {
        let mut ranges = self.ranges(self.counted.div_ceil(PIECE).max(rayon::current_num_threads()));
        if ranges.is_empty() {
            ranges.push(0..0);
        }
        for few in ranges.chunks(rayon::current_num_threads() * 2) {
            let dealt: Vec<Vec<u32>> = few.par_iter().map(|blocks| self.batches_of(blocks.clone())).collect();
            dealt.into_iter().try_for_each(&mut give)?;
        }
        Ok(())
    }

    /// The batches of the units of some blocks, and of those of partial batches between them.
    fn batches_of(&self, blocks: Range<usize>) -> Vec<u32> {
        let end = if blocks.end == self.blocks() { self.seen } else { self.unit(blocks.end * self.full) };
        let start = self.unit(blocks.start * self.full);
        let mut partial = vec![Vec::new(); self.partial.len()];
        let units = self.split(start, (0..(end - start) as u32).collect(), &mut partial);
        let mut batches = vec![0; end - start];
        for (batch, taken) in (self.full as u32..).zip(partial) {
            taken.into_iter().for_each(|unit| batches[unit as usize] = batch);
        }
        let mut dealt = self.blocks_of(blocks);
        for units in units.chunks_exact(self.full.max(1)) {
            units.iter().zip(dealt.deal_next()).for_each(|(unit, batch)| batches[*unit as usize] = *batch);
        }
        batches
    }

    /// The first unit with so many units of full batches before it.
    fn unit(&self, full: usize) -> usize {
        let mut units = 0..self.seen;
        while !units.is_empty() {
            let middle = units.start + units.len() / 2;
            if self.full_among(middle) < full {
                units.start = middle + 1;
            } else {
                units.end = middle;
            }
        }
        units.start
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Identities around the number of batches, and whatever else makes blocks tight.
    fn counts() -> impl Strategy<Value = (usize, Vec<u32>)> {
        (1usize..25).prop_flat_map(|full| {
            let n = full as u32;
            let around = prop::sample::select(vec![n.max(2) - 1, n, n + 1, 2 * n, 1, n / 2 + 1]);
            let any =
                prop_oneof![3 => around, 1 => 1..=3u32, 1 => 1..=3 * n + 1, 1 => (0..6u32).prop_map(|k| 1 << (2 * k))];
            (Just(full), prop::collection::vec(any, 1..30))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        /// Full batches get as many units each, partial ones what they take, and nobody gets more than ⌈c/full⌉ of an identity;
        /// however blocks are cut into ranges, they are dealt alike.
        #[test]
        fn caps_hold_for_all_identities_at_once((full, counts) in counts(), seed in any::<u64>(), cut in 1usize..9) {
            let total: usize = counts.iter().map(|c| *c as usize).sum();
            let partial = total % full;
            let new = || Deal::new(seed, "rows", 3, total, full, &[partial]);
            let mut deal = new();
            deal.count(counts.iter().map(|count| *count as usize));
            let mut batches = Vec::new();
            deal.batches(|some| {
                batches.extend(some);
                Ok::<(), std::convert::Infallible>(())
            }).unwrap();
            prop_assert_eq!(batches.len(), total);
            let mut loads = vec![0; full + 1];
            batches.iter().for_each(|batch| loads[*batch as usize] += 1);
            prop_assert!(loads[..full].iter().all(|load| *load == total / full));
            prop_assert_eq!(loads[full], partial);
            let mut start = 0;
            for count in &counts {
                let mut own = vec![0; full + 1];
                batches[start..start + *count as usize].iter().for_each(|batch| own[*batch as usize] += 1);
                start += *count as usize;
                let most = own[..full].iter().max().copied().unwrap_or(0);
                prop_assert!(most <= count.div_ceil(full as u32), "{} of {} in {}", most, count, full);
                let most = (*count as usize * partial).div_ceil(total);
                prop_assert!(own[full] as usize <= most);
            }
            let mut whole = new();
            whole.count(counts.iter().map(|count| *count as usize));
            let mut once = whole.blocks_of(0..whole.blocks());
            for range in whole.ranges(cut) {
                let mut some = whole.blocks_of(range.clone());
                range.for_each(|_| assert_eq!(some.deal_next(), once.deal_next()));
            }
        }
    }
}
