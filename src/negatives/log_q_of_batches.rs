//! logQ of all batches, pool by pool.

use std::borrow::Cow;
use std::ops::Range;

use super::log_q::{LogQ, PoolItems};
use crate::compose::{Composed, Head, Plan};
use crate::error::Result;
use crate::keys::{Key, KeyView, Keys};
use crate::pipeline::Field;
use crate::spill::{Column, Room};

/// Positions that are looked at at a time.
const PIECE: usize = 1 << 18;

/// logQ of all batches.
pub enum LogQOfBatches {
    OfOnePool(LogQ),
    /// By position.
    OfPools(Column<f32>),
}

impl LogQOfBatches {
    /// logQ of keys with items, of which there are `counts[item]` examples each.
    ///
    /// # Errors
    /// A scratch file that can't be read or written.
    pub fn new(keys: &Keys, composed: &Composed, counts: &[u32], room: &Room) -> Result<Self> {
        Ok(if composed.head().pools.len() == 1 {
            LogQOfBatches::OfOnePool(LogQ::of_one_pool(counts))
        } else {
            LogQOfBatches::OfPools(shares(keys, composed, counts.len(), room)?)
        })
    }

    /// logQ of some batches.
    ///
    /// # Errors
    /// A scratch file that can't be read.
    pub fn of(&self, head: &Head, batches: &Range<usize>) -> Result<Cow<'_, LogQ>> {
        match self {
            LogQOfBatches::OfOnePool(log_q) => Ok(Cow::Borrowed(log_q)),
            LogQOfBatches::OfPools(shares) => {
                let positions = head.positions(batches);
                let first = positions.start;
                Ok(Cow::Owned(LogQ::OfPositions { first, shares: shares.read(positions)?.into_owned() }))
            }
        }
    }
}

/// By position, pool by pool; of `number` items.
fn shares(keys: &Keys, composed: &Composed, number: usize, room: &Room) -> Result<Column<f32>> {
    let dropped = dropped(keys, composed)?;
    let mut dropped = dropped.as_slice();
    // The item at each position, and whether it is an example's, not a copy's.
    let (mut placed, mut original) = (Column::new(room)?, Column::new(room)?);
    composed.each_part(keys, |part| {
        let items: Vec<u32> = part.plan.order.iter().map(|row| item(&part.view, *row)).collect();
        placed.extend(&items)?;
        original.extend(&originals(&part.plan))
    })?;
    let (mut items, mut shares) = (PoolItems::new(number), Column::new(room)?);
    for (k, pool) in composed.head().pools.iter().enumerate() {
        let positions = pool.first_position..pool.first_position + pool.rows;
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
fn dropped(keys: &Keys, composed: &Composed) -> Result<Vec<(u32, u32)>> {
    let dropped = composed.dropped().read(0..composed.dropped().len())?;
    let mut by_row: Vec<(u32, u32)> = dropped.iter().map(|[pool, row]| (*row, *pool)).collect();
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

/// Whether each row is an example's, not a copy's.
fn originals(plan: &Plan<'_>) -> Vec<bool> {
    match &*plan.copy {
        [] => vec![true; plan.order.len()],
        copies => copies.iter().map(|ordinal| *ordinal == 0).collect(),
    }
}

fn item(plane: &KeyView<'_>, row: u32) -> u32 {
    plane.item.as_ref().map_or(0, |item| item.rows[row as usize])
}
