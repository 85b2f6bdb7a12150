//! Rows, brought together by a code: identity by identity, request by request, batch by batch.

use std::ops::Range;

use rayon::prelude::*;

/// Buckets into which rows are parted first: each is then sorted in the caches, on a core of its own.
const BUCKETS: usize = 256;

/// Rows that runs must have on average to be worth sorting instead of rows.
const WORTH_RUNS: usize = 4;

/// Rows in which one core looks for runs at a time.
const STRETCH: usize = 1 << 16;

/// So few rows are sorted at once.
const FEW: usize = 1 << 12;

/// Places sorted by code, in their order where it is the same.
pub struct ByCode {
    pub places: Vec<u32>,
    /// Codes that occur, ascending, and how many places each has.
    pub runs: Vec<(u32, u32)>,
}

/// Sorts the places of `codes`, which are all within `range`.
pub fn by_code(codes: &[u32], range: Range<u32>) -> ByCode {
    // Logs have the rows of a request, and so of its identity, side by side: then their runs are sorted.
    let starts = starts(codes);
    if codes.len() > FEW && starts.len() * WORTH_RUNS <= codes.len() {
        by_runs(codes, &starts, range)
    } else {
        one_by_one(codes, range)
    }
}

/// Where runs of one code start; several cores look.
fn starts(codes: &[u32]) -> Vec<u32> {
    let of = |(k, some): (usize, &[u32])| -> Vec<u32> {
        let first = k * STRETCH;
        let mut starts = Vec::with_capacity(some.len());
        starts.extend((first == 0 || codes[first - 1] != some[0]).then_some(first as u32));
        starts.extend(some.windows(2).zip(first as u32 + 1..).filter(|(pair, _)| pair[0] != pair[1]).map(|(_, at)| at));
        starts
    };
    let starts: Vec<Vec<u32>> = codes.par_chunks(STRETCH).enumerate().map(of).collect();
    starts.concat()
}

/// Sorts the places of codes that come in runs.
fn by_runs(codes: &[u32], starts: &[u32], range: Range<u32>) -> ByCode {
    let of_runs: Vec<u32> = starts.iter().map(|at| codes[*at as usize]).collect();
    let sorted = one_by_one(&of_runs, range);
    let run = |run: u32| starts[run as usize]..starts.get(run as usize + 1).map_or(codes.len() as u32, |next| *next);
    let mut places = vec![0; codes.len()];
    // A few codes, their runs, and where the places of these go.
    let mut tasks = Vec::new();
    let (mut runs, mut rest) = (sorted.places.as_slice(), places.as_mut_slice());
    for codes in sorted.runs.chunks(sorted.runs.len().div_ceil(4 * rayon::current_num_threads()).max(1)) {
        let own = runs.split_off(..codes.iter().map(|(_, runs)| *runs as usize).sum()).unwrap_or_default();
        let out = rest.split_off_mut(..own.iter().map(|own| run(*own).len()).sum()).unwrap_or_default();
        tasks.push((codes, own, out));
    }
    let write_out = |(codes, mut runs, mut out): (&[(u32, u32)], &[u32], &mut [u32])| {
        let of_code = |(code, number): &(u32, u32)| {
            let mut rows = 0;
            for own in runs.split_off(..*number as usize).unwrap_or_default().iter().map(|own| run(*own)) {
                rows += own.len() as u32;
                let own_out = out.split_off_mut(..own.len()).unwrap_or_default();
                own_out.iter_mut().zip(own).for_each(|(out, place)| *out = place);
            }
            (*code, rows)
        };
        codes.iter().map(of_code).collect()
    };
    let runs: Vec<Vec<(u32, u32)>> = tasks.into_par_iter().map(write_out).collect();
    ByCode { places, runs: runs.concat() }
}

