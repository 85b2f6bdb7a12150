//! co_user_ratio: whether identities meet as many others as in a random order.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::baseline::hit;
use crate::error::Result;

const SAMPLE: usize = 1_000;

/// Identities of all rows in some order, as ordinals.
pub trait Users: Sync {
    fn rows(&self) -> usize;
    /// Those of a range of rows.
    fn of(&self, rows: Range<usize>) -> Result<Cow<'_, [u32]>>;
}

impl Users for [u32] {
    fn rows(&self) -> usize {
        self.len()
    }

    fn of(&self, rows: Range<usize>) -> Result<Cow<'_, [u32]>> {
        Ok(Cow::Borrowed(&self[rows]))
    }
}

/// Rows that are looked at at a time, about.
const PIECE: usize = 1 << 16;

/// Over a seeded sample of up to 1,000 identities with two rows or more: distinct identities met ÷ its expectation in random
/// order, mean; `None` without such an identity, or if nobody could meet anybody.
///
/// `users` are in reading order, copies included, as ordinals into `tokens`, their low 64 bits, by which
/// the sample is drawn; `ends` are where batches end; `counts` are each one's rows that are no copies. The expectation is over the others: a random order puts `c`
/// rows of an identity into d = M·(1 − C(n−b, c)/C(n, c)) of M batches of `b` rows, where it meets an identity of `c'`
/// rows unless these miss all d·b − c other rows.
///
/// # Errors
/// What `users` says.
pub fn co_user_ratio(
    users: &(impl Users + ?Sized),
    counts: &[u32],
    tokens: &[i64],
    (batch_size, ends): (usize, &[usize]),
    seed: u64,
) -> Result<Option<f64>> {
    let each_row = |each: &mut dyn FnMut(usize, u32)| -> Result<()> {
        for start in (0..users.rows()).step_by(PIECE) {
            let piece = users.of(start..users.rows().min(start + PIECE))?;
            piece.iter().zip(start..).for_each(|(user, at)| each(at, *user));
        }
        Ok(())
    };
    let counts: Vec<u64> = counts.iter().map(|count| u64::from(*count)).collect();
    let n: u64 = counts.iter().sum();
    let mut histogram: BTreeMap<u64, u64> = BTreeMap::new();
    counts.iter().filter(|c| **c > 0).for_each(|c| *histogram.entry(*c).or_insert(0) += 1);
    let mut sample: Vec<(u64, i64, u32)> = (0..tokens.len())
        .filter(|user| counts[*user] > 1)
        .map(|user| (xxh3_64_with_seed(&tokens[user].to_le_bytes(), seed), tokens[user], user as u32))
        .collect();
    sample.sort_unstable();
    sample.truncate(SAMPLE);

    let mut place = vec![u32::MAX; tokens.len()];
    sample.iter().enumerate().for_each(|(k, (.., user))| place[*user as usize] = k as u32);
    let mut batches: Vec<Vec<u32>> = vec![Vec::new(); sample.len()];
    let mut batch = 0;
    each_row(&mut |at, user| {
        while ends.get(batch).is_some_and(|end| *end <= at) {
            batch += 1;
        }
        let Some(own) = batches.get_mut(place[user as usize] as usize) else { return };
        if own.last() != Some(&(batch as u32)) {
            own.push(batch as u32);
        }
    })?;
    let mut sizes: Vec<u64> = sample.iter().map(|(.., user)| counts[*user as usize]).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let expected: BTreeMap<u64, f64> =
        sizes.into_par_iter().map(|c| (c, expected(c, n, batch_size as u64, &histogram))).collect();
    let met = sample.par_iter().zip(batches).map_init(
        || vec![u32::MAX; tokens.len()],
        |met_by, ((.., user), batches)| {
            // Each thread marks whom an identity met by that identity: nothing is sorted, nothing cleared.
            met_by[*user as usize] = *user;
            let mut met = 0u64;
            for batch in batches {
                let start = (batch as usize).checked_sub(1).map_or(0, |before| ends[before]);
                for other in users.of(start..ends[batch as usize])?.iter() {
                    met += u64::from(std::mem::replace(&mut met_by[*other as usize], *user) != *user);
                }
            }
            Ok(met)
        },
    );
    let met: Vec<u64> = met.collect::<Result<_>>()?;
    let ratio = |((.., user), met): (&(u64, i64, u32), u64)| {
        let expected = expected.get(&counts[*user as usize]).copied().unwrap_or(0.0);
        (expected > 0.0).then(|| met as f64 / expected)
    };
    let ratios: Vec<f64> = sample.iter().zip(met).filter_map(ratio).collect();
    Ok((!ratios.is_empty()).then(|| ratios.iter().sum::<f64>() / ratios.len() as f64))
}

/// Where batches end, if all but the last have so many rows.
pub fn even_ends(rows: usize, batch_size: usize) -> Vec<usize> {
    (0..rows).step_by(batch_size).map(|start| rows.min(start + batch_size)).collect()
}

fn expected(c: u64, n: u64, b: u64, histogram: &BTreeMap<u64, u64>) -> f64 {
    let batches = n as f64 / b as f64;
    let occupied = if n <= b { 1.0 } else { batches * hit(n, b, c) };
    let others = n - c;
    let reach = ((occupied * b.min(n) as f64) as u64).saturating_sub(c).min(others);
    let of = |count: u64| hit(others, reach, count);
    let all: f64 = histogram.iter().map(|(count, h)| *h as f64 * of((*count).min(others))).sum();
    all - of(c.min(others))
}
