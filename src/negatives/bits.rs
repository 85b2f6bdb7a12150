//! A row of a mask: one bit a slot, least significant first.

/// Bits of one row over the slots of a batch, in 64-bit words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bits(Vec<u64>);

impl Bits {
    /// All zero, for `slots` slots.
    pub fn zero(slots: usize) -> Self {
        Bits(vec![0; slots.div_ceil(64)])
    }

    pub fn clear(&mut self) {
        self.0.fill(0);
    }

    pub fn set(&mut self, slot: u32) {
        self.0[slot as usize / 64] |= 1 << (slot % 64);
    }

    pub fn unset(&mut self, slot: u32) {
        self.0[slot as usize / 64] &= !(1 << (slot % 64));
    }

    pub fn union(&mut self, other: &Bits) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a |= b);
    }

    pub fn count(&self) -> u32 {
        self.0.iter().map(|w| w.count_ones()).sum()
    }

    /// Number of set slots that are also set in a row of a stored mask.
    pub fn overlap(&self, stored: &[u8]) -> u64 {
        let words = stored.chunks(8).map(|bytes| {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            u64::from_le_bytes(word)
        });
        self.0.iter().zip(words).map(|(a, b)| u64::from((a & b).count_ones())).sum()
    }

    /// The set slots, ascending.
    pub fn slots(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().enumerate().flat_map(|(w, word)| set_bits(*word).map(move |bit| w as u32 * 64 + bit))
    }

    /// Appends ⌈slots/8⌉ bytes, bit `j` of the row being bit `j % 8` of byte `j / 8`; `width` ≥ that, the rest 0.
    pub fn append_bytes(&self, width: usize, out: &mut Vec<u8>) {
        let end = out.len() + width;
        let words = width.div_ceil(8).min(self.0.len());
        out.extend(self.0[..words].iter().flat_map(|w| w.to_le_bytes()));
        out.resize(end, 0);
    }

    /// The same with every bit of the first `slots` flipped.
    pub fn append_complement(&self, slots: usize, width: usize, out: &mut Vec<u8>) {
        let end = out.len() + width;
        for (w, word) in self.0.iter().enumerate() {
            let left = slots.saturating_sub(w * 64);
            let valid = if left >= 64 { u64::MAX } else { (1 << left) - 1 };
            out.extend((!word & valid).to_le_bytes());
        }
        out.resize(end, 0);
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
