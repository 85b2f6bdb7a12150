//! Rows, as they are placed.

use super::REQUEST;
use crate::compose::Plan;
use crate::compose::finish::{Ending, Placed, Standing};
use crate::error::Result;
use crate::keys::FiledKeys;
use crate::pipeline::Pipeline;
use crate::run::composed::Positions;
use crate::run::memory::KeyRoom;

/// Takes the position of each row. Those of the last batch, if it is short, are held until it is settled what becomes of them.
pub struct Placing<'a> {
    keys: &'a FiledKeys,
    batch_size: usize,
    positions: Positions,
    /// Where the short batch begins, once it is known.
    start: usize,
    /// What stands there.
    tail: Vec<u32>,
}

impl<'a> Placing<'a> {
    /// For rows of these keys.
    pub fn new(keys: &'a FiledKeys, batch_size: usize, room: &KeyRoom) -> Self {
        let positions = Positions::new(keys.len(), room);
        Placing { keys, batch_size, positions, start: usize::MAX, tail: Vec::new() }
    }

    /// So many rows will be placed; those of the last batch come after this.
    pub fn expect(&mut self, rows: usize) {
        self.start = rows / self.batch_size * self.batch_size;
        self.tail = vec![0; rows - self.start];
    }

    pub fn place(&mut self, position: usize, row: u32) -> Result<()> {
        match position.checked_sub(self.start) {
            None => self.positions.push(row, position as u32),
            Some(slot) => {
                self.tail[slot] = row;
                Ok(())
            }
        }
    }

    /// All are placed.
    pub fn finish(mut self, plan: &mut Plan, rank: &[u32], p: &Pipeline) -> Result<Positions> {
        let start = self.start;
        let ending = Ending { start, rows: self.tail.clone(), placed: &self, rank };
        let tail = ending.settle(plan, p)?;
        let mut placed = tail.order.into_iter().zip(start as u32..);
        placed.try_for_each(|(row, position)| self.positions.push(row, position))?;
        self.positions.padding = tail.padding;
        Ok(self.positions)
    }
}

impl Placed for Placing<'_> {
    fn each(&self, first: usize, each: &mut dyn FnMut(&Standing<'_>)) -> Result<()> {
        let tail = self.tail.iter().zip(self.start as u32..).map(|(row, position)| [*row, position]);
        let mut tail: Vec<[u32; 2]> = tail.collect();
        tail.sort_unstable();
        let mut tail = tail.as_slice();
        let mut positions = Vec::new();
        for part in 0..self.positions.parts() {
            let rows = self.positions.rows(part);
            let own = tail.partition_point(|[row, _]| rows.contains(&(*row as usize)));
            let (own, later) = tail.split_at(own);
            tail = later;
            let mut placed: Vec<[u32; 2]> = own.to_vec();
            if first < self.start {
                placed.extend(self.positions.read(part)?.into_iter().filter(|[_, at]| *at as usize >= first));
            }
            if placed.is_empty() {
                continue;
            }
            placed.sort_unstable();
            let plane = self.keys.read(rows.clone(), &[REQUEST])?;
            for same in placed.chunk_by(|[a, _], [b, _]| a == b) {
                let row = same[0][0];
                let at = row as usize - rows.start;
                positions.clear();
                positions.extend(same.iter().map(|[_, position]| *position));
                each(&Standing {
                    row,
                    identity: plane.identity.rows[at],
                    request: plane.request.as_ref().map_or(0, |codes| codes.rows[at]),
                    positions: &positions,
                });
            }
        }
        Ok(())
    }
}
