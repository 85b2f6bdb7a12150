//! user_spread: rows of one identity as far apart as they can be.

use super::deal::Dealer;
use super::plan::Plan;
use super::rng::Rng;
use super::window::Windows;
use super::{by_identity, finish};
use crate::keys::KeyPlane;
use crate::pipeline::Pipeline;

pub fn compose(plane: &KeyPlane, p: &Pipeline, rank: &[u32], windows: Windows) -> Plan {
    let b = p.batch_size;
    let mut plan = Plan::new(b);
    for (k, pool) in windows.into_each().enumerate() {
        let mut rng = Rng::new(p.seed, "deal", k as u64);
        let mut slots = Slots::new(pool.len(), b);
        let mut spreader = Spreader::new(pool.len(), b, rank, &mut rng);
        spreader.take(pool, &plane.identity.rows, |row| row, |batch, row| slots.place(batch, row));
        spreader.finish(|batch, row| slots.place(batch, row));
        plan.extend(slots.shuffled(p.seed, plan.batches()));
        plan.close_pool();
    }
    finish(plan, plane, rank, p)
}

/// Deals the rows of one pool, as they come by identity, part after part.
pub struct Spreader<'a> {
    rank: &'a [u32],
    dealer: Dealer<'a, u32>,
    /// Identities that have come.
    identities: u32,
}

impl<'a> Spreader<'a> {
    /// Of `rows` rows; those that fill no batch are given to the one behind the others.
    pub fn new(rows: usize, batch_size: usize, rank: &'a [u32], rng: &'a mut Rng) -> Self {
        let dealer = Dealer::new(rows, rows / batch_size, &[rows % batch_size], rng);
        Spreader { rank, dealer, identities: 0 }
    }

    /// Takes all rows of some identities, in precedence; their ranks are higher than those that came before. `identity[row]` is
    /// that of a row, `number(row)` what it is called where `give` gets it with its batch, now or later.
    pub fn take(
        &mut self,
        rows: Vec<u32>,
        identity: &[u32],
        number: impl Fn(u32) -> u32,
        mut give: impl FnMut(u32, u32),
    ) {
        let (sorted, counts) = by_identity(&rows, identity, self.rank);
        drop(rows);
        let mut sorted = sorted.into_iter();
        for count in counts {
            let own = sorted.by_ref().take(count as usize);
            own.for_each(|row| self.dealer.take(self.identities, number(row), &mut give));
            self.identities += 1;
        }
    }

    /// All have come.
    pub fn finish(self, mut give: impl FnMut(u32, u32)) {
        self.dealer.finish(&mut give);
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

    /// Once all rows are placed: shuffled within each batch, of which the first is the dataset's `first_batch`.
    pub fn shuffled(mut self, seed: u64, first_batch: usize) -> Vec<u32> {
        for (slots, batch) in self.rows.chunks_mut(self.batch_size).zip(first_batch as u64..) {
            Rng::new(seed, "slots", batch).shuffle(slots);
        }
        self.rows
    }
}
