//! Which slots of a batch have an item that an identity engaged with.

use super::bits::Bits;
use super::class_bits::ClassBits;
use super::positives::Positives;
use crate::classes::Classes;

/// A binary search for an item takes as long as filtering so many codes of a list, or longer.
const SEARCH: usize = 32;

/// A batch's items, ready to be looked up.
pub struct BatchItems<'a> {
    positives: &'a Positives,
    items: ClassBits,
    lookup: Lookup,
}

impl<'a> BatchItems<'a> {
    pub fn new(positives: &'a Positives, items: Classes) -> Self {
        let lookup = Lookup::new(&items);
        // Marking a word of bits takes a quarter of marking a slot. Few items are popular, but they fill most of a mask.
        let large = items.of.len().div_ceil(64 * 4);
        BatchItems { positives, items: ClassBits::new(items, large.max(2)), lookup }
    }

    /// Sets the slots whose item is a positive of the identity.
    pub fn exclude(&self, identity: u32, bits: &mut Bits) {
        bits.fill(|words| self.mark(identity, words));
    }

    /// Marks the slots whose item is a positive of the identity. Walks the identity's list or the batch's items, whichever
    /// is cheaper.
    fn mark(&self, identity: u32, words: &mut [u64]) {
        let own = self.positives.of(identity);
        let items = &self.items.classes;
        let mut hit = |class: u32| self.items.mark(class, words);
        if let Some(dense) = self.positives.bits_of(identity).filter(|_| own.len() > items.len()) {
            for (item, class) in items.values().iter().zip(0..) {
                if dense[*item as usize / 64] >> (item % 64) & 1 == 1 {
                    hit(class);
                }
            }
        } else if own.len() > items.len() * SEARCH {
            for (item, class) in items.values().iter().zip(0..) {
                if own.binary_search(&(*item as u32)).is_ok() {
                    hit(class);
                }
            }
        } else {
            self.lookup.each(own, hit);
        }
    }

    /// Slots by item.
    pub fn classes(&self) -> &Classes {
        &self.items.classes
    }

    /// Sets the slots of an item.
    pub fn exclude_item(&self, item: u32, bits: &mut Bits) {
        self.items.classes.members(item).iter().for_each(|slot| bits.set(*slot));
    }
}

/// From item codes to a batch's classes.
struct Lookup {
    /// A bit by the codes' low bits: codes are ranks of hashes, so these are as good as random.
    filter: Vec<u64>,
    /// Open addressing: (code, class); their number is a power of two.
    slots: Vec<(u32, u32)>,
}

const EMPTY: u32 = u32::MAX;

/// Bits of the filter for each item: one in as many codes passes for nothing.
const FILTER_BITS: usize = 32;

/// Codes that are filtered at a time.
const FILTERED: usize = 64;

impl Lookup {
    fn new(items: &Classes) -> Self {
        let mut slots = vec![(0, EMPTY); (items.len() * 2).next_power_of_two().max(2)];
        let mut filter = vec![0; (items.len() * FILTER_BITS / 64).next_power_of_two()];
        for (item, class) in items.values().iter().map(|item| *item as u32).zip(0..) {
            let mut at = home(item, slots.len());
            while slots[at].1 != EMPTY {
                at = (at + 1) & (slots.len() - 1);
            }
            slots[at] = (item, class);
            let bit = item as usize & (filter.len() * 64 - 1);
            filter[bit / 64] |= 1 << (bit % 64);
        }
        Lookup { filter, slots }
    }

    /// Calls `hit` with the classes of those codes that the batch has.
    fn each(&self, codes: &[u32], mut hit: impl FnMut(u32)) {
        // Most codes of a long list are not in the batch. The filter stays in the nearest cache and takes no branch.
        for codes in codes.chunks(FILTERED) {
            let (mut passed, mut number) = ([0; FILTERED], 0);
            for code in codes {
                let bit = *code as usize & (self.filter.len() * 64 - 1);
                passed[number % FILTERED] = *code;
                number += (self.filter[bit / 64] >> (bit % 64) & 1) as usize;
            }
            passed[..number].iter().filter_map(|code| self.get(*code)).for_each(&mut hit);
        }
    }

    fn get(&self, item: u32) -> Option<u32> {
        let mut at = home(item, self.slots.len());
        loop {
            match self.slots[at] {
                (_, EMPTY) => return None,
                (found, class) if found == item => return Some(class),
                _ => at = (at + 1) & (self.slots.len() - 1),
            }
        }
    }
}

fn home(item: u32, slots: usize) -> usize {
    ((u64::from(item).wrapping_mul(0x9e37_79b9_7f4a_7c15)) >> 32) as usize & (slots - 1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::keys::{Codes, KeyView};

    #[test]
    fn short_long_and_dense_lists_give_what_a_set_gives() {
        let catalogue = 100_000u32;
        // The lists of identities 0, 1, 2 are walked, searched, and kept as bits.
        let lists: Vec<BTreeSet<u32>> = [(3, 30_011), (400, 241), (5_000, 17)]
            .map(|(n, step)| (0..n).map(|k| k * step % catalogue).collect())
            .into();
        let codes = |rows: Vec<u32>, len: u32| Codes::new(rows, (0..u128::from(len)).collect());
        let pairs: Vec<(u32, u32)> =
            (0..).zip(&lists).flat_map(|(u, l)| l.iter().map(move |item| (u, *item))).collect();
        let plane = KeyView {
            input_row: (0..pairs.len() as u32).collect(),
            identity: codes(pairs.iter().map(|(user, _)| *user).collect(), 3),
            item: Some(codes(pairs.iter().map(|(_, item)| *item).collect(), catalogue)),
            ..KeyView::default()
        };
        let positives = Positives::new(&plane);
        assert!((0..3).filter(|user| positives.bits_of(*user).is_some()).eq([2]));
        // A batch of 300 slots with 10 items, one of them popular.
        let items: Vec<u32> =
            (0..300u32).map(|slot| [0, 241, 17, 30_011, 34, 482, 5, 99_999, 60_022, 0][(slot % 10) as usize]).collect();
        let batch = BatchItems::new(&positives, Classes::new(items.iter().map(|item| u64::from(*item))));
        assert!(lists[1].len() > batch.items.classes.len() * SEARCH && lists[0].len() < batch.items.classes.len());
        for (identity, list) in (0..).zip(&lists) {
            let mut bits = Bits::zero(items.len());
            batch.exclude(identity, &mut bits);
            let wanted: Vec<u32> = (0..300).filter(|slot| list.contains(&items[*slot as usize])).collect();
            assert_eq!(bits.slots().collect::<Vec<_>>(), wanted, "identity {identity}");
            assert_eq!(bits.count() as usize, wanted.len());
        }
    }
}
