//! What a uniformly random order of the same examples would give, in closed form.

use std::collections::BTreeMap;

use libm::{exp, expm1, lgamma, log1p};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::pipeline::Pipeline;

/// Figures of another order of the same examples, in batches of the same size; `None` where there is no closed form or a
/// role is not mapped.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    pub same_user_rate: Option<f64>,
    pub match_rate: Option<f64>,
    pub users_per_batch: Option<f64>,
    pub co_user_ratio: Option<f64>,
    pub request_reuse: Option<f64>,
}

/// Both orders that a composition is shown beside.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Baselines {
    /// Uniformly random, in closed form.
    pub random_order: Baseline,
    /// The input's own, measured.
    pub input_order: Baseline,
}

/// ln C(n, k)
fn ln_choose(n: f64, k: f64) -> f64 {
    lgamma(n + 1.0) - lgamma(k + 1.0) - lgamma(n - k + 1.0)
}

/// C(n−k, b) / C(n, b): the chance that `b` of `n` rows, drawn at random, miss `k` given ones.
pub fn miss(n: u64, k: u64, b: u64) -> f64 {
    exp(ln_miss(n, k, b))
}

/// 1 − C(n−k, b) / C(n, b): the chance that they hold one of them, to full precision where it is small.
pub fn hit(n: u64, k: u64, b: u64) -> f64 {
    -expm1(ln_miss(n, k, b))
}

/// Arguments for which Stirling's series with one correction is as good as 64-bit floats.
const LARGE: u64 = 1024;

fn ln_miss(n: u64, k: u64, b: u64) -> f64 {
    if k == 0 || b == 0 {
        return 0.0;
    }
    if n < k + b {
        return f64::NEG_INFINITY;
    }
    let (left, n, k, b) = (n - k - b, n as f64, k as f64, b as f64);
    if left < LARGE {
        return ln_choose(n - k, b) - ln_choose(n, b);
    }
    // Stirling's series of the four factorials that stay, with the large terms, which cancel, taken out: of 10⁹ rows,
    // differences of logarithms of factorials lose all that a chance of 10⁻⁶ has.
    let m = n - b;
    let correction = |x: f64| 1.0 / (12.0 * (x - k)) - 1.0 / (12.0 * x);
    k * log1p(-b / n) + (n - k + 0.5) * log1p(-k / n) - (m - k + 0.5) * log1p(-k / m) + correction(n) - correction(m)
}

/// The random-order baseline of examples: `identities[code]` and `requests[code]` are how many there are of each,
/// `match_rate` is by [`Chances::match_rate`].
pub fn random_order(
    identities: &[u32],
    requests: Option<&[u32]>,
    match_rate: Option<f64>,
    batch_size: usize,
) -> Baseline {
    let n: u64 = identities.iter().map(|c| u64::from(*c)).sum();
    let same: f64 = identities.iter().map(|c| f64::from(*c) * (f64::from(*c) - 1.0)).sum();
    let batches = batch_sizes(n, batch_size as u64);
    // Expected distinct values of a batch, mean over batches.
    let distinct = |counts: &[u32]| {
        let histogram = histogram(counts);
        let of = |b: u64| histogram.iter().map(|(c, h)| *h as f64 * hit(n, *c, b)).sum::<f64>();
        batches.iter().map(|(b, number)| of(*b) * *number as f64).collect::<Vec<_>>()
    };
    let number: u64 = batches.iter().map(|(_, number)| number).sum();
    Baseline {
        same_user_rate: (n > 1).then(|| same / (n as f64 * (n as f64 - 1.0))),
        match_rate,
        users_per_batch: Some(distinct(identities).iter().sum::<f64>() / number.max(1) as f64),
        co_user_ratio: Some(1.0),
        request_reuse: requests.map(|requests| n as f64 / distinct(requests).iter().sum::<f64>()),
    }
}

/// (rows, number) of the batches that `n` rows make: the full ones and the short one.
fn batch_sizes(n: u64, b: u64) -> Vec<(u64, u64)> {
    [(b, n / b), (n % b, 1)].into_iter().filter(|(rows, number)| *rows > 0 && *number > 0).collect()
}

fn histogram(counts: &[u32]) -> BTreeMap<u64, u64> {
    let mut histogram = BTreeMap::new();
    counts.iter().filter(|c| **c > 0).for_each(|c| *histogram.entry(u64::from(*c)).or_insert(0) += 1);
    histogram
}

/// What rows ask of a batch, to match: identities come in parts, each with all its rows.
pub struct Chances {
    /// The classes of a group; `None`: any other label will do.
    wanted: Option<Vec<Option<u32>>>,
    /// What each of them asks: the numbers of rows of which none may be missing, and how many rows ask for them.
    asked: BTreeMap<Vec<u64>, u64>,
    rows: u64,
    /// Rows of a rank's slice of a batch.
    slice: u64,
}

impl Chances {
    /// `text` of the labels' codes.
    pub fn new(p: &Pipeline, text: &[Option<String>]) -> Self {
        let code = |class: &String| text.iter().position(|t| t.as_ref() == Some(class)).map(|c| c as u32);
        let wanted = p.group.as_ref().map(|g| g.classes.iter().map(|(class, _)| code(class)).collect());
        Chances { wanted, asked: BTreeMap::new(), rows: 0, slice: p.slice() as u64 }
    }

