//! Seeded randomness that is the same on every machine and in every release: SplitMix64 (Steele, Lea and Flood,
//! "Fast splittable pseudorandom number generators", 2014), one stream for each purpose and index.

use xxhash_rust::xxh3::xxh3_64_with_seed;

pub struct Rng(u64);

impl Rng {
    /// The stream of `purpose` number `index` under the pipeline's seed.
    pub fn new(seed: u64, purpose: &str, index: u64) -> Self {
        let state = xxh3_64_with_seed(purpose.as_bytes(), seed);
        Rng(xxh3_64_with_seed(&index.to_le_bytes(), state))
    }

    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in 0..n, for n ≥ 1 (bias below n/2⁶⁴).
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next_u64()) * n as u128) >> 64) as usize
    }

    /// Fisher–Yates.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }

    /// Shuffles whole chunks of `size` items, single ones as [`Rng::shuffle`] does; a shorter last chunk stays.
    pub fn shuffle_chunks<T>(&mut self, items: &mut [T], size: usize) {
        if size == 1 {
            return self.shuffle(items);
        }
        let chunks = items.len() / size;
        for i in (1..chunks).rev() {
            let j = self.below(i + 1);
            if i != j {
                let (a, b) = items.split_at_mut(i * size);
                a[j * size..(j + 1) * size].swap_with_slice(&mut b[..size]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_pinned() {
        let mut rng = Rng::new(0, "slots", 3);
        assert_eq!([rng.next_u64(), rng.next_u64()], [6_770_468_937_229_520_561, 13_550_690_721_701_014_083]);
    }
}
