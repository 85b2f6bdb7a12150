//! False negatives of a batch: candidates that their anchor's identity engaged with, masked or not.

use std::collections::BinaryHeap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Batches that are looked at, at most, and rows in them: each row is compared with all others of its batch.
const SAMPLE: usize = 64;
const ROWS: usize = 1 << 18;

/// Pairs of an anchor and another row of its batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FalseNegatives {
    pub candidates: u64,
    /// Those whose item is a known positive of the anchor's identity.
    pub known: u64,
    /// Those of them that the mask still offers as negatives.
    pub unmasked: u64,
}

impl FalseNegatives {
    pub fn add(&mut self, other: FalseNegatives) {
        self.candidates += other.candidates;
        self.known += other.known;
        self.unmasked += other.unmasked;
    }
}

/// The batches of `batches` that are looked at, ascending: those whose ordinals (32 bits, little-endian) have the smallest XXH3-64
/// under a seed derived from the pipeline's; 64, or as many as have 2¹⁸ rows, but one.
pub fn sampled_batches(seed: u64, batches: usize, batch_size: usize) -> Vec<usize> {
    let most = (ROWS / batch_size.max(1)).clamp(1, SAMPLE);
    let salt = xxh3_64_with_seed(b"sample of batches", seed);
    let mut smallest: BinaryHeap<(u64, usize)> = BinaryHeap::with_capacity(SAMPLE + 1);
    for batch in 0..batches {
        smallest.push((xxh3_64_with_seed(&(batch as u32).to_le_bytes(), salt), batch));
        if smallest.len() > most {
            smallest.pop();
        }
    }
    let mut sample: Vec<usize> = smallest.into_iter().map(|(_, batch)| batch).collect();
    sample.sort_unstable();
    sample
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_64_batches_that_depend_on_the_seed_alone() {
        assert_eq!(sampled_batches(1, 64, 24), (0..64).collect::<Vec<_>>());
        let sample = sampled_batches(1, 1_000, 4_096);
        assert_eq!(sample, sampled_batches(1, 1_000, 24));
        assert!(sample.len() == 64 && sample.is_sorted() && sample != sampled_batches(2, 1_000, 24));
        let of_large = sampled_batches(1, 1_000, 16_384);
        assert!(of_large.len() == 16 && of_large.iter().all(|batch| sample.contains(batch)));
        assert_eq!(sampled_batches(1, 1_000, usize::MAX).len(), 1);
        // From all over the dataset.
        assert!(sample[0] < 100 && sample[63] >= 900);
    }
}
