//! The figures of a plan: counts, metrics and both baselines.

use rayon::prelude::*;
use serde::Serialize;

use super::prepare::Prepared;
use crate::compose::Plan;
use crate::error::Result;
use crate::keys::KeyPlane;
use crate::negatives::Columns;
use crate::pipeline::{Mode, Pipeline};
use crate::stats::{Baseline, Baselines, BatchStats, Counts, Metrics, co_user_ratio, random_order};

/// What was composed, in numbers.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    pub counts: Counts,
    #[serde(rename = "stats")]
    pub metrics: Metrics,
}

/// Counts and metrics of a plan whose batches were measured.
pub fn measured(p: &Pipeline, prepared: &Prepared, stats: &[BatchStats]) -> Figures {
    let Prepared { source, plane, plan, left_out, duplicates, .. } = prepared;
    let distinct = |codes: &crate::keys::Codes| {
        let mut seen = vec![false; codes.len()];
        plan.order.iter().for_each(|row| seen[codes.rows[*row as usize] as usize] = true);
        seen.into_iter().filter(|s| *s).count() as u64
    };
    let counts = Counts {
        rows_in: source.rows.into(),
        filtered: left_out.filtered,
        null_identity: left_out.null_identity,
        duplicates: *duplicates,
        dropped: plan.dropped.len() as u64,
        copies: plan.copies() as u64,
        rows_out: plan.order.len() as u64,
        users: distinct(&plane.identity),
        requests: plane.request.as_ref().map_or(0, distinct),
        items: plane.item.as_ref().map_or(0, distinct),
        batches: plan.batches() as u64,
        max_requests_per_batch: stats.iter().map(|s| s.max_requests_per_slice.into()).max().unwrap_or(0),
    };
    let reading: Vec<u32> = plan.order.iter().map(|row| plane.identity.rows[*row as usize]).collect();
    let met = met_ratio(p, plane, &reading, |at| plan.copy_at(at) > 0);
    Figures { metrics: Metrics::new(stats, &counts, p.batch_size, met), counts }
}

/// Counts and metrics of a plan, measured without writing it.
pub fn figures(p: &Pipeline, prepared: &Prepared) -> Result<Figures> {
    Ok(measured(p, prepared, &measure(p, prepared)?))
}

fn measure(p: &Pipeline, prepared: &Prepared) -> Result<Vec<BatchStats>> {
    let Prepared { plane, plan, .. } = prepared;
    let columns = Columns { pipeline: p, plane, plan, positives: prepared.positives.as_ref(), log_q: None };
    (0..plan.batches()).into_par_iter().map(|batch| columns.stats(batch)).collect()
}

/// `reading`: identities in reading order.
fn met_ratio(p: &Pipeline, plane: &KeyPlane, reading: &[u32], is_copy: impl Fn(usize) -> bool) -> Option<f64> {
    let tokens: Vec<i64> = plane.identity.tokens.iter().map(|token| *token as u64 as i64).collect();
    co_user_ratio(reading, &tokens, is_copy, p.batch_size, p.seed)
}

/// The two baselines: a uniformly random order in closed form, and the input's own order, measured.
pub fn baselines(p: &Pipeline, prepared: &Prepared) -> Baselines {
    let plane = &prepared.plane;
    let starts: Vec<u32> = (0..plane.len() as u32).step_by(p.batch_size).collect();
    // Batch by batch: a plan of all rows would take as much as another key.
    let alone = |start: &u32| {
        let rows = *start..(plane.len() as u32).min(start.saturating_add(p.batch_size as u32));
        let plan = Plan { order: rows.collect(), ..Plan::new(p.batch_size) };
        BatchStats::without_masks(p, plane, &plan, 0)
    };
    let stats: Vec<BatchStats> = starts.par_iter().map(alone).collect();
    let counts = Counts { batches: stats.len() as u64, rows_out: plane.len() as u64, ..Counts::default() };
    let (met, random_order) =
        rayon::join(|| met_ratio(p, plane, &plane.identity.rows, |_| false), || random_order(plane, p));
    let metrics = Metrics::new(&stats, &counts, p.batch_size, met);
    let input = Baseline {
        same_user_rate: Some(metrics.same_user_rate),
        match_rate: metrics.match_rate,
        users_per_batch: Some(metrics.users_per_batch.mean),
        co_user_ratio: metrics.co_user_ratio,
        request_reuse: metrics.request_reuse,
    };
    Baselines { random_order, input_order: input }
}

