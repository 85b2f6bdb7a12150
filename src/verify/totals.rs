//! What only all batches together show: caps, copies, logQ, tables, counts, metrics.

use std::collections::HashMap;

use serde_json::Value;

use super::Recomputed;
use super::example_keys::example_keys;
use super::finding::{Finding, Findings};
use super::modes::{Mode, mode};
use super::rows::BatchRows;
use super::sums;
use super::view::View;
use crate::reader::Dataset;
use crate::schema;
use crate::stats::{BatchStats, Counts, Metrics, co_user_ratio};

/// Sums over the batches seen.
pub struct Totals {
    pub(super) sample: Option<f64>,
    pub(super) stats: Vec<BatchStats>,
    /// Whether all known positives are known.
    knows_input: bool,
    rows: u64,
    /// Identities in reading order, as ordinals.
    reading: Vec<u32>,
    /// Rows of each that are no copies.
    originals: Vec<u32>,
    users: HashMap<i64, u32>,
    tokens: Vec<i64>,
    pub(super) items: HashMap<i64, ItemSeen>,
    /// And whose they are; `None`: of several identities.
    requests: HashMap<u128, Option<i64>>,
    null_requests: u64,
    mode: Box<dyn Mode>,
    /// By example key: how often it was seen with each copy ordinal.
    examples: HashMap<u128, Vec<u32>>,
}

#[derive(Default, Clone, Copy)]
pub(super) struct ItemSeen {
    pub(super) originals: u64,
    pub(super) positives: u64,
    log_q: f32,
}

impl Totals {
    pub fn new(dataset: &Dataset, sample: Option<f64>, knows_input: bool) -> Self {
        Totals {
            sample,
            knows_input,
            stats: Vec::new(),
            rows: 0,
            reading: Vec::new(),
            originals: Vec::new(),
            users: HashMap::new(),
            tokens: Vec::new(),
            items: HashMap::new(),
            requests: HashMap::new(),
            null_requests: 0,
            mode: mode(dataset, sample.is_none()),
            examples: HashMap::new(),
        }
    }

