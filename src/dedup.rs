//! Stage 2, dedup: which of several equal rows survives.
//!
//! Takes the key plane, gives the survivors in input order. Rows are equal when they agree in all fields of the key; a row
//! with a null in the key equals no other. The survivor is the first or the last in time order, then
//! input order: a total order, so neither threads nor chunks matter.

use rayon::prelude::*;

use crate::keys::KeyPlane;
use crate::pipeline::{Field, Keep};

const BUCKET_BITS: u32 = 8;

/// Ordinals of the rows that survive, ascending.
pub fn survivors(plane: &KeyPlane, key: &[Field], keep: Keep) -> Vec<u32> {
    let rows = plane.len() as u32;
    let columns: Vec<&[u32]> = key.iter().filter_map(|f| plane.codes(f)).collect();
    if columns.is_empty() {
        return (0..rows).collect();
    }
    let null_label = match &plane.label {
        Some(labels) if key.contains(&Field::Label) => {
            labels.text.iter().position(Option::is_none).map(|code| (labels.rows.as_slice(), code as u32))
        }
        _ => None,
    };
    let is_unique = |row: u32| null_label.is_some_and(|(codes, null)| codes[row as usize] == null);
    let hash = |row: u32| columns.iter().fold(0u64, |h, c| mix(h ^ u64::from(c[row as usize])));
    // A part of the rows a core, each by buckets.
    let part = rows.div_ceil(rayon::current_num_threads() as u32).max(1);
    let parts: Vec<Vec<Vec<(u64, u32)>>> = (0..rows)
        .step_by(part as usize)
        .collect::<Vec<_>>()
        .into_par_iter()
        .map(|start| {
            let mut buckets = vec![Vec::new(); 1 << BUCKET_BITS];
            for row in start..rows.min(start.saturating_add(part)) {
                let h = hash(row);
                buckets[(h >> (64 - BUCKET_BITS)) as usize].push((h, row));
            }
            buckets
        })
        .collect();
    let order = |row: u32| (plane.time.as_ref().map_or(0, |t| t[row as usize]), row);
    let kept: Vec<Vec<u32>> = (0..1 << BUCKET_BITS)
        .into_par_iter()
        .map(|bucket| {
            let mut bucket: Vec<(u64, u32)> = parts.iter().flat_map(|buckets| &buckets[bucket]).copied().collect();
            bucket.sort_unstable();
            let mut kept: Vec<u32> = Vec::with_capacity(bucket.len());
            for run in bucket.chunk_by(|a, b| a.0 == b.0) {
                // Rows of one hash: nearly always one value, so `best` has one entry.
                let mut best: Vec<u32> = Vec::new();
                for &(_, row) in run {
                    let same = |b: &u32| columns.iter().all(|c| c[*b as usize] == c[row as usize]);
                    match best.iter_mut().find(|b| same(b)) {
                        Some(_) if is_unique(row) => kept.push(row),
                        None => best.push(row),
                        Some(b) if (keep == Keep::First) == (order(row) < order(*b)) => *b = row,
                        Some(_) => {}
                    }
                }
                kept.extend(best);
            }
            kept
        })
        .collect();
    let mut survives = vec![false; rows as usize];
    kept.iter().flatten().for_each(|row| survives[*row as usize] = true);
    (0..rows).filter(|row| survives[*row as usize]).collect()
}

/// A 64-bit finalizer (SplitMix64's), good enough to spread codes over buckets.
fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
