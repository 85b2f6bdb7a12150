//! The dataset's metrics: sums of its batches' statistics.

use serde::{Deserialize, Serialize};

use super::batch::BatchStats;

/// Minimum, mean and maximum over batches (or rows).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    pub min: u64,
    pub mean: f64,
    pub max: u64,
}

/// How many rows went where: `rows_in = filtered + null_identity + duplicates + dropped + (rows_out − copies)`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub rows_in: u64,
    pub filtered: u64,
    pub null_identity: u64,
    pub duplicates: u64,
    pub dropped: u64,
    pub copies: u64,
    pub rows_out: u64,
    pub users: u64,
    pub requests: u64,
    pub items: u64,
    pub batches: u64,
    pub max_requests_per_batch: u64,
    /// Requests with examples of several identities, where requests are mapped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mixed_requests: Option<u64>,
}

/// The metrics that checks and people ask for; `None` where a role is not mapped.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    pub same_user_rate: f64,
    pub excluded_rate: f64,
    pub false_negative_rate: Option<f64>,
    pub unmasked_rate: Option<f64>,
    pub match_rate: Option<f64>,
    pub users_per_batch: Spread,
    pub max_rows_per_user: Spread,
    pub valid_negatives: Spread,
    pub largest_identity: f64,
    pub co_user_ratio: Option<f64>,
    pub duplicate_rate: f64,
    pub copy_rate: f64,
    pub batch_fill: f64,
    pub request_reuse: Option<f64>,
}

/// `part` ÷ `whole`, 0 of nothing.
pub fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

impl Metrics {
    /// The metrics of batches in reading order; `largest` are the rows of the identity that has most, copies included.
    pub fn new(
        batches: &[BatchStats],
        counts: &Counts,
        batch_size: usize,
        (largest, co_user_ratio): (u64, Option<f64>),
    ) -> Self {
        let sum = |f: &dyn Fn(&BatchStats) -> u64| batches.iter().map(f).sum::<u64>();
        let pairs = sum(&BatchStats::pairs);
        let rows = sum(&|b| b.rows.into());
        let excluded = sum(&|b| b.excluded_pairs);
        let spread = |f: &dyn Fn(&BatchStats) -> u64| Spread {
            min: batches.iter().map(f).min().unwrap_or(0),
            mean: ratio(sum(f), batches.len() as u64),
            max: batches.iter().map(f).max().unwrap_or(0),
        };
        let all = |f: &dyn Fn(&BatchStats) -> Option<u32>| -> Option<u64> {
            batches.iter().map(|b| f(b).map(u64::from)).sum()
        };
        let sampled = batches.iter().filter_map(|b| b.false_negatives).reduce(|mut all, own| {
            all.add(own);
            all
        });
        Metrics {
            same_user_rate: ratio(sum(&|b| b.same_user_pairs), pairs),
            excluded_rate: ratio(excluded, pairs),
            false_negative_rate: sampled.map(|all| ratio(all.known, all.candidates)),
            unmasked_rate: sampled.map(|all| ratio(all.unmasked, all.candidates)),
            match_rate: all(&|b| b.matched_rows).map(|matched| ratio(matched, rows)),
            users_per_batch: spread(&|b| b.users.into()),
            max_rows_per_user: spread(&|b| b.max_rows_per_user.into()),
            valid_negatives: Spread {
                min: batches.iter().map(|b| b.min_valid_negatives.into()).min().unwrap_or(0),
                mean: ratio(pairs - excluded, rows),
                max: batches.iter().map(|b| b.max_valid_negatives.into()).max().unwrap_or(0),
            },
            largest_identity: ratio(largest, counts.rows_out),
            co_user_ratio,
            duplicate_rate: ratio(counts.duplicates, counts.rows_in),
            copy_rate: ratio(counts.copies, counts.rows_out),
            batch_fill: ratio(counts.rows_out, counts.batches * batch_size as u64),
            request_reuse: all(&|b| b.requests).map(|requests| ratio(rows, requests)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Counts;
    use super::*;
    use crate::schema::METRICS;

    #[test]
    fn all_figures_of_a_manifest_are_told() {
        let told: Vec<String> = METRICS.iter().map(|metric| metric.name.to_owned()).collect();
        let keys = |value: serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<String>>();
        let counts = keys(serde_json::to_value(Counts { mixed_requests: Some(0), ..Counts::default() }).unwrap());
        let counts = counts.into_iter().map(|name| format!("counts.{name}"));
        let mut all = keys(serde_json::to_value(Metrics::default()).unwrap());
        all.extend(counts);
        assert_eq!(told, all);
    }
}
