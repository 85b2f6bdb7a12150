//! co_user_ratio: whether identities meet as many others as in a random order.

use std::collections::BTreeMap;

use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::baseline::miss;

const SAMPLE: usize = 1_000;

/// Over a seeded sample of up to 1,000 identities with two rows or more: distinct identities met ÷ its expectation in random
/// order, mean; `None` without such an identity, or if nobody could meet anybody.
///
/// `tokens` are the low 64 bits of all rows' identities in reading order, copies included; `originals` tells which rows are
/// no copies, and the expectation is over those: a random order puts `c` rows of an identity into
/// d = M·(1 − C(n−b, c)/C(n, c)) of M batches of `b` rows, where it meets an identity of `c'` rows unless these
/// miss all d·b − c other rows.
pub fn co_user_ratio(tokens: &[i64], is_copy: impl Fn(usize) -> bool, batch_size: usize, seed: u64) -> Option<f64> {
    let mut counts: BTreeMap<i64, u64> = BTreeMap::new();
    let mut n = 0u64;
    let mut sorted: Vec<i64> = (0..tokens.len()).filter(|at| !is_copy(*at)).map(|at| tokens[at]).collect();
    sorted.par_sort_unstable();
    for run in sorted.chunk_by(|a, b| a == b) {
        counts.insert(run[0], run.len() as u64);
        n += run.len() as u64;
    }
    drop(sorted);
    let mut sample: Vec<(u64, i64)> = counts
        .iter()
        .filter(|(_, c)| **c > 1)
        .map(|(token, _)| (xxh3_64_with_seed(&token.to_le_bytes(), seed), *token))
        .collect();
    sample.sort_unstable();
    sample.truncate(SAMPLE);
    let mut chosen: Vec<i64> = sample.into_iter().map(|(_, token)| token).collect();
    chosen.sort_unstable();
    let mut histogram: BTreeMap<u64, u64> = BTreeMap::new();
    counts.values().for_each(|c| *histogram.entry(*c).or_insert(0) += 1);

    let mut batches: Vec<Vec<u32>> = vec![Vec::new(); chosen.len()];
    for (at, token) in tokens.iter().enumerate() {
        if let Ok(k) = chosen.binary_search(token) {
            let batch = (at / batch_size) as u32;
            if batches[k].last() != Some(&batch) {
                batches[k].push(batch);
            }
        }
    }
    let ratios: Vec<f64> = chosen
        .par_iter()
        .zip(batches)
        .filter_map(|(token, batches)| {
            let met = met(tokens, *token, &batches, batch_size, counts.len());
            let expected = expected(counts[token], n, batch_size as u64, &histogram);
            (expected > 0.0).then(|| met as f64 / expected)
        })
        .collect();
    (!ratios.is_empty()).then(|| ratios.iter().sum::<f64>() / ratios.len() as f64)
}

fn met(tokens: &[i64], own: i64, batches: &[u32], batch_size: usize, identities: usize) -> usize {
    let mut seen: Vec<i64> = Vec::new();
    let mut merged = 0;
    for batch in batches {
        let start = *batch as usize * batch_size;
        seen.extend(&tokens[start..(start + batch_size).min(tokens.len())]);
        // Merge now and then, so that a heavy identity costs memory for whom it meets, not for its batches.
        if seen.len() > 2 * merged + (1 << 16) {
            seen.sort_unstable();
            seen.dedup();
            merged = seen.len();
            if merged == identities {
                break;
            }
        }
    }
    seen.sort_unstable();
    seen.dedup();
    seen.len() - usize::from(seen.binary_search(&own).is_ok())
}

fn expected(c: u64, n: u64, b: u64, histogram: &BTreeMap<u64, u64>) -> f64 {
    let batches = n as f64 / b as f64;
    let occupied = if n <= b { 1.0 } else { batches * (1.0 - miss(n, b, c)) };
    let others = n - c;
    let reach = ((occupied * b.min(n) as f64) as u64).saturating_sub(c).min(others);
    let of = |count: u64| 1.0 - miss(others, reach, count);
    let all: f64 = histogram.iter().map(|(count, h)| *h as f64 * of((*count).min(others))).sum();
    all - of(c.min(others))
}
