//! Which identities meet is as random as the caps allow, in small batches too.

use std::collections::BTreeSet;

use batchwright::compose::Rng;
use batchwright::keys::{Codes, KeyView};

use crate::support::{Shape, compose, pipeline};

/// Keys of identities with so many rows each.
fn keys(counts: &[u32]) -> KeyView<'static> {
    let identities: Vec<u32> =
        (0..).zip(counts).flat_map(|(identity, rows)| std::iter::repeat_n(identity, *rows as usize)).collect();
    KeyView {
        input_row: (0..identities.len() as u32).collect::<Vec<u32>>().into(),
        identity: Codes::new(
            identities,
            (0..counts.len() as u128).map(|k| k.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)).collect(),
        ),
        ..KeyView::default()
    }
}

/// How many others each identity meets in batches of `b` rows.
fn met(reading: &[u32], b: usize, identities: usize) -> Vec<usize> {
    let mut met: Vec<BTreeSet<u32>> = vec![BTreeSet::new(); identities];
    for batch in reading.chunks(b) {
        for one in batch {
            met[*one as usize].extend(batch.iter().filter(|other| *other != one));
        }
    }
    met.into_iter().map(|met| met.len()).collect()
}

/// What the caps allow: an order in which rows of any two batches have changed places at random, many times over, unless a batch
/// would have had more of an identity than its cap. Each order that the caps allow is as likely as any other.
fn shuffled(mut reading: Vec<u32>, b: usize, counts: &[u32], rng: &mut Rng) -> Vec<u32> {
    let full = reading.len() / b;
    let cap = |identity: u32| (counts[identity as usize] as usize).div_ceil(full);
    for _ in 0..reading.len() * 30 {
        let (i, j) = (rng.below(reading.len()), rng.below(reading.len()));
        let (one, other) = (reading[i], reading[j]);
        let fits = |identity: u32, batch: usize| {
            reading[batch * b..reading.len().min((batch + 1) * b)].iter().filter(|own| **own == identity).count()
                < cap(identity)
        };
        if one != other && i / b != j / b && fits(one, j / b) && fits(other, i / b) {
            reading.swap(i, j);
        }
    }
    reading
}

/// Identities met, composed to shuffled, mean over identities with two rows or more and over a few seeds.
fn ratio(counts: &[u32], b: usize, seeds: u64) -> f64 {
    let keys = keys(counts);
    let (mut composed, mut allowed) = (vec![0; counts.len()], vec![0; counts.len()]);
    for seed in 0..seeds {
        let shape = Shape { rows: Vec::new(), batch_size: b as u32, seed: 2 * seed };
        let p = pipeline(&shape, &[("columns.request", ""), ("mask.rules", "[]")]);
        let plan = compose(&keys, &p).expect("a plan");
        let reading: Vec<u32> = plan.order.iter().map(|row| keys.identity.rows[*row as usize]).collect();
        let mut rng = Rng::new(seed, "shuffled", 0);
        let add = |sums: &mut Vec<usize>, reading: &[u32]| {
            sums.iter_mut().zip(met(reading, b, counts.len())).for_each(|(sum, met)| *sum += met);
        };
        add(&mut composed, &reading);
        add(&mut allowed, &shuffled(reading, b, counts, &mut rng));
    }
    let several = (0..counts.len()).filter(|k| counts[*k] > 1 && allowed[*k] > 0);
    let ratios: Vec<f64> = several.map(|k| composed[k] as f64 / allowed[k] as f64).collect();
    ratios.iter().sum::<f64>() / ratios.len() as f64
}

#[test]
fn identities_meet_as_the_caps_allow_from_batches_of_two_on() {
    let zipf: Vec<u32> = (1..=2_000).map(|rank| 600u32.div_ceil(rank)).collect();
    for (counts, seeds) in [(vec![25; 8], 20), (vec![20; 20], 20), (zipf, 2)] {
        for b in [2, 3, 4, 8, 16, 32, 64, 100] {
            let ratio = ratio(&counts, b, seeds);
            let allowed = if b >= 64 { 0.97..1.03 } else { 0.97..1.10 };
            assert!(allowed.contains(&ratio), "{} identities, batches of {b}: {ratio:.3}", counts.len());
        }
    }
}
