//! The items that each identity engaged with, anywhere in the input.

use rayon::prelude::*;

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
        each_piece: impl Fn(&mut (dyn FnMut(&KeyView<'_>) + Send)) -> Result<()>,
    ) -> Result<Self> {
        let Some(item) = &shape.item else { return Ok(Positives::default()) };
        let identities = shape.identity.len();
        let each_row = |each: &mut (dyn FnMut(usize, u32) + Send)| {
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

    /// A bit by item code, for an identity with many positive items.
    pub(super) fn bits_of(&self, identity: u32) -> Option<&[u64]> {
        self.dense.get(&identity).map(Vec::as_slice)
    }

    /// The positive items of an identity, ascending codes.
    pub fn of(&self, identity: u32) -> &[u32] {
        let k = identity as usize;
        &self.items[self.starts[k] as usize..self.starts[k + 1] as usize]
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

#[cfg(test)]
mod tests {
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
}
