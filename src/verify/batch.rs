//! One batch: every generated column recomputed from payload and keys.

use std::collections::HashMap;

use super::against::Witness;
use super::example_keys::example_keys;
use super::finding::Findings;
use super::lookalikes::Prior;
use super::masks;
use super::rows::BatchRows;
use super::rules::Known;
use super::totals::Totals;
use super::view::{View, bools};
use crate::reader::{Dataset, ints};
use crate::schema;
use crate::stats::BatchStats;

/// Whether some copy's null request may be that of several examples in the batch.
fn requests_are_open(dataset: &Dataset, batch: &BatchRows, view: &View, prior: &Prior) -> bool {
    let copied = |slot: usize| view.copy.get(slot).is_some_and(|copy| *copy > 0);
    let nulls = |slot: usize| view.null_request.get(slot) == Some(&true);
    if prior.alike.is_empty() || !(0..view.rows).any(|slot| copied(slot) && nulls(slot)) {
        return false;
    }
    let keys = example_keys(dataset, batch);
    keys.iter().enumerate().any(|(slot, key)| copied(slot) && nulls(slot) && prior.alike.contains(key))
}

/// Checks a batch, and adds what it holds to the totals.
pub fn check(
    dataset: &Dataset,
    batch: &BatchRows,
    prior: &Prior,
    witness: Option<&Witness>,
    findings: &mut Findings,
    totals: &mut Totals,
) {
    let view = View::new(dataset, batch);
    let mut compare = |column: &str, expected: &mut dyn Iterator<Item = i64>| {
        let Ok(found) = batch.frame.column(column).map(ints) else { return };
        for (slot, (found, expected)) in found.into_iter().zip(expected).enumerate() {
            if found != expected {
                let problem = format!("it is {found}, and should be {expected}");
                findings.add_of_kind("wrong values", batch.finding(Some(slot), column, problem));
            }
        }
    };
    compare(schema::SLOT, &mut (0..view.rows as i64));
    compare(schema::USER_SLOT, &mut by_first_appearance(&view.user).into_iter());
    compare(schema::ITEM_SLOT, &mut by_first_appearance(&view.item).into_iter());
    requests(dataset, batch, &view, findings);
    let mut stats = describe(dataset, batch, &view);
    stats.requests = stats.requests.filter(|_| !requests_are_open(dataset, batch, &view, prior));
    masks::check(&Known { dataset, batch, view: &view, prior, witness }, findings, &mut stats);
    totals.add(dataset, batch, view, stats, findings);
}

/// Ordinals by first appearance.
fn by_first_appearance<T: std::hash::Hash + Eq + Copy>(values: &[T]) -> Vec<i64> {
    let mut seen: HashMap<T, i64> = HashMap::new();
    values
        .iter()
        .map(|v| {
            let next = seen.len() as i64;
            *seen.entry(*v).or_insert(next)
        })
        .collect()
}

/// Request slots by first appearance in the rank's slice; request columns only where the request is first.
fn requests(dataset: &Dataset, batch: &BatchRows, view: &View, findings: &mut Findings) {
    let Ok(slots) = batch.frame.column(schema::REQUEST_SLOT).map(ints) else { return };
    let firsts = batch.frame.column(schema::REQUEST_FIRST).map(bools).unwrap_or_default();
    let slice = dataset.slice();
    for start in (0..view.rows).step_by(slice) {
        let range = start..(start + slice).min(view.rows);
        let expected: Vec<i64> = match view.request.get(range.clone()) {
            Some(requests) => {
                // Each null is a request of its own.
                let mut next = 0u128;
                let keyed: Vec<(bool, u128)> = requests
                    .iter()
                    .map(|r| match r {
                        Some(digest) => (true, *digest),
                        None => {
                            next += 1;
                            (false, next)
                        }
                    })
                    .collect();
                by_first_appearance(&keyed)
            }
            None => by_first_appearance(&slots[range.clone()]),
        };
        let mut most = -1;
        for (slot, expected) in range.zip(expected) {
            if slots[slot] != expected {
                let problem = format!("it is {}, and should be {expected}", slots[slot]);
                findings.add_of_kind("request slots", batch.finding(Some(slot), schema::REQUEST_SLOT, problem));
            }
            let first = expected > most;
            most = most.max(expected);
            if firsts.get(slot) != Some(&first) {
                let problem = format!("it should be {first}");
                findings.add_of_kind("request firsts", batch.finding(Some(slot), schema::REQUEST_FIRST, problem));
            }
        }
    }
    for name in dataset.list("requests.columns") {
        let Ok(column) = batch.frame.column(&name) else { continue };
        let nulls = column.is_null();
        for (slot, null) in nulls.iter().enumerate() {
            if null == Some(false) && firsts.get(slot) == Some(&false) {
                let problem = "a value stands where its request is not first";
                findings.add_of_kind("request columns", batch.finding(Some(slot), &name, problem));
            }
        }
    }
}

/// The batch's statistics but for masks.
fn describe(dataset: &Dataset, batch: &BatchRows, view: &View) -> BatchStats {
    let count = |values: &[i64]| {
        let mut counts: HashMap<i64, u64> = HashMap::new();
        values.iter().for_each(|v| *counts.entry(*v).or_default() += 1);
        counts
    };
    let users = count(&view.user);
    let classes: Vec<String> = dataset.classes().into_iter().map(|(c, _)| c).collect();
    let mut matched = 0;
    for start in (0..view.label.len()).step_by(dataset.slice()) {
        let range = start..(start + dataset.slice()).min(view.label.len());
        let mut own: HashMap<i64, Vec<Option<&str>>> = HashMap::new();
        range.for_each(|r| own.entry(view.user[r]).or_default().push(view.label[r].as_deref()));
        for labels in own.values() {
            let met = if classes.is_empty() {
                labels.iter().any(|l| *l != labels[0])
            } else {
                classes.iter().all(|c| labels.contains(&Some(c.as_str())))
            };
            matched += if met { labels.len() as u32 } else { 0 };
        }
    }
    let distinct = |requests: &[Option<u128>]| {
        let named: std::collections::HashSet<u128> = requests.iter().flatten().copied().collect();
        (named.len() + requests.iter().filter(|r| r.is_none()).count()) as u32
    };
    BatchStats {
        batch: batch.number as u32,
        rows: view.rows as u32,
        users: users.len() as u32,
        max_rows_per_user: users.values().max().copied().unwrap_or(0) as u32,
        same_user_pairs: users.values().map(|c| c * (c - 1)).sum(),
        matched_rows: (!view.label.is_empty()).then_some(matched),
        requests: (!view.request.is_empty()).then(|| distinct(&view.request)),
        max_requests_per_slice: view.request.chunks(dataset.slice()).map(distinct).max().unwrap_or(0),
        copies: view.copy.iter().filter(|c| **c > 0).count() as u32,
        time: view.time.iter().min().copied().zip(view.time.iter().max().copied()),
        min_valid_negatives: u32::MAX,
        ..BatchStats::default()
    }
}
