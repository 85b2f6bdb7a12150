//! user_spread: rows of one identity as far apart as they can be.

use super::deal::Dealer;
use super::plan::Plan;
use super::rng::Rng;
use super::window::Windows;
use super::{by_identity, finish};
use crate::error::Result;
use crate::keys::KeyPlane;
use crate::pipeline::Pipeline;

pub fn compose(plane: &KeyPlane, p: &Pipeline, rank: &[u32], windows: Windows) -> Result<Plan> {
    let b = p.batch_size;
    let mut plan = Plan::new(b);
    let rank_of = |row: u32| rank[plane.identity.rows[row as usize] as usize];
    for (k, pool) in windows.into_each().enumerate() {
        let mut rng = Rng::new(p.seed, "deal", k as u64);
        let mut slots = Slots::new(pool.len(), b);
        let mut spreader = Spreader::of_pool(pool.len(), b, &mut rng);
        let mut give = |batch, row| {
            slots.place(batch, row);
            Ok(())
        };
        spreader.take(pool, rank.len(), rank_of, |row| row, &mut give)?;
        spreader.finish(&mut give)?;
        plan.extend(slots.shuffled(1, p.seed, plan.batches()));
        plan.close_pool();
    }
    finish::held(plan, plane, rank, p)
}

/// Deals rows as they come by identity, part after part.
pub struct Spreader<'a, U> {
    dealer: Dealer<'a, U>,
    /// Identities that have come.
    identities: u32,
}

impl<'a, U: Copy> Spreader<'a, U> {
    /// Of `rows` rows: batches `0..full` take as many each, batches `full..` take `partial[…]`.
    pub fn new(rows: usize, full: usize, partial: &[usize], rng: &'a mut Rng) -> Self {
        Spreader { dealer: Dealer::new(rows, full, partial, rng), identities: 0 }
    }

    /// Of all rows of a pool; those that fill no batch are given to the one behind the others.
    pub fn of_pool(rows: usize, batch_size: usize, rng: &'a mut Rng) -> Self {
        Spreader::new(rows, rows / batch_size, &[rows % batch_size], rng)
    }

    /// Takes all rows of some identities, in precedence; their ranks, of `ranks`, are higher than those that came before.
    /// `called(row)` is what a row is called where `give` gets it with its batch, now or later.
    pub fn take(
        &mut self,
        rows: Vec<u32>,
        ranks: usize,
        rank_of: impl Fn(u32) -> u32,
        called: impl Fn(u32) -> U,
        give: &mut impl FnMut(u32, U) -> Result<()>,
    ) -> Result<()> {
        let (sorted, counts) = by_identity(&rows, ranks, rank_of);
        drop(rows);
        let mut sorted = sorted.into_iter();
        for count in counts {
            let mut own = sorted.by_ref().take(count as usize);
            own.try_for_each(|row| self.dealer.take(self.identities, called(row), give))?;
            self.identities += 1;
        }
        Ok(())
    }

    /// Gives what is still waiting, once all rows have come.
    pub fn finish(self, give: &mut impl FnMut(u32, U) -> Result<()>) -> Result<()> {
        self.dealer.finish(give)
    }
}

/// The slots of consecutive batches, of which all but the last are full.
pub struct Slots {
    rows: Vec<u32>,
    batch_size: usize,
    /// The next free place of each batch.
    next: Vec<usize>,
}

impl Slots {
    pub fn new(rows: usize, batch_size: usize) -> Self {
        let next = (0..=rows / batch_size).map(|batch| batch * batch_size).collect();
        Slots { rows: vec![0; rows], batch_size, next }
    }

    /// Places a row in one of the batches.
    pub fn place(&mut self, batch: u32, row: u32) {
        let at = &mut self.next[batch as usize];
        self.rows[*at] = row;
        *at += 1;
    }

    /// Once all rows are placed: each batch's shuffled, `together` rows at a time; the first is the dataset's `first_batch`.
    pub fn shuffled(mut self, together: usize, seed: u64, first_batch: usize) -> Vec<u32> {
        for (slots, batch) in self.rows.chunks_mut(self.batch_size).zip(first_batch as u64..) {
            Rng::new(seed, "slots", batch).shuffle_chunks(slots, together);
        }
        self.rows
    }
}