    /// Adds all rows of some identities.
    pub fn add(&mut self, identities: &[u32], labels: &[u32]) {
        let mut keyed: Vec<(u32, u32)> = identities.iter().copied().zip(labels.iter().copied()).collect();
        keyed.sort_unstable();
        self.rows += keyed.len() as u64;
        for own in keyed.chunk_by(|a, b| a.0 == b.0) {
            let classes: Vec<(u32, u64)> =
                own.chunk_by(|a, b| a == b).map(|run| (run[0].1, run.len() as u64)).collect();
            let count = |label: u32| classes.iter().find(|(l, _)| *l == label).map_or(0, |(_, c)| *c);
            for &(label, rows) in &classes {
                let need = match &self.wanted {
                    Some(wanted) => {
                        let others = wanted.iter().filter(|w| **w != Some(label));
                        let mut need: Vec<u64> = others.map(|w| w.map_or(0, count)).collect();
                        need.sort_unstable();
                        need
                    }
                    None => vec![own.len() as u64 - rows],
                };
                *self.asked.entry(need).or_insert(0) += rows;
            }
        }
    }

    /// Expected share of rows whose batch holds, of their identity, the other classes: for each row, inclusion and exclusion
    /// over the classes that may be missing, with C(n−1−k, b−1)/C(n−1, b−1) for `k` rows of them; full and short batches (or
    /// rank slices) weighted by their rows. `None` with so many classes that it can't be told in good time.
    pub fn match_rate(&self) -> Option<f64> {
        if self.wanted.as_ref().is_some_and(|classes| classes.len() > MOST_CLASSES) {
            return None;
        }
        let subsets = |need: &Vec<u64>| (1u64 << need.len()).min(need.iter().sum::<u64>() + 1);
        if self.asked.keys().map(subsets).sum::<u64>() > MOST_SUBSETS {
            return None;
        }
        let n = self.rows;
        let mut expected = 0.0;
        for (b, number) in batch_sizes(n, self.slice) {
            let weight = (b * number) as f64 / n as f64;
            let chances: Vec<f64> = self.asked.par_iter().map(|(need, _)| all_present(n - 1, b - 1, need)).collect();
            // Summed in order, so that threads do not matter.
            self.asked.values().zip(chances).for_each(|(rows, chance)| expected += weight * *rows as f64 * chance);
        }
        Some(expected / n as f64)
    }
}

/// What takes some seconds.
const MOST_SUBSETS: u64 = 1 << 24;

/// With more classes, inclusion and exclusion adds and takes numbers so large that nothing is left of their difference.
const MOST_CLASSES: usize = 24;

/// The chance that `b` of `n` rows hold at least one row of each of the classes, of `need` rows each.
fn all_present(n: u64, b: u64, need: &[u64]) -> f64 {
    if need.contains(&0) {
        return 0.0;
    }
    // Π (1 − x^k) over the classes: of each number of rows that a subset of the classes has, how many more even subsets have
    // it than odd ones. Subsets are many more than numbers.
    let mut subsets: BTreeMap<u64, i64> = BTreeMap::from([(0, 1)]);
    for rows in need {
        let with: Vec<(u64, i64)> = subsets.iter().map(|(missing, number)| (missing + rows, -number)).collect();
        with.into_iter().for_each(|(missing, number)| *subsets.entry(missing).or_insert(0) += number);
    }
    subsets.into_iter().map(|(missing, number)| number as f64 * miss(n, missing, b)).sum::<f64>().clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_forms_agree_with_counting() {
        // Two rows drawn from 5 miss 2 given ones in C(3,2) of C(5,2) cases.
        assert!((miss(5, 2, 2) - 0.3).abs() < 1e-12);
        assert_eq!(miss(5, 4, 2), 0.0);
        assert_eq!(miss(5, 0, 2), 1.0);
        // By products of ratios, which loses nothing.
        for (n, k, b) in
            [(3_000u64, 7, 24), (1_000_000, 1, 4_096), (4_000_000_000, 1, 4_096), (4_000_000_000, 900, 16_384)]
        {
            let product: f64 = (0..k).map(|i| libm::log1p(-(b as f64) / (n - i) as f64)).sum();
            let relative = hit(n, k, b) / -libm::expm1(product) - 1.0;
            assert!(relative.abs() < 1e-9, "{n} {k} {b}: {relative}");
            assert!((hit(n, k, b) - hit(n, b, k)).abs() < 1e-7 * hit(n, k, b));
        }
        // Three rows drawn from a a b c hold both b and c in 2 of 4 cases.
        assert!((all_present(4, 3, &[1, 1]) - 0.5).abs() < 1e-12);
        // All of 20 rows drawn, one of each of 20 classes, hold every class; 19 miss one.
        assert!((all_present(20, 20, &[1; 20]) - 1.0).abs() < 1e-9);
        assert!(all_present(20, 19, &[1; 20]) < 1e-9);
    }
}
