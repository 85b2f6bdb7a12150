//! One batch: every generated column recomputed from payload and keys.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::compute::cast;
use polars::prelude::Column;

use super::against::Witness;
use super::columns::{find, request_parts, times};
use super::dataset::Dataset;
use super::digest::role_digests;
use super::finding::Findings;
use super::masks;
use super::prior::Prior;
use super::rows::{BatchRows, ints};
use super::totals::Totals;
use crate::schema;
use crate::stats::BatchStats;

/// The columns of a batch that the checks need, as plain values; empty where the dataset has none.
pub struct View {
    pub rows: usize,
    pub user: Vec<i64>,
    pub item: Vec<i64>,
    pub copy: Vec<i64>,
    pub anchor: Vec<bool>,
    pub log_q: Vec<f32>,
    /// The class of each row, as text; empty if labels are not mapped or not in the payload.
    pub label: Vec<Option<String>>,
    /// Digests of request values; `None` for null. Empty if not in the payload.
    pub request: Vec<Option<u128>>,
    pub null_request: Vec<bool>,
    pub time: Vec<i64>,
}

impl View {
    pub fn new(dataset: &Dataset, batch: &BatchRows) -> Self {
        let get = |name: &str| batch.frame.column(name).ok();
        let numbers = |name: &str| get(name).map(ints).unwrap_or_default();
        let role = |role: &str| dataset.role(role).and_then(|name| find(&batch.frame, name));
        let parts = request_parts(dataset, &batch.frame);
        View {
            rows: batch.frame.height(),
            user: numbers(schema::USER),
            item: numbers(schema::ITEM),
            copy: numbers(schema::COPY),
            anchor: get(schema::ANCHOR).map(bools).unwrap_or_default(),
            log_q: get(schema::LOG_Q).map(floats).unwrap_or_default(),
            label: role("label").map(|c| texts(&c)).unwrap_or_default(),
            request: parts.as_ref().map(|parts| requests_of(dataset, batch, parts)).unwrap_or_default(),
            null_request: parts.map(|parts| joined(&parts).iter().map(Option::is_none).collect()).unwrap_or_default(),
            time: role("time").map(|c| times(&c)).unwrap_or_default(),
        }
    }
}

/// Digests of rows' parts of a request; `None` where one is null.
fn joined(parts: &[Column]) -> Vec<Option<u128>> {
    let digests: Vec<Vec<Option<u128>>> =
        parts.iter().map(|part| role_digests(part.as_materialized_series())).collect();
    let row = |row: usize| {
        let values: Option<Vec<u8>> = digests.iter().try_fold(Vec::new(), |mut bytes, part| {
            bytes.extend(part[row]?.to_le_bytes());
            Some(bytes)
        });
        values.map(|bytes| xxhash_rust::xxh3::xxh3_128(&bytes))
    };
    (0..digests.first().map_or(0, Vec::len)).map(row).collect()
}

/// Digests of requests. A null is a request of its own, but an example and its copies are of one.
fn requests_of(dataset: &Dataset, batch: &BatchRows, parts: &[Column]) -> Vec<Option<u128>> {
    let mut requests = joined(parts);
    let copies = batch.frame.column(schema::COPY).map(ints).unwrap_or_default();
    if dataset.count("copies") > 0 && requests.contains(&None) {
        let keys = super::totals::example_keys(dataset, batch);
        let copied: std::collections::HashSet<u128> =
            keys.iter().zip(&copies).filter(|(_, c)| **c > 0).map(|(k, _)| *k).collect();
        for (request, key) in requests.iter_mut().zip(keys) {
            if request.is_none() && copied.contains(&key) {
                *request = Some(key);
            }
        }
    }
    requests
}

/// Whether some copy's null request may be that of several examples in the batch.
fn requests_are_open(dataset: &Dataset, batch: &BatchRows, view: &View, prior: &Prior) -> bool {
    let copied = |slot: usize| view.copy.get(slot).is_some_and(|copy| *copy > 0);
    let nulls = |slot: usize| view.null_request.get(slot) == Some(&true);
    if prior.alike.is_empty() || !(0..view.rows).any(|slot| copied(slot) && nulls(slot)) {
        return false;
    }
    let keys = super::totals::example_keys(dataset, batch);
    keys.iter().enumerate().any(|(slot, key)| copied(slot) && nulls(slot) && prior.alike.contains(key))
}

fn bools(column: &Column) -> Vec<bool> {
    let values = column.as_materialized_series().bool().ok();
    values.map(|c| c.iter().map(|b| b.unwrap_or(false)).collect()).unwrap_or_default()
}

fn floats(column: &Column) -> Vec<f32> {
    let values = column.as_materialized_series().f32().ok();
    values.map(|c| c.iter().map(|x| x.unwrap_or(f32::NAN)).collect()).unwrap_or_default()
}

