//! known_positive: items that an identity engaged with anywhere in the input are never its negatives.

use rayon::prelude::*;

use super::bits::Bits;
use super::class_bits::ClassBits;
use crate::classes::Classes;
use crate::error::Result;
use crate::keys::KeyView;
use crate::pipeline::Field;

/// The positive items of each identity: sorted item codes, and bits where there are many. Linear in rows.
#[derive(Debug, Default)]
pub struct Positives {
    starts: Vec<u32>,
    items: Vec<u32>,
    /// For identities with so many items that one bit per item of the catalogue is no larger than the list.
    dense: std::collections::BTreeMap<u32, Vec<u64>>,
}

impl Positives {
    /// From all rows of a plane that are positives; call it before dedup.
    pub fn new(plane: &KeyView<'_>) -> Self {
        let whole = Positives::of_pieces(plane, |each| {
            each(plane);
            Ok(())
        });
        whole.unwrap_or_default()
    }

    /// From all rows that are positives, in pieces, with as many identities and items as `shape` has; `each_piece` is called
    /// twice, and brings identities, items and positives.
    ///
    /// # Errors
    /// What `pieces` says.
    pub fn of_pieces(
        shape: &KeyView<'_>,
        each_piece: impl Fn(&mut dyn FnMut(&KeyView<'_>)) -> Result<()>,
    ) -> Result<Self> {
        let Some(item) = &shape.item else { return Ok(Positives::default()) };
        let identities = shape.identity.len();
        let each_row = |each: &mut dyn FnMut(usize, u32)| {
            each_piece(&mut |plane| {
                let items = plane.codes(&Field::Item).unwrap_or_default();
                for (row, item) in items.iter().enumerate().filter(|(row, _)| plane.is_positive(*row as u32)) {
                    each(plane.identity.rows[row] as usize, *item);
                }
            })
        };
        // For each identity, one place behind its own: the number of its rows, then where they start, then where they end.
        let mut starts = vec![0u32; identities + 1];
        each_row(&mut |identity, _| starts[identity + 1] += 1)?;
        let mut sum = 0;
        for start in &mut starts {
            (*start, sum) = (sum, sum + *start);
        }
        let mut items = vec![0; sum as usize];
        each_row(&mut |identity, item| {
            let place = &mut starts[identity + 1];
            items[*place as usize] = item;
            *place += 1;
        })?;
        let lens = sort_lists(&mut items, &starts);
        let mut positives = Positives::default();
        let mut end = 0;
        for (k, len) in lens.into_iter().enumerate() {
            let list = starts[k] as usize..(starts[k] + len) as usize;
            if list.len() * 32 > item.len() && list.len() > 64 {
                let mut bits = vec![0u64; item.len().div_ceil(64)];
                items[list.clone()].iter().for_each(|i| bits[*i as usize / 64] |= 1 << (i % 64));
                positives.dense.insert(k as u32, bits);
            }
            items.copy_within(list, end as usize);
            starts[k] = end;
            end += len;
        }
        starts[identities] = end;
        items.truncate(end as usize);
        items.shrink_to_fit();
        Ok(Positives { starts, items, ..positives })
    }

    /// Those of some identities; the others have none.
    #[must_use]
    pub fn only(self, wanted: &[bool]) -> Self {
        let Positives { mut starts, mut items, mut dense } = self;
        let mut end = 0;
        for (identity, wanted) in wanted.iter().enumerate() {
            let list = starts[identity] as usize..starts[identity + 1] as usize;
            starts[identity] = end as u32;
            if *wanted {
                items.copy_within(list.clone(), end);
                end += list.len();
            }
        }
        starts[wanted.len()] = end as u32;
        items.truncate(end);
        items.shrink_to_fit();
        dense.retain(|identity, _| wanted[*identity as usize]);
        Positives { starts, items, dense }
    }

    /// Bytes that they take.
    pub fn bytes(&self) -> u64 {
        let dense: usize = self.dense.values().map(|bits| 8 * bits.len()).sum();
        (4 * (self.starts.len() + self.items.len()) + dense) as u64
    }

    /// The positive items of an identity, ascending codes.
    pub fn of(&self, identity: u32) -> &[u32] {
        let k = identity as usize;
        &self.items[self.starts[k] as usize..self.starts[k + 1] as usize]
    }

    /// Marks the slots whose item is a positive of the identity. Walks the identity's list or the batch's items, whichever
    /// is cheaper.
    fn mark(&self, identity: u32, batch: &BatchItems, words: &mut [u64]) {
        let own = self.of(identity);
        let items = &batch.items.classes;
        let mut hit = |class: u32| batch.items.mark(class, words);
        if let Some(dense) = self.dense.get(&identity).filter(|_| own.len() > items.len()) {
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
            batch.lookup.each(own, hit);
        }
    }
}

/// Identities whose lists one thread sorts at a time.
const BLOCK: usize = 1024;

/// Sorts each identity's list, `items[starts[k]..starts[k + 1]]`, with its distinct items in front; gives their numbers.
fn sort_lists(mut items: &mut [u32], starts: &[u32]) -> Vec<u32> {
    let mut lens = vec![0; starts.len() - 1];
    let mut blocks = Vec::new();
    for (k, lens) in lens.chunks_mut(BLOCK).enumerate() {
        let bounds = &starts[k * BLOCK..=k * BLOCK + lens.len()];
        let (own, others) = items.split_at_mut((bounds[lens.len()] - bounds[0]) as usize);
        blocks.push((own, bounds, lens));
        items = others;
    }
    blocks.into_par_iter().for_each(|(items, bounds, lens)| {
        for (len, list) in lens.iter_mut().zip(bounds.windows(2)) {
            let list = &mut items[(list[0] - bounds[0]) as usize..(list[1] - bounds[0]) as usize];
            // A heavy identity's by all threads.
            list.par_sort_unstable();
            *len = dedup(list) as u32;
        }
    });
    lens
}

fn dedup(sorted: &mut [u32]) -> usize {
    let mut len = 0;
    for i in 0..sorted.len() {
        if i == 0 || sorted[i] != sorted[len - 1] {
            sorted[len] = sorted[i];
            len += 1;
        }
    }
    len
}

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
        bits.fill(|words| self.positives.mark(identity, self, words));
    }

    /// Sets the slots with the item of `slot`.
    pub fn exclude_same(&self, slot: u32, bits: &mut Bits) {
        let classes = &self.items.classes;
        classes.members(classes.of[slot as usize]).iter().for_each(|other| bits.set(*other));
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
    use crate::keys::Codes;

    #[test]
    fn some_identities_keep_their_items() {
        let codes = |rows: Vec<u32>, len: u32| Codes::new(rows, (0..u128::from(len)).collect());
        let plane = KeyView {
            input_row: (0..7).collect(),
            identity: codes(vec![0, 0, 1, 2, 2, 2, 3], 5),
            item: Some(codes(vec![4, 1, 1, 0, 3, 3, 2], 5)),
            ..KeyView::default()
        };
        let some = Positives::new(&plane).only(&[false, true, true, false, true]);
        assert_eq!(
            (0..5).map(|k| some.of(k).to_vec()).collect::<Vec<_>>(),
            [vec![], vec![1], vec![0, 3], vec![], vec![]]
        );
    }

    #[test]
    fn short_long_and_dense_lists_give_what_a_set_gives() {
        let catalogue = 100_000u32;
        // Of the identities 0, 1, 2: walked, searched, and kept as bits.
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
        assert!(positives.dense.keys().eq([&2]));
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
