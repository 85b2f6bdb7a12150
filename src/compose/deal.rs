//! Dealing: sorted units over batches, so that each identity is spread as evenly as counting allows.

use std::convert::Infallible;

use super::rng::Rng;

/// No identity.
const NONE: u32 = u32::MAX;

/// Deals units over batches as they come, sorted by identity in seeded order. Batches `0..full` take as many units each,
/// batches `full..` take `partial[…]` units; together they take all.
///
/// Partial batches take units at even distances m/r (m units left, r taken), so ⌈c·r/m⌉ of an identity's c.
/// What is left is cut into blocks of `full` units, and each block is permuted over all full batches: an identity
/// fills whole blocks, one unit a batch, and at most two blocks in part. The second of these takes the batches that
/// the first left out, as far as they go, so that no batch gets more than ⌈c/full⌉.
pub struct Dealer<'a, U> {
    rng: &'a mut Rng,
    partial: Vec<Partial>,
    full: usize,
    /// The units of a block with their identities, in order.
    block: Vec<(u32, U)>,
    permutation: Vec<u32>,
    ordered: Vec<u32>,
    /// Batches that hold the straddling identity's first, partial block, marked by that identity.
    marked: Vec<u32>,
    /// The last identity of the block before.
    before: u32,
}

/// A batch that takes `take` of the `left` units that the partial batches before it leave.
struct Partial {
    take: usize,
    left: usize,
    offset: usize,
    taken: usize,
    seen: usize,
    /// The unit that it takes next.
    next: usize,
}

impl Partial {
    fn new(take: usize, left: usize, rng: &mut Rng) -> Self {
        let offset = if take > 0 { rng.below(left) } else { 0 };
        let mut partial = Partial { take, left, offset, taken: 0, seen: 0, next: usize::MAX };
        partial.look_ahead();
        partial
    }

    /// Its t-th unit is number floor((t·left + offset) / take).
    fn look_ahead(&mut self) {
        let more = self.taken < self.take;
        self.next = if more { (self.taken * self.left + self.offset) / self.take } else { usize::MAX };
    }

    /// Whether it takes the next unit.
    fn takes(&mut self) -> bool {
        let takes = self.seen == self.next;
        self.seen += 1;
        if takes {
            self.taken += 1;
            self.look_ahead();
        }
        takes
    }
}

impl<'a, U: Copy> Dealer<'a, U> {
    /// Of `total` units.
    pub fn new(total: usize, full: usize, partial: &[usize], rng: &'a mut Rng) -> Self {
        let mut left = total;
        let partial = partial.iter().map(|take| {
            left -= take;
            Partial::new(*take, left + take, rng)
        });
        let partial = partial.collect();
        Dealer {
            rng,
            partial,
            full,
            block: Vec::with_capacity(full),
            permutation: (0..full as u32).collect(),
            ordered: Vec::with_capacity(full),
            marked: vec![NONE; full],
            before: NONE,
        }
    }

    /// Takes the next unit, one of `identity`'s; `give` gets units with their batches, each batch's in order; where it
    /// fails, nothing more is dealt.
    pub fn take<E>(&mut self, identity: u32, unit: U, give: &mut impl FnMut(u32, U) -> Result<(), E>) -> Result<(), E> {
        for (k, partial) in self.partial.iter_mut().enumerate() {
            if partial.takes() {
                return give((self.full + k) as u32, unit);
            }
        }
        self.block.push((identity, unit));
        if self.block.len() == self.full { self.give_block(give) } else { Ok(()) }
    }

    /// Gives the units that fill no block.
    pub fn finish<E>(mut self, give: &mut impl FnMut(u32, U) -> Result<(), E>) -> Result<(), E> {
        if self.block.is_empty() { Ok(()) } else { self.give_block(give) }
    }

    fn give_block<E>(&mut self, give: &mut impl FnMut(u32, U) -> Result<(), E>) -> Result<(), E> {
        self.rng.shuffle(&mut self.permutation);
        let (first, last) = (self.block[0].0, self.block[self.block.len() - 1].0);
        let straddles = first == self.before;
        let head = if straddles { self.block.iter().take_while(|(id, _)| *id == first).count() } else { 0 };
        self.ordered.clear();
        if head > 0 && head < self.full {
            let marked = &self.marked;
            let (apart, met): (Vec<u32>, Vec<u32>) =
                self.permutation.iter().partition(|b| marked[**b as usize] != first);
            let mut taken = apart;
            taken.extend(met);
            taken.truncate(head);
            self.ordered.extend(&taken);
            taken.sort_unstable();
            self.ordered.extend(self.permutation.iter().filter(|b| taken.binary_search(b).is_err()));
        } else {
            self.ordered.extend(&self.permutation);
        }
        for ((id, unit), &batch) in self.block.drain(..).zip(&self.ordered) {
            give(batch, unit)?;
            if id == last && id != self.before && first != last {
                self.marked[batch as usize] = id;
            }
        }
        self.before = last;
        Ok(())
    }
}

/// The batch of each unit; `counts[k]` units belong to the k-th identity.
pub fn deal(counts: &[u32], full: usize, partial: &[usize], rng: &mut Rng) -> Vec<u32> {
    let total: usize = counts.iter().map(|c| *c as usize).sum();
    let mut batches = vec![NONE; total];
    let mut give = |batch, unit: usize| {
        batches[unit] = batch;
        Ok::<(), Infallible>(())
    };
    let mut dealer = Dealer::new(total, full, partial, rng);
    let owners = counts.iter().zip(0..).flat_map(|(count, k)| std::iter::repeat_n(k, *count as usize));
    for (unit, identity) in owners.enumerate() {
        let Ok(()) = dealer.take(identity, unit, &mut give);
    }
    let Ok(()) = dealer.finish(&mut give);
    batches
}
