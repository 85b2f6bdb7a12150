//! logQ of all batches.

use std::borrow::Cow;
use std::ops::Range;

use super::figures::each_part;
use super::prepare::Prepared;
use crate::error::Result;
use crate::keys::{Codes, Key, KeyPlane};
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
            LogQOfBatches::OfPools { shares: shares(prepared, items)?, batch_size: plan.batch_size }
        }))
    }

    /// That of some batches.
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

/// By position, pool by pool.
fn shares(prepared: &Prepared, items: &Codes) -> Result<Column<f32>> {
    let (plan, folder) = (prepared.composed.plan(), prepared.key_folder());
    let dropped = dropped(prepared)?;
    let mut dropped = dropped.as_slice();
    // The item at each position, and whether it is an example's, not a copy's.
    let (mut placed, mut original) = (Column::new(folder)?, Column::new(folder)?);
    each_part(prepared, |part| {
        let items: Vec<u32> = part.plan.order.iter().map(|row| item(&part.plane, *row)).collect();
        placed.extend(&items)?;
        original.extend(&(0..items.len()).map(|at| part.plan.copy_at(at) == 0).collect::<Vec<bool>>())
    })?;
    let (mut items, mut shares) = (PoolItems::new(items.len()), Column::new(folder)?);
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
fn dropped(prepared: &Prepared) -> Result<Vec<(u32, u32)>> {
    let mut by_row: Vec<(u32, u32)> =
        prepared.composed.plan().dropped.iter().map(|(pool, row)| (*row, *pool)).collect();
    by_row.sort_unstable();
    let mut dropped = Vec::with_capacity(by_row.len());
    prepared.keys.each_piece(&[Key::Code(Field::Item)], |first, plane| {
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