/// Sorts the places of codes, each by itself.
fn one_by_one(codes: &[u32], range: Range<u32>) -> ByCode {
    if codes.len() <= FEW {
        let mut keyed: Vec<u64> = codes.iter().zip(0u64..).map(|(code, at)| u64::from(*code) << 32 | at).collect();
        keyed.sort_unstable();
        let runs = keyed.chunk_by(|a, b| a >> 32 == b >> 32).map(|run| ((run[0] >> 32) as u32, run.len() as u32));
        return ByCode { runs: runs.collect(), places: keyed.iter().map(|keyed| *keyed as u32).collect() };
    }
    let width = u64::from(range.end - range.start).max(1);
    let bucket_of = |code: u32| (u64::from(code - range.start) * BUCKETS as u64 / width) as usize;
    // Each core parts a stretch of the rows: for each bucket, places and codes.
    let stretch = codes.len().div_ceil(rayon::current_num_threads()).max(FEW);
    let parted: Vec<(Vec<u64>, Vec<usize>)> = codes
        .par_chunks(stretch)
        .enumerate()
        .map(|(k, codes)| {
            let mut starts = vec![0; BUCKETS + 1];
            codes.iter().for_each(|code| starts[bucket_of(*code) + 1] += 1);
            (0..BUCKETS).for_each(|bucket| starts[bucket + 1] += starts[bucket]);
            let (mut next, mut keyed) = (starts.clone(), vec![0u64; codes.len()]);
            for (code, at) in codes.iter().zip((k * stretch) as u64..) {
                let place = &mut next[bucket_of(*code)];
                keyed[*place] = u64::from(*code) << 32 | at;
                *place += 1;
            }
            (keyed, starts)
        })
        .collect();
    let mut places = vec![0; codes.len()];
    let mut tasks = Vec::with_capacity(BUCKETS);
    let mut rest = places.as_mut_slice();
    for bucket in 0..BUCKETS {
        let own: Vec<&[u64]> =
            parted.iter().map(|(keyed, starts)| &keyed[starts[bucket]..starts[bucket + 1]]).collect();
        let (out, others) = rest.split_at_mut(own.iter().map(|keyed| keyed.len()).sum());
        rest = others;
        tasks.push((own, out));
    }
    let runs: Vec<Vec<(u32, u32)>> = tasks.into_par_iter().map(|(own, out)| sort_bucket(&own, out)).collect();
    ByCode { places, runs: runs.concat() }
}

/// Sorts a bucket's places, which come in their order, into `out`; gives the codes that occur.
fn sort_bucket(keyed: &[&[u64]], out: &mut [u32]) -> Vec<(u32, u32)> {
    let all = || keyed.iter().flat_map(|keyed| keyed.iter().copied());
    let code = |keyed: u64| (keyed >> 32) as u32;
    let (first, last) = all().fold((u32::MAX, 0), |(first, last), k| (first.min(code(k)), last.max(code(k))));
    if out.is_empty() {
        return Vec::new();
    }
    let width = (last - first) as usize + 1;
    if width > 4 * out.len() {
        let mut sorted: Vec<u64> = all().collect();
        sorted.sort_unstable();
        sorted.iter().zip(out).for_each(|(keyed, place)| *place = *keyed as u32);
        let runs = sorted.chunk_by(|a, b| code(*a) == code(*b));
        return runs.map(|run| (code(run[0]), run.len() as u32)).collect();
    }
    let mut counts = vec![0u32; width];
    all().for_each(|keyed| counts[(code(keyed) - first) as usize] += 1);
    let mut runs = Vec::with_capacity(width.min(out.len()));
    let mut start = 0;
    for (count, code) in counts.iter_mut().zip(first..) {
        if *count > 0 {
            runs.push((code, *count));
        }
        (*count, start) = (start, start + *count);
    }
    for keyed in all() {
        let place = &mut counts[(code(keyed) - first) as usize];
        out[*place as usize] = keyed as u32;
        *place += 1;
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::Rng;

    #[test]
    fn places_are_sorted_by_code_and_stay_in_order() {
        for (rows, first, codes) in
            [(0, 0, 5), (100, 7, 3), (20_000, 3, 1), (50_000, 9, 700), (50_000, 0, 4_000_000_000)]
        {
            let mut rng = Rng::new(rows as u64, "codes", 0);
            let all: Vec<u32> = (0..rows).map(|_| first + rng.below(codes as usize) as u32).collect();
            for in_runs in [1, 2, 9] {
                let all: Vec<u32> =
                    all.iter().flat_map(|code| std::iter::repeat_n(*code, in_runs)).take(rows as usize).collect();
                assert_sorted(&all, first..first + codes);
            }
        }
    }

    fn assert_sorted(all: &[u32], range: Range<u32>) {
        let found = by_code(all, range);
        let mut expected: Vec<u32> = (0..all.len() as u32).collect();
        expected.sort_by_key(|at| all[*at as usize]);
        assert_eq!(found.places, expected);
        let runs = expected.chunk_by(|a, b| all[*a as usize] == all[*b as usize]);
        let runs: Vec<(u32, u32)> = runs.map(|run| (all[run[0] as usize], run.len() as u32)).collect();
        assert_eq!(found.runs, runs);
    }
}
