//! Units of one row, spread over batches as they were dealt.

use super::deal::Deal;
use super::rng::Rng;
use super::trades::{Chunks, Traded, are_small};
use crate::error::Result;
use crate::parallel::in_turn;
use crate::spill::{Column, Room};

/// Units that are looked at at a time by one core, about.
const PIECE: usize = 1 << 18;

/// Columns of the matrix that are turned at a time: what they bring to a batch fills a line of the caches.
const TILE: usize = 16;

/// Units that are read at a time, of which only some are asked for.
const AT_ONCE: usize = 1 << 15;

/// The rows of a pool, which come identity by identity.
pub struct Spread<'a> {
    deal: Deal,
    room: &'a Room,
    /// Rows of full batches.
    rows: Column<u32>,
    /// Whose they are, where somebody asks.
    owners: Option<Column<u32>>,
    /// Rows of partial batches, and whose they are.
    partial: Vec<Vec<[u32; 2]>>,
    taken: usize,
}

impl<'a> Spread<'a> {
    /// Into full batches of as many rows as the deal has blocks; `partial` batches are behind them.
    ///
    /// # Errors
    /// A scratch file that can't be created.
    pub fn new(deal: Deal, partial: usize, room: &'a Room) -> Result<Self> {
        let owners = are_small(deal.blocks()).then(|| Column::new(room)).transpose()?;
        Ok(Spread { deal, room, rows: Column::new(room)?, owners, partial: vec![Vec::new(); partial], taken: 0 })
    }

    /// Counts the rows of the next identities, before the blocks in which they end are placed.
    pub fn count(&mut self, runs: &[(u32, u32)]) {
        self.deal.count(runs.iter().map(|(_, rows)| *rows as usize));
    }

    /// Takes the next rows; `owners` tells whose they are, if it matters.
    ///
    /// # Errors
    /// A scratch file that can't be written.
    pub fn take(&mut self, rows: Vec<u32>, owners: impl FnOnce() -> Vec<u32>) -> Result<()> {
        let first = self.taken;
        self.taken += rows.len();
        let asks = self.owners.is_some() || self.deal.takes_partial(first..self.taken);
        let owners: Vec<u32> = if asks { owners() } else { Vec::new() };
        let mut of_partial = (vec![Vec::new(); self.partial.len()], vec![Vec::new(); self.partial.len()]);
        self.rows.append(self.deal.split(first, rows, &mut of_partial.0))?;
        if asks {
            let owners = self.deal.split(first, owners, &mut of_partial.1);
            self.owners.iter_mut().try_for_each(|all| all.extend(&owners))?;
        }
        for ((own, rows), owners) in self.partial.iter_mut().zip(of_partial.0).zip(of_partial.1) {
            own.extend(owners.into_iter().zip(rows).map(<[u32; 2]>::from));
        }
        Ok(())
    }

    /// The rows of a partial batch, once all have come: (owner, row).
    pub fn partial(&mut self, batch: usize) -> Vec<[u32; 2]> {
        std::mem::take(&mut self.partial[batch])
    }

    /// Appends the rows of full batches to `order`, once all have come.
    ///
    /// # Errors
    /// A scratch file that can't be read or written.
    pub fn place(self, seed: u64, first_batch: usize, order: &mut Column<u32>) -> Result<()> {
        let Spread { deal, room, rows, owners, .. } = self;
        let (full, units) = (deal.full(), deal.blocks());
        let rows = dealt(&deal, rows, room)?;
        let owners = owners.map(|owners| dealt(&deal, owners, room)).transpose()?;
        let chunks = Chunks::new(full, units.max(1));
        // A few chunks at a time: what is on file is then read in longer stretches.
        let few = (PIECE * 4 * chunks.len())
            .div_ceil((full * units).max(1))
            .min(chunks.len().div_ceil(rayon::current_num_threads() * 4))
            .max(1);
        let tasks: Vec<usize> = (0..chunks.len()).step_by(few).collect();
        order.reserve(full * units);
        let place = |chunk: &usize| -> Result<Vec<u32>> {
            let all = *chunk..(*chunk + few).min(chunks.len());
            let batches = chunks.batches(all.clone());
            let mut placed = turned(&rows, full, units, batches.clone())?;
            if let Some(owners) = &owners {
                let mut owners = turned(owners, full, units, batches.clone())?;
                for chunk in all {
                    let own = chunks.batches(chunk..chunk + 1);
                    let places = (own.start - batches.start) * units..(own.end - batches.start) * units;
                    let (rows, owners) = (&mut placed[places.clone()], &mut owners[places]);
                    Traded { rows, owners, size: 1, units }.trade(seed, first_batch + own.start);
                }
            }
            for (slots, batch) in placed.chunks_exact_mut(units.max(1)).zip(first_batch + batches.start..) {
                Rng::new(seed, "slots", batch as u64).shuffle(slots);
            }
            Ok(placed)
        };
        in_turn(&tasks, place, |rows| order.append(rows))
    }
}

/// Units by block and batch: a block gives each batch one.
fn dealt(deal: &Deal, units: Column<u32>, room: &Room) -> Result<Column<u32>> {
    let full = deal.full();
    let mut matrix = Column::new(room)?;
    matrix.reserve(deal.blocks() * full);
    let ranges = deal.ranges(units.len().div_ceil(PIECE).max(rayon::current_num_threads() * 4));
    let deal_out = |range: &std::ops::Range<usize>| {
        let units = units.read(range.start * full..range.end * full)?;
        let (mut blocks, mut dealt) = (deal.blocks_of(range.clone()), vec![0; units.len()]);
        for (units, dealt) in units.chunks_exact(full).zip(dealt.chunks_exact_mut(full)) {
            units.iter().zip(blocks.deal_next()).for_each(|(unit, batch)| dealt[*batch as usize] = *unit);
        }
        Ok(dealt)
    };
    in_turn(&ranges, deal_out, |dealt| matrix.append(dealt))?;
    Ok(matrix)
}

/// The units of some batches, batch by batch.
fn turned(matrix: &Column<u32>, full: usize, units: usize, batches: std::ops::Range<usize>) -> Result<Vec<u32>> {
    let mut turned = vec![0; batches.len() * units];
    for first in (0..units).step_by(TILE) {
        let blocks = first..(first + TILE).min(units);
        let read = |blocks: std::ops::Range<usize>| {
            matrix.read(blocks.start * full + batches.start..(blocks.end - 1) * full + batches.end)
        };
        // What lies between the columns is read with them, unless it is much.
        let each = if blocks.len() * full <= AT_ONCE { blocks.len() } else { 1 };
        let stretches = blocks.clone().step_by(each).map(|block| read(block..block + each));
        let stretches = stretches.collect::<Result<Vec<_>>>()?;
        let columns = stretches.iter().flat_map(|stretch| stretch.chunks(full)).collect::<Vec<_>>();
        for (at, batch) in turned.chunks_exact_mut(units).enumerate() {
            batch[blocks.clone()].iter_mut().zip(&columns).for_each(|(unit, column)| *unit = column[at]);
        }
    }
    Ok(turned)
}