fn texts(column: &Column) -> Vec<Option<String>> {
    if let Some(texts) = texts_of_times(column) {
        return texts;
    }
    if let Some(texts) = texts_of_floats(column) {
        return texts;
    }
    if let Ok(bytes) = column.as_materialized_series().binary() {
        return bytes.iter().map(|bytes| bytes.and_then(|b| std::str::from_utf8(b).ok()).map(str::to_owned)).collect();
    }
    let text = column.cast(&polars::prelude::DataType::String).ok();
    let text = text.map(|c| c.as_materialized_series().clone());
    text.and_then(|s| s.str().ok().map(|c| c.iter().map(|t| t.map(str::to_owned)).collect())).unwrap_or_default()
}

/// Whole floats as the integers that they are; NaN is null.
fn texts_of_floats(column: &Column) -> Option<Vec<Option<String>>> {
    if !column.dtype().is_float() {
        return None;
    }
    let wide = column.cast(&polars::prelude::DataType::Float64).ok()?;
    let floats = wide.as_materialized_series().f64().ok()?.clone();
    Some(floats.iter().map(|x| x.filter(|x| !x.is_nan()).map(|x| format!("{:.0}", x + 0.0))).collect())
}

/// Dates and instants as labels are written, in UTC; Polars writes them otherwise.
fn texts_of_times(column: &Column) -> Option<Vec<Option<String>>> {
    use arrow::datatypes::{DataType, TimeUnit};
    use polars::prelude::{DataType as Seen, TimeUnit as Unit};
    let written = match column.dtype() {
        Seen::Date => DataType::Date32,
        Seen::Datetime(unit, zone) => {
            let unit = match unit {
                Unit::Milliseconds => TimeUnit::Millisecond,
                Unit::Microseconds => TimeUnit::Microsecond,
                Unit::Nanoseconds => TimeUnit::Nanosecond,
            };
            DataType::Timestamp(unit, zone.as_ref().map(|_| "+00:00".into()))
        }
        _ => return None,
    };
    let ticks = column.to_physical_repr().cast(&Seen::Int64).ok()?;
    let ticks: Int64Array = ticks.as_materialized_series().i64().ok()?.iter().collect();
    let ticks: ArrayRef = Arc::new(ticks);
    let ticks = if written == DataType::Date32 { cast(&ticks, &DataType::Int32).ok()? } else { ticks };
    let texts = cast(&cast(&ticks, &written).ok()?, &DataType::Utf8).ok()?;
    Some(texts.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect())
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
    groups(dataset, batch, &view, findings);
    requests(dataset, batch, &view, findings);
    let mut stats = describe(dataset, batch, &view);
    stats.requests = stats.requests.filter(|_| !requests_are_open(dataset, batch, &view, prior));
    masks::check(dataset, batch, &view, (prior, witness), findings, &mut stats);
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

/// A group is exactly the rows that the classes ask for, of one identity, in order.
fn groups(dataset: &Dataset, batch: &BatchRows, view: &View, findings: &mut Findings) {
    let classes = dataset.classes();
    let Ok(slots) = batch.frame.column(schema::GROUP_SLOT).map(ints) else { return };
    let wanted: Vec<&str> = classes.iter().flat_map(|(c, n)| std::iter::repeat_n(c.as_str(), *n)).collect();
    let size = wanted.len().max(1);
    let mut wrong = |slot: usize, problem: String| {
        findings.add_of_kind("groups", batch.finding(Some(slot), schema::GROUP_SLOT, problem));
    };
    let grouped = slots.iter().take_while(|s| **s >= 0).count();
    if let Some(later) = slots[grouped..].iter().position(|s| *s >= 0) {
        wrong(grouped + later, "a group stands behind rows outside groups".into());
    }
    for (k, start) in (0..grouped).step_by(size).enumerate() {
        let range = start..(start + size).min(grouped);
        if range.len() < size {
            wrong(start, format!("the group has {} rows, not {size}", range.len()));
            continue;
        }
        if slots[range.clone()].iter().any(|s| *s != k as i64) {
            wrong(start, format!("the slots of group {k} are {:?}", &slots[range.clone()]));
        }
        if view.user.get(range.clone()).is_some_and(|own| own.iter().any(|u| *u != own[0])) {
            wrong(start, "the group holds rows of several identities".into());
        }
        let labels = view.label.get(range.clone()).unwrap_or_default();
        if !labels.is_empty() && labels.iter().zip(&wanted).any(|(l, w)| l.as_deref() != Some(*w)) {
            wrong(start, "the group's classes are not those of compose.group.classes, in order".into());
        }
    }
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