    pub fn batches(&self) -> usize {
        self.stats.len()
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    pub fn add(
        &mut self,
        dataset: &Dataset,
        batch: &BatchRows,
        view: View,
        stats: BatchStats,
        findings: &mut Findings,
    ) {
        self.rows += view.rows as u64;
        for (slot, user) in view.user.iter().enumerate() {
            let next = self.tokens.len() as u32;
            let ordinal = *self.users.entry(*user).or_insert(next);
            if ordinal == next {
                self.tokens.push(*user);
                self.originals.push(0);
            }
            self.reading.push(ordinal);
            self.originals[ordinal as usize] += u32::from(view.copy.get(slot).is_none_or(|c| *c <= 0));
        }
        let one_pool = dataset.value("compose.window").is_null() && self.sample.is_none();
        for (slot, item) in view.item.iter().enumerate() {
            let original = view.copy.get(slot) == Some(&0);
            let seen = self.items.entry(*item).or_insert(ItemSeen { log_q: f32::NAN, ..ItemSeen::default() });
            seen.originals += u64::from(original);
            seen.positives += u64::from(original && view.anchor.get(slot) == Some(&true));
            let log_q = view.log_q.get(slot).copied().unwrap_or(f32::NAN);
            if one_pool && !seen.log_q.is_nan() && seen.log_q != log_q {
                let problem = format!("it is {log_q}, and {} on other rows of the item", seen.log_q);
                findings.add_of_kind("logQ", batch.finding(Some(slot), schema::LOG_Q, problem));
            }
            seen.log_q = log_q;
        }
        self.add_requests(&view);
        self.mode.see(dataset, batch, &view, findings);
        self.add_copies(dataset, batch, &view, findings);
        if dataset.value("mask.positive").is_null() {
            for (slot, anchor) in view.anchor.iter().enumerate() {
                if !anchor && view.copy.get(slot) == Some(&0) {
                    let problem = "every example is a positive, and this one is not an anchor";
                    findings.add_of_kind("anchors", batch.finding(Some(slot), schema::ANCHOR, problem));
                }
            }
        }
        self.stats.push(stats);
    }

    fn add_requests(&mut self, view: &View) {
        for (slot, request) in view.request.iter().enumerate() {
            // A copy is of its original's request.
            if view.copy.get(slot) == Some(&0) {
                match request.filter(|_| !view.null_request[slot]) {
                    Some(request) => {
                        let user = view.user.get(slot).copied();
                        let owner = self.requests.entry(request).or_insert(user);
                        *owner = owner.filter(|owner| Some(*owner) == user);
                    }
                    None => self.null_requests += 1,
                }
            }
        }
    }

    /// A copy needs its original, and each copy before it, earlier in reading order.
    fn add_copies(&mut self, dataset: &Dataset, batch: &BatchRows, view: &View, findings: &mut Findings) {
        if dataset.count("copies") == 0 || self.sample.is_some() {
            let stray = view.copy.iter().position(|c| *c != 0).filter(|_| self.sample.is_none());
            if let Some(slot) = stray {
                let problem = format!("it is {}, and the dataset should have no copies", view.copy[slot]);
                findings.add_of_kind("copies", batch.finding(Some(slot), schema::COPY, problem));
            }
            return;
        }
        // Where groups take no copies, all copies are padding.
        let are_padding = dataset.value("compose.group.scarce") != "repeat";
        let anchor = |slot: &usize| view.copy[*slot] > 0 && view.anchor.get(*slot) == Some(&true);
        if let Some(slot) = (0..view.copy.len()).find(anchor).filter(|_| are_padding) {
            let problem = "padding is never an anchor";
            findings.add_of_kind("anchors", batch.finding(Some(slot), schema::ANCHOR, problem));
        }
        for (slot, key) in example_keys(dataset, batch).into_iter().enumerate() {
            let ordinal = view.copy.get(slot).copied().unwrap_or(0).max(0) as usize;
            let seen = self.examples.entry(key).or_default();
            seen.resize(seen.len().max(ordinal + 1), 0);
            if ordinal > 0 && seen[ordinal] >= seen[ordinal - 1] {
                let problem = format!(
                    "copy {ordinal} comes without its {}",
                    if ordinal == 1 { "original" } else { "earlier copies" }
                );
                findings.add_of_kind("copies", batch.finding(Some(slot), schema::COPY, problem));
            }
            seen[ordinal] += 1;
        }
    }

    /// Counts and metrics of what was seen.
    pub fn recomputed(&self, dataset: &Dataset) -> Recomputed {
        let recorded = |name: &str| dataset.count(name);
        let counts = Counts {
            rows_in: recorded("rows_in"),
            filtered: recorded("filtered"),
            null_identity: recorded("null_identity"),
            duplicates: recorded("duplicates"),
            dropped: recorded("dropped"),
            copies: self.stats.iter().map(|s| u64::from(s.copies)).sum(),
            rows_out: self.rows,
            users: self.tokens.len() as u64,
            requests: self.requests.len() as u64 + self.null_requests,
            items: self.items.len() as u64,
            batches: self.stats.len() as u64,
            max_requests_per_batch: self.stats.iter().map(|s| s.max_requests_per_slice.into()).max().unwrap_or(0),
            mixed_requests: (!dataset.columns("request").is_empty()).then(|| {
                // The shards tell nothing of examples that were dropped, nor of requests that are not in the payload.
                let told = !self.requests.is_empty() && recorded("dropped") == 0;
                let mixed = self.requests.values().filter(|owner| owner.is_none()).count() as u64;
                if told { mixed } else { recorded("mixed_requests") }
            }),
        };
        let seed = dataset.value("compose.seed").as_u64().unwrap_or(0);
        let mut end = 0;
        let batch_end = |batch: &BatchStats| {
            end += batch.rows as usize;
            end
        };
        let ends: Vec<usize> = self.stats.iter().map(batch_end).collect();
        let shape = (dataset.batch_size, ends.as_slice());
        let met = co_user_ratio(self.reading.as_slice(), &self.originals, &self.tokens, shape, seed);
        // What is in memory can be read.
        let met = met.unwrap_or_default();
        let mut rows = vec![0u64; self.tokens.len()];
        self.reading.iter().for_each(|identity| rows[*identity as usize] += 1);
        let largest = rows.into_iter().max().unwrap_or(0);
        let mut metrics = Metrics::new(&self.stats, &counts, dataset.batch_size, (largest, met));
        if !self.knows_input {
            // Only the input tells all known positives: what is recorded counts, unless the dataset's own rows tell of more.
            let known = |name: &str, own: Option<f64>| match (dataset.recorded.stats[name].as_f64(), own) {
                (Some(recorded), own) => Some(recorded.max(own.unwrap_or(0.0))),
                (None, own) => own,
            };
            metrics.false_negative_rate = known("false_negative_rate", metrics.false_negative_rate);
            metrics.unmasked_rate = known("unmasked_rate", metrics.unmasked_rate);
        }
        Recomputed { metrics, counts, stats: self.stats.clone() }
    }

    /// Compares with what is recorded; gives the notes.
    pub fn finish(mut self, dataset: &Dataset, against: bool, findings: &mut Findings) -> Vec<String> {
        let mut notes = Vec::new();
        self.compare_stats(dataset, findings);
        if let Some(share) = self.sample {
            notes.push(format!(
                "{} batches ({:.0} %) were checked row by row; sums need all of them",
                self.batches(),
                share * 100.0
            ));
            return notes;
        }
        let recomputed = self.recomputed(dataset);
        sums::balance(dataset, &recomputed.counts, self.stats.iter().all(|s| s.requests.is_some()), findings);
        self.compare_metrics(dataset, &recomputed, findings);
        sums::check_false_negatives(dataset, findings);
        sums::check_share(dataset, &self.tokens, findings);
        self.mode.finish(dataset, &recomputed, findings);
        let whole = dataset.value("compose.window").is_null();
        if !whole {
            notes.push("mixing is that of windows, and not looked at".into());
        }
        if dataset.role("item").is_some() {
            if whole && dataset.count("dropped") == 0 {
                self.check_log_q(findings);
            } else {
                notes.push("logQ counts dropped rows and windows, which a dataset does not show".into());
            }
            self.check_items(dataset, findings);
        }
        if dataset.list("mask.rules").iter().any(|r| r == "known_positive") && !against {
            notes.push("known positives of rows that dedup dropped are proven with --against PIPELINE.toml".into());
        }
        if dataset.role("item").is_some() && !against {
            notes.push("rates of false negatives are proven with --against PIPELINE.toml".into());
        }
        if !dataset.value("mask.positive").is_null() && !against {
            notes.push("mask.positive is proven with --against PIPELINE.toml".into());
        }
        notes
    }

    fn compare_metrics(&self, dataset: &Dataset, recomputed: &Recomputed, findings: &mut Findings) {
        let found = serde_json::to_value(&recomputed.metrics).unwrap_or_default();
        let flat = |value: &Value| -> Vec<(String, Option<f64>)> {
            let fields = value.as_object().into_iter().flatten();
            fields
                .flat_map(|(name, v)| match v.as_object() {
                    Some(parts) => parts.iter().map(|(p, v)| (format!("{name}.{p}"), v.as_f64())).collect(),
                    None => vec![(name.clone(), v.as_f64())],
                })
                .collect()
        };
        let recorded: HashMap<String, Option<f64>> = flat(&dataset.recorded.stats).into_iter().collect();
        for (name, value) in flat(&found) {
            let known = recorded.get(&name).copied().flatten();
            let Some(value) = value else {
                let role = [("match_rate", "label"), ("request_reuse", "request")].iter().find(|(of, _)| *of == name);
                if let (Some(known), Some((_, role))) =
                    (known, role.filter(|(_, role)| dataset.columns(role).is_empty()))
                {
                    let problem = format!("stats.{name} is {known}, and no {role} is mapped");
                    findings.add(Finding::of(schema::MANIFEST, problem));
                }
                continue;
            };
            if known.is_none_or(|k| (k - value).abs() > 1e-9 * value.abs().max(1.0)) {
                let known = known.map_or("missing".into(), |k| k.to_string());
                findings.add(Finding::of(
                    schema::MANIFEST,
                    format!("stats.{name} is {known}, and the shards give {value}"),
                ));
            }
        }
    }

    fn check_log_q(&self, findings: &mut Findings) {
        let total: u64 = self.items.values().map(|i| i.originals).sum();
        let mut items: Vec<(&i64, &ItemSeen)> = self.items.iter().collect();
        items.sort_by_key(|(token, _)| **token);
        for (token, seen) in items {
            let expected = libm::log(seen.originals as f64 / total as f64) as f32;
            if seen.log_q != expected {
                let problem = format!("item {token}: it is {}, and its share gives {expected}", seen.log_q);
                findings.add_of_kind("logQ", Finding::of(schema::BATCHES, problem).column(schema::LOG_Q));
            }
        }
    }
}
