//! A row of a mask: one bit a slot, least significant first.

/// Bits of one row over the slots of a batch, in 64-bit words. They are counted as they are set: rows are sparse, and
/// counting the words of each row afterwards took an eighth of a run's time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bits {
    words: Vec<u64>,
    ones: u32,
}

impl Bits {
    /// All zero, for `slots` slots.
    pub fn zero(slots: usize) -> Self {
        Bits { words: vec![0; slots.div_ceil(64)], ones: 0 }
    }

    pub fn clear(&mut self) {
        self.words.fill(0);
        self.ones = 0;
    }

    pub fn set(&mut self, slot: u32) {
        let (word, bit) = (&mut self.words[slot as usize / 64], 1 << (slot % 64));
        self.ones += u32::from(*word & bit == 0);
        *word |= bit;
    }

    pub fn unset(&mut self, slot: u32) {
        let (word, bit) = (&mut self.words[slot as usize / 64], 1 << (slot % 64));
        self.ones -= u32::from(*word & bit != 0);
        *word &= !bit;
    }

    pub fn get(&self, slot: u32) -> bool {
        self.words[slot as usize / 64] >> (slot % 64) & 1 == 1
    }

    /// Sets many slots at once, by words, and counts them once.
    pub fn fill(&mut self, fill: impl FnOnce(&mut [u64])) {
        fill(&mut self.words);
        self.ones = self.words.iter().map(|w| w.count_ones()).sum();
    }

    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// Sets what is set in other bits over as many slots.
    pub fn add(&mut self, other: &Bits) {
        if self.ones == 0 {
            self.copy_from(other);
        } else {
            self.fill(|words| words.iter_mut().zip(&other.words).for_each(|(own, other)| *own |= other));
        }
    }

    /// Becomes a copy of bits over as many slots.
    pub fn copy_from(&mut self, other: &Bits) {
        self.words.copy_from_slice(&other.words);
        self.ones = other.ones;
    }

    /// Number of set slots.
    pub fn count(&self) -> u32 {
        self.ones
    }

    /// Number of slots that are set in both.
    pub fn overlap(&self, other: &Bits) -> u64 {
        self.words.iter().zip(&other.words).map(|(own, other)| u64::from((own & other).count_ones())).sum()
    }

    /// The set slots, ascending.
    pub fn slots(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(w, word)| set_bits(*word).map(move |bit| w as u32 * 64 + bit))
    }

    /// Appends `width` bytes, bit `j` of the row being bit `j % 8` of byte `j / 8`.
    pub fn append(&self, width: usize, out: &mut Vec<u8>) {
        append_words(self.words.iter().copied(), width, out);
    }

    /// Appends `width` bytes, bit `j` of the row being bit `j % 8` of byte `j / 8`: the valid negatives, which are the first `slots` bits flipped, but for the anchor's own, which is 0.
    pub fn append_negatives(&self, slots: usize, anchor: u32, width: usize, out: &mut Vec<u8>) {
        let start = out.len();
        let words = self.words.iter().enumerate().map(|(w, word)| {
            let left = slots.saturating_sub(w * 64);
            let valid = if left >= 64 { u64::MAX } else { (1 << left) - 1 };
            !word & valid
        });
        append_words(words, width, out);
        out[start + anchor as usize / 8] &= !(1 << (anchor % 8));
    }
}

/// Appends `width` bytes of little-endian words, zeros behind them.
fn append_words(words: impl Iterator<Item = u64>, width: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + width, 0);
    let (whole, tail) = out[start..].as_chunks_mut::<8>();
    let mut words = words.map(u64::to_le_bytes);
    whole.iter_mut().zip(&mut words).for_each(|(bytes, word)| *bytes = word);
    if let Some(word) = words.next() {
        tail.copy_from_slice(&word[..tail.len()]);
    }
}

/// Positions of a word's ones, ascending.
pub fn set_bits(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        (word != 0).then(|| {
            let bit = word.trailing_zeros();
            word &= word - 1;
            bit
        })
    })
}
