//! What the manifest's figures must be among themselves, and beside what the shards give.

use super::finding::{Finding, Findings};
use crate::reader::Dataset;
use crate::schema;
use crate::stats::Counts;

/// What must hold of the rates of false negatives, whoever knows the input.
pub fn check_false_negatives(dataset: &Dataset, findings: &mut Findings) {
    let rate = |name: &str| dataset.recorded.stats[name].as_f64();
    let mut add = |name: &str, problem: String| {
        findings.add(Finding::of(schema::MANIFEST, format!("stats.{name} is {problem}")));
    };
    let is_mapped = !dataset.columns("item").is_empty();
    for name in ["false_negative_rate", "unmasked_rate"] {
        match rate(name) {
            Some(known) if !is_mapped => add(name, format!("{known}, and no item is mapped")),
            None if is_mapped => add(name, "missing, and an item is mapped".into()),
            Some(known) if !(0.0..=1.0).contains(&known) => add(name, format!("{known}, which is not a share")),
            _ => {}
        }
    }
    if let (Some(all), Some(unmasked)) = (rate("false_negative_rate"), rate("unmasked_rate")) {
        let known_positive = dataset.list("mask.rules").iter().any(|rule| rule == "known_positive");
        if unmasked > all || (known_positive && unmasked > 0.0) {
            add("unmasked_rate", format!("{unmasked}, of {all} that the rules leave or hide"));
        }
    }
}

/// Every identity's token, of which `tokens` are the low 64 bits, falls in the share that was asked for.
pub fn check_share(dataset: &Dataset, tokens: &[i64], findings: &mut Findings) {
    let bounds: Vec<f64> =
        dataset.value("identity.share").as_array().into_iter().flatten().filter_map(|b| b.as_f64()).collect();
    let [from, to] = bounds[..] else { return };
    for token in tokens {
        // Shares of 2⁶⁴, without rounding.
        let (low, scale) = (i128::from(*token as u64), 2f64.powi(64));
        if low < (from * scale).ceil() as i128 || low >= (to * scale).ceil() as i128 {
            let problem = format!("identity {token} is outside of identity.share");
            findings.add_of_kind("shares", Finding::of(schema::BATCHES, problem).column(schema::USER));
        }
    }
}

/// `told`: the requests of every batch could be counted.
pub fn balance(dataset: &Dataset, seen: &Counts, told: bool, findings: &mut Findings) {
    let count = |name: &str| dataset.count(name);
    let out = count("filtered") + count("null_identity") + count("duplicates") + count("dropped");
    if count("rows_in") + count("copies") != out + count("rows_out") {
        let problem =
            "counts do not balance: rows_in = filtered + null_identity + duplicates + dropped + (rows_out − copies)";
        findings.add(Finding::of(schema::MANIFEST, problem));
    }
    let is_mapped = |role: &str| !dataset.columns(role).is_empty();
    if let Some(mixed) = seen.mixed_requests.filter(|mixed| *mixed != count("mixed_requests")) {
        let problem = format!("counts.mixed_requests is {}, and the shards give {mixed}", count("mixed_requests"));
        findings.add(Finding::of(schema::MANIFEST, problem));
    }
    let pairs = [
        ("rows_out", seen.rows_out, true),
        ("copies", seen.copies, true),
        ("users", seen.users, true),
        ("items", seen.items, true),
        ("requests", seen.requests, seen.requests > 0 || !is_mapped("request")),
        ("batches", seen.batches, true),
        ("max_requests_per_batch", seen.max_requests_per_batch, seen.requests > 0 && told || !is_mapped("request")),
    ];
    for (name, seen, known) in pairs {
        if known && count(name) != seen {
            let problem = format!("counts.{name} is {}, and the shards give {seen}", count(name));
            findings.add(Finding::of(schema::MANIFEST, problem));
        }
    }
}
