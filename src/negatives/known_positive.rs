//! known_positive: items that an identity engaged with anywhere in the input are never its negatives.

use rayon::prelude::*;

use super::bits::Bits;
use crate::classes::Classes;
use crate::keys::KeyPlane;

/// The positive items of each identity: sorted item codes, and bits where there are many. Linear in rows.
#[derive(Debug, Default)]
pub struct Positives {
    starts: Vec<u64>,
    items: Vec<u32>,
    /// For identities with so many items that one bit per item of the catalogue is no larger than the list.
    dense: std::collections::BTreeMap<u32, Vec<u64>>,
}

impl Positives {
    /// From all rows of a plane that are positives; call it before dedup.
    pub fn new(plane: &KeyPlane) -> Self {
        let Some(item) = &plane.item else { return Positives::default() };
        let identities = plane.identity.len();
        let rows = || (0..plane.len()).filter(|row| plane.is_positive(*row as u32));
        let mut ends = vec![0u64; identities + 1];
        for row in rows() {
            ends[plane.identity.rows[row] as usize + 1] += 1;
        }
        for k in 0..identities {
            ends[k + 1] += ends[k];
        }
        let mut at = ends.clone();
        let mut all = vec![0u32; ends[identities] as usize];
        for row in rows() {
            let place = &mut at[plane.identity.rows[row] as usize];
            all[*place as usize] = item.rows[row];
            *place += 1;
        }
        // Sort each identity's items; a heavy identity's by all threads.
        let mut lists = Vec::with_capacity(identities);
        let mut rest = all.as_mut_slice();
        for k in 0..identities {
            let (list, others) = rest.split_at_mut((ends[k + 1] - ends[k]) as usize);
            lists.push(list);
            rest = others;
        }
        let lens: Vec<usize> = lists
            .par_iter_mut()
            .map(|list| {
                list.par_sort_unstable();
                dedup(list)
            })
            .collect();
        let mut positives = Positives { starts: vec![0], ..Positives::default() };
        for (k, len) in lens.into_iter().enumerate() {
            let start = ends[k] as usize;
            positives.items.extend_from_slice(&all[start..start + len]);
            positives.starts.push(positives.items.len() as u64);
            if len * 32 > item.len() && len > 64 {
                let mut bits = vec![0u64; item.len().div_ceil(64)];
                all[start..start + len].iter().for_each(|i| bits[*i as usize / 64] |= 1 << (i % 64));
                positives.dense.insert(k as u32, bits);
            }
        }
        positives
    }

    /// The positive items of an identity, ascending codes.
    pub fn of(&self, identity: u32) -> &[u32] {
        let k = identity as usize;
        &self.items[self.starts[k] as usize..self.starts[k + 1] as usize]
    }

    /// Sets the slots of `items` whose item is a positive of the identity. Walks the identity's list or the batch's items,
    /// whichever is cheaper.
    pub fn exclude(&self, identity: u32, items: &Classes, lookup: &Lookup, bits: &mut Bits) {
        let own = self.of(identity);
        let mut hit = |class: u32| items.members(class).iter().for_each(|slot| bits.set(*slot));
        if let Some(dense) = self.dense.get(&identity).filter(|_| own.len() > items.len()) {
            for (item, class) in items.values().iter().zip(0..) {
                if dense[*item as usize / 64] >> (item % 64) & 1 == 1 {
                    hit(class);
                }
            }
        } else if own.len() > items.len() * 4 {
            for (item, class) in items.values().iter().zip(0..) {
                if own.binary_search(&(*item as u32)).is_ok() {
                    hit(class);
                }
            }
        } else {
            own.iter().filter_map(|item| lookup.get(*item)).for_each(&mut hit);
        }
    }
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

/// From item codes to a batch's classes: an array over the catalogue while that stays in the caches, else open addressing.
pub enum Lookup {
    /// The class by code.
    Direct(Vec<u32>),
    /// Slots of (code, class); their number is a power of two.
    Hashed(Vec<(u32, u32)>),
}

const EMPTY: u32 = u32::MAX;
/// Catalogues up to this many items are indexed directly (2 MiB).
const DIRECT: usize = 1 << 19;

impl Lookup {
    /// For a batch's items, out of a catalogue of `catalogue` codes.
    pub fn new(items: &Classes, catalogue: usize) -> Self {
        if catalogue <= DIRECT {
            let mut classes = vec![EMPTY; catalogue];
            items.values().iter().zip(0..).for_each(|(item, class)| classes[*item as usize] = class);
            return Lookup::Direct(classes);
        }
        let mut slots = vec![(0, EMPTY); (items.len() * 2).next_power_of_two().max(2)];
        for (item, class) in items.values().iter().map(|item| *item as u32).zip(0..) {
            let mut at = home(item, slots.len());
            while slots[at].1 != EMPTY {
                at = (at + 1) & (slots.len() - 1);
            }
            slots[at] = (item, class);
        }
        Lookup::Hashed(slots)
    }

    fn get(&self, item: u32) -> Option<u32> {
        match self {
            Lookup::Direct(classes) => Some(classes[item as usize]).filter(|class| *class != EMPTY),
            Lookup::Hashed(slots) => {
                let mut at = home(item, slots.len());
                loop {
                    match slots[at] {
                        (_, EMPTY) => return None,
                        (found, class) if found == item => return Some(class),
                        _ => at = (at + 1) & (slots.len() - 1),
                    }
                }
            }
        }
    }
}

fn home(item: u32, slots: usize) -> usize {
    ((u64::from(item).wrapping_mul(0x9e37_79b9_7f4a_7c15)) >> 32) as usize & (slots - 1)
}
