//! user_spread: rows of one identity as far apart as they can be.

use super::deal::deal;
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
    let (full, short) = (rows.len() / b, rows.len() % b);
    let batches = deal(&counts, full, b, &[short], &mut Rng::new(p.seed, "deal", index));
    scatter(plan, p.seed, &rows, &batches, b);
}

/// Appends rows, `batches[i]` being the batch of `rows[i]`, and shuffles the slots of each batch. Batches are numbered from
/// the plan's end, and all but the last are full.
pub(super) fn scatter(plan: &mut Plan, seed: u64, rows: &[u32], batches: &[u32], batch_size: usize) {
    let base = plan.order.len();
    let mut next: Vec<usize> = (0..=rows.len() / batch_size).map(|b| base + b * batch_size).collect();
    plan.order.resize(base + rows.len(), 0);
    for (row, batch) in rows.iter().zip(batches) {
        let at = &mut next[*batch as usize];
        plan.order[*at] = *row;
        *at += 1;
    }
    for (k, slots) in plan.order[base..].chunks_mut(batch_size).enumerate() {
        Rng::new(seed, "slots", (base / batch_size + k) as u64).shuffle(slots);
    }
}
