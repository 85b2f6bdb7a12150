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
    plan.order.reserve_exact(plane.len());
    for (k, pool) in windows.into_each().enumerate() {
        deal_rows(&mut plan, plane, p, rank, pool, k as u64);
        plan.close_pool();
    }
    finish(plan, plane, rank, p)
}

/// Appends the batches of one pool; rows that fill no batch come last.
fn deal_rows(plan: &mut Plan, plane: &KeyPlane, p: &Pipeline, rank: &[u32], pool: Vec<u32>, index: u64) {
    let b = p.batch_size;
    let (rows, counts) = by_identity(&pool, &plane.identity.rows, rank);
    drop(pool);
    let mut rng = Rng::new(p.seed, "deal", index);
    let mut dealer = Dealer::new(rows.len(), rows.len() / b, &[rows.len() % b], &mut rng);
    let mut slots = Slots::new(plan, rows.len());
    let mut give = |batch, row| slots.place(batch, row);
    let mut rows = rows.into_iter();
    for (count, identity) in counts.into_iter().zip(0..) {
        rows.by_ref().take(count as usize).for_each(|row| dealer.take(identity, row, &mut give));
    }
    dealer.finish(&mut give);
    slots.shuffle(p.seed);
}

/// The slots of new batches behind a plan's end, of which all but the last are full.
pub(super) struct Slots<'a> {
    plan: &'a mut Plan,
    base: usize,
    /// The next free position of each batch.
    next: Vec<usize>,
}

impl<'a> Slots<'a> {
    pub fn new(plan: &'a mut Plan, rows: usize) -> Self {
        let (base, b) = (plan.order.len(), plan.batch_size);
        plan.order.resize(base + rows, 0);
        Slots { plan, base, next: (0..=rows / b).map(|batch| base + batch * b).collect() }
    }

    /// Places a row in one of the new batches.
    pub fn place(&mut self, batch: u32, row: u32) {
        let at = &mut self.next[batch as usize];
        self.plan.order[*at] = row;
        *at += 1;
    }

    /// Shuffles the slots of each batch, once all rows are placed.
    pub fn shuffle(self, seed: u64) {
        let b = self.plan.batch_size;
        for (k, slots) in self.plan.order[self.base..].chunks_mut(b).enumerate() {
            Rng::new(seed, "slots", (self.base / b + k) as u64).shuffle(slots);
        }
    }
}
