//! Classes of slots, of which the large ones are kept as bits, which are cheaper to unite than lists.

use super::bits::Bits;
use crate::classes::Classes;

/// Classes of a batch's slots, and the bits of the large ones.
pub struct ClassBits {
    pub classes: Classes,
    bits: Vec<Option<Bits>>,
}

impl ClassBits {
    /// Classes of as many slots as there are words, which are counted when they are set, or more get bits.
    pub fn of_large(classes: Classes) -> Self {
        let large = classes.of.len().div_ceil(64) + 1;
        ClassBits::new(classes, large)
    }

    /// Classes of `large` slots or more get bits.
    pub fn new(classes: Classes, large: usize) -> Self {
        let slots = classes.of.len();
        let bits = (0..classes.len() as u32).map(|class| {
            let members = classes.members(class);
            (members.len() >= large).then(|| {
                let mut bits = Bits::zero(slots);
                members.iter().for_each(|slot| bits.set(*slot));
                bits
            })
        });
        ClassBits { bits: bits.collect(), classes }
    }

    /// Sets the slots of a class.
    pub fn set(&self, class: u32, out: &mut Bits) {
        match &self.bits[class as usize] {
            Some(_) => out.fill(|words| self.mark(class, words)),
            None => self.classes.members(class).iter().for_each(|slot| out.set(*slot)),
        }
    }

    /// Sets the slots of a class in words, 64 slots each.
    pub fn mark(&self, class: u32, words: &mut [u64]) {
        match &self.bits[class as usize] {
            Some(bits) => words.iter_mut().zip(bits.words()).for_each(|(word, bits)| *word |= bits),
            None => self.classes.members(class).iter().for_each(|slot| words[*slot as usize / 64] |= 1 << (slot % 64)),
        }
    }
}