/// A label's share of the examples, and of the composed rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassBalance {
    /// `None`: rows without a label.
    pub label: Option<String>,
    pub before: f64,
    pub after: f64,
}

/// Most labels that [`class_balance`] lists.
const CLASSES: usize = 12;

/// The balance of the classes before and after composition, the most frequent first.
pub fn class_balance(prepared: &Prepared) -> Vec<ClassBalance> {
    let Some(labels) = &prepared.plane.label else { return Vec::new() };
    let count = |rows: &mut dyn Iterator<Item = u32>| {
        let mut counts = vec![0u64; labels.text.len()];
        rows.for_each(|code| counts[code as usize] += 1);
        counts
    };
    let before = count(&mut labels.rows.iter().copied());
    let after = count(&mut prepared.plan.order.iter().map(|row| labels.rows[*row as usize]));
    let share = |n: u64, of: usize| n as f64 / of.max(1) as f64;
    let mut codes: Vec<usize> = (0..labels.text.len()).filter(|c| before[*c] > 0).collect();
    codes.sort_by_key(|c| (std::cmp::Reverse(before[*c]), labels.text[*c].clone()));
    codes.truncate(CLASSES);
    let balance = |c: usize| ClassBalance {
        label: labels.text[c].clone(),
        before: share(before[c], labels.rows.len()),
        after: share(after[c], prepared.plan.order.len()),
    };
    codes.into_iter().map(balance).collect()
}

/// What was asked but can't be reached, each with the setting that would do.
pub fn advice(p: &Pipeline, prepared: &Prepared) -> Vec<String> {
    let (plane, plan) = (&prepared.plane, &prepared.plan);
    let mut out = Vec::new();
    let mut counts = vec![0u64; plane.identity.len()];
    plane.identity.rows.iter().for_each(|code| counts[*code as usize] += 1);
    let (largest, n) = (counts.iter().copied().max().unwrap_or(0), plane.len() as u64);
    let full = n / p.batch_size as u64;
    if p.mode == Mode::UserSpread && p.window.is_none() && full > 0 && largest > full {
        let over = counts.iter().filter(|c| **c > full).count();
        let fits = n / largest;
        let remedy = if fits > 1 {
            format!("batch_size up to {fits} would keep all apart")
        } else {
            "no batch size keeps it apart".into()
        };
        out.push(format!(
            "{over} identities have more rows than there are full batches ({largest} in {full}), so they repeat within batches: {remedy}; masks cover the rest"
        ));
    }
    if let (Some(group), Some(labels)) = (&p.group, &plane.label) {
        let identities = counts.iter().filter(|c| **c > 0).count();
        for (class, _) in &group.classes {
            let mut having: Vec<u32> = (0..plane.len())
                .filter(|row| labels.text[labels.rows[*row] as usize].as_ref() == Some(class))
                .map(|row| plane.identity.rows[row])
                .collect();
            having.sort_unstable();
            having.dedup();
            if having.len() * 2 < identities {
                out.push(format!(
                    "only {} of {identities} identities have class `{class}`: the rows of the others stay ungrouped; leave the class out of compose.group.classes, or filter with input.where",
                    having.len()
                ));
            }
        }
        let copies = plan.copies();
        if copies * 2 > plan.order.len() {
            out.push(format!(
                "{copies} of {} rows would be copies: quotas nearer to the classes' shares, or scarce = \"rest\", need fewer",
                plan.order.len()
            ));
        }
    }
    out
}
