//! logQ of all batches.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use super::composed::Composed;
use super::prepare::Prepared;
use crate::compose::Plan;
use crate::error::Result;
use crate::keys::{Key, KeyPlane, Keys};
use crate::negatives::{LogQ, PoolItems};
use crate::pipeline::Field;
use crate::store::Column;

/// Positions that are looked at at a time.
const PIECE: usize = 1 << 18;

pub enum LogQOfBatches {
    OfOnePool(LogQ),
    /// By position.
    OfPools {
        shares: Column<f32>,
        batch_size: usize,
    },
}

impl LogQOfBatches {
    /// `None` where no item is mapped.
    pub fn new(prepared: &Prepared) -> Result<Option<Self>> {
        let Some(items) = &prepared.keys.shape().item else { return Ok(None) };
        let plan = prepared.composed.plan();
        Ok(Some(if plan.pools.len() == 1 {
            LogQOfBatches::OfOnePool(LogQ::of_one_pool(&prepared.facts.items.rows))
        } else {
            let shares = shares(&prepared.keys, &prepared.composed, items.len(), prepared.key_folder())?;
            LogQOfBatches::OfPools { shares, batch_size: plan.batch_size }
        }))
    }

    /// logQ of some batches.
    pub fn of(&self, batches: &Range<usize>) -> Result<Cow<'_, LogQ>> {
        match self {
            LogQOfBatches::OfOnePool(log_q) => Ok(Cow::Borrowed(log_q)),
            LogQOfBatches::OfPools { shares, batch_size } => {
                let first = batches.start * batch_size;
                let shares = shares.read(first..shares.len().min(batches.end * batch_size))?.into_owned();
                Ok(Cow::Owned(LogQ::OfPositions { first, shares }))
            }
        }
    }
}

/// By position, pool by pool; of `number` items. What is by row waits in `folder`, if there is one.
fn shares(keys: &Keys, composed: &Composed, number: usize, folder: Option<&Path>) -> Result<Column<f32>> {
    let plan = composed.plan();
    let dropped = dropped(keys, plan)?;
    let mut dropped = dropped.as_slice();
    // The item at each position, and whether it is an example's, not a copy's.
    let (mut placed, mut original) = (Column::new(folder)?, Column::new(folder)?);
    composed.each_part(keys, |part| {
        let items: Vec<u32> = part.plan.order.iter().map(|row| item(&part.plane, *row)).collect();
        placed.extend(&items)?;
        original.extend(&(0..items.len()).map(|at| part.plan.copy_at(at) == 0).collect::<Vec<bool>>())
    })?;
    let (mut items, mut shares) = (PoolItems::new(number), Column::new(folder)?);
    for (k, pool) in plan.pools.iter().enumerate() {
        let positions = plan.positions(pool, placed.len());
        let pieces = positions.clone().step_by(PIECE).map(|start| start..positions.end.min(start + PIECE));
        items.next_pool();
        let own = dropped.partition_point(|(pool, _)| *pool as usize <= k);
        items.add(dropped.split_off(..own).unwrap_or_default().iter().map(|(_, item)| *item));
        for piece in pieces.clone() {
            let original = original.read(piece.clone())?;
            let placed = placed.read(piece)?;
            items.add(placed.iter().zip(original.iter()).filter(|(_, original)| **original).map(|(item, _)| *item));
        }
        let log_q = items.log_q(positions.len());
        pieces.into_iter().try_for_each(|piece| shares.extend(&log_q.of_all(&placed.read(piece)?)))?;
    }
    Ok(shares)
}

/// Pools with the items of their dropped examples, by pool.
fn dropped(keys: &Keys, plan: &Plan) -> Result<Vec<(u32, u32)>> {
    let mut by_row: Vec<(u32, u32)> = plan.dropped.iter().map(|(pool, row)| (*row, *pool)).collect();
    by_row.sort_unstable();
    let mut dropped = Vec::with_capacity(by_row.len());
    keys.each_piece(&[Key::Code(Field::Item)], |first, plane| {
        let own = by_row[dropped.len()..].iter().take_while(|(row, _)| (*row as usize) < first + plane.len());
        let own: Vec<(u32, u32)> = own.map(|(row, pool)| (*pool, item(plane, row - first as u32))).collect();
        dropped.extend(own);
        Ok(())
    })?;
    dropped.sort_unstable();
    Ok(dropped)
}

fn item(plane: &KeyPlane, row: u32) -> u32 {
    plane.item.as_ref().map_or(0, |item| item.rows[row as usize])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::compose::Pool;
    use crate::keys::Codes;

    proptest! {
        /// Each item's share of the examples of the pool, by its definition.
        #[test]
        fn log_q_is_the_share_of_the_pool(
            rows in prop::collection::vec(0u32..6, 4..80),
            pools in prop::collection::vec(1usize..4, 1..5),
            dropped in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..5),
            batch_size in 1usize..6,
        ) {
            let mut plan = Plan::new(batch_size);
            for batches in pools {
                let first_batch = plan.pools.iter().map(|pool: &Pool| pool.batches).sum();
                plan.pools.push(Pool { first_batch, batches });
            }
            // The last batch is short by a row; where there are more positions than rows, there are copies.
            let batches: usize = plan.pools.iter().map(|pool| pool.batches).sum();
            let positions = (batches * batch_size - 1).max(1);
            plan.order = (0..positions).map(|at| (at % rows.len()) as u32).collect();
            plan.copy = (0..positions).map(|at| (at / rows.len()) as u32).collect();
            plan.dropped = dropped.iter().map(|(k, row)| (k.index(plan.pools.len()) as u32, row.index(rows.len()) as u32)).collect();
            let plane = KeyPlane {
                identity: Codes::without_tokens(rows.clone(), 6),
                item: Some(Codes::without_tokens(rows.clone(), 6)),
                ..KeyPlane::default()
            };
            let (composed, keys) = (Composed::held(plan.clone()), Keys::Held(plane));
            let dir = tempfile::tempdir().unwrap();
            for folder in [None, Some(dir.path())] {
                let found = shares(&keys, &composed, 6, folder).unwrap();
                prop_assert_eq!(found.len(), positions);
                for (k, pool) in plan.pools.iter().enumerate() {
                    let own = plan.positions(pool, positions);
                    let placed = own.clone().filter(|at| plan.copy[*at] == 0).map(|at| plan.order[at]);
                    let gone = plan.dropped.iter().filter(|(of, _)| *of as usize == k).map(|(_, row)| *row);
                    let items: Vec<u32> = placed.chain(gone).map(|row| rows[row as usize]).collect();
                    for at in own.clone() {
                        let item = rows[plan.order[at] as usize];
                        let count = items.iter().filter(|other| **other == item).count();
                        // The original of a copy may stand in an earlier pool.
                        let share = count.max(1) as f64 / items.len().max(1) as f64;
                        prop_assert_eq!(found.read(at..at + 1).unwrap()[0], share.ln() as f32);
                    }
                }
            }
        }
    }
}
