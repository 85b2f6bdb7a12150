//! Keys in the order in which windows cut them, and a pool's rows by identity.

use std::ops::Range;

use super::number_of_parts;
use crate::compose::WindowEnds;
use crate::error::Result;
use crate::keys::{FiledKeys, Key, KeyPlane, PartedKeys};
use crate::pipeline::Pipeline;
use crate::run::memory::KeyRoom;

/// Of how many rows one time is looked at, to cut times into parts.
const SAMPLED: usize = 256;

/// Keys in precedence.
pub enum Precedence<'a> {
    /// As they are.
    Input(&'a FiledKeys),
    /// Sorted: what are the rows in the input elsewhere are the rows of the examples here.
    Sorted(Box<FiledKeys>),
}

impl<'a> Precedence<'a> {
    /// Identities, times and these columns, sorted if they need it.
    pub fn of(keys: &'a FiledKeys, columns: &[Key], room: &KeyRoom) -> Result<Self> {
        Ok(sorted(keys, columns, room)?.map_or(Precedence::Input(keys), |sorted| Precedence::Sorted(Box::new(sorted))))
    }

    fn keys(&self) -> &FiledKeys {
        match self {
            Precedence::Input(keys) => keys,
            Precedence::Sorted(keys) => keys,
        }
    }

    pub fn shape(&self) -> &KeyPlane {
        self.keys().shape()
    }

    /// All rows in pieces, as [`FiledKeys::each_piece`] gives them.
    pub fn each_piece(&self, columns: &[Key], each: impl FnMut(usize, &KeyPlane) -> Result<()>) -> Result<()> {
        self.keys().each_piece(0..self.keys().len(), columns, each)
    }

    /// The row of the examples at a place of a piece, which begins at `first`.
    pub fn row(&self, first: usize, plane: &KeyPlane, at: usize) -> u32 {
        match self {
            Precedence::Input(_) => (first + at) as u32,
            Precedence::Sorted(_) => plane.input_row[at],
        }
    }

    /// Where pools end.
    pub fn pools(&self, p: &Pipeline) -> Result<Vec<usize>> {
        let mut ends = WindowEnds::new(self.shape(), p)?;
        self.each_piece(&[Key::Time], |_, plane| {
            match &plane.time {
                Some(time) => time.iter().for_each(|time| ends.add(*time)),
                None => (0..plane.len()).for_each(|_| ends.add(0)),
            }
            Ok(())
        })?;
        Ok(ends.pools(p.batch_size))
    }

    /// The identities of a pool's rows, and these columns, in parts by rank, with the rows.
    pub fn by_rank(&self, pool: Range<usize>, columns: &[Key], rank: &[u32], room: &KeyRoom) -> Result<PartedKeys> {
        let mut shape = self.shape().only(columns);
        shape.time = None;
        let number = number_of_parts(pool.len(), room);
        let mut parted = PartedKeys::new(&shape, number, room.bytes / 4, &room.folder);
        let columns = [columns, &[Key::InputRow]].concat();
        self.keys().each_piece(pool, &columns, |first, plane| {
            for (at, identity) in plane.identity.rows.iter().enumerate() {
                let part = part_of(rank[*identity as usize], rank.len(), number);
                parted.push(part, self.row(first, plane, at), plane, at)?;
            }
            Ok(())
        })?;
        Ok(parted)
    }
}

/// The part of a rank, where `ranks` are in `number` parts.
pub fn part_of(rank: u32, ranks: usize, number: usize) -> usize {
    rank as usize * number / ranks
}

/// Identities, times and these columns in precedence, if they are not already: by time, then by row, which stands for the row in
/// the input.
fn sorted(filed: &FiledKeys, columns: &[Key], room: &KeyRoom) -> Result<Option<FiledKeys>> {
    let (mut last, mut is_sorted, mut sample) = (i64::MIN, true, Vec::new());
    filed.each_piece(0..filed.len(), &[Key::Time], |first, plane| {
        for (time, row) in plane.time.iter().flatten().zip(first..) {
            is_sorted &= last <= *time;
            last = *time;
            if row % SAMPLED == 0 {
                sample.push((*time, row as u32));
            }
        }
        Ok(())
    })?;
    if is_sorted {
        return Ok(None);
    }
    sample.sort_unstable();
    let number = number_of_parts(filed.len(), room);
    // With rows, so that times that are all the same are parted too.
    let splitters: Vec<(i64, u32)> = (1..number).map(|k| sample[k * sample.len() / number]).collect();
    let mut parted: Option<PartedKeys> = None;
    filed.each_piece(0..filed.len(), &[columns, &[Key::Time]].concat(), |first, plane| {
        let parted = parted.get_or_insert_with(|| PartedKeys::new(plane, number, room.bytes, &room.folder));
        plane.time.iter().flatten().enumerate().try_for_each(|(at, time)| {
            let row = (first + at) as u32;
            parted.push(splitters.partition_point(|s| *s <= (*time, row)), row, plane, at)
        })
    })?;
    let mut sorted = FiledKeys::empty(filed.shape().only(columns), &room.folder)?;
    for part in 0..number {
        let Some((rows, plane)) = parted.as_ref().map(|parted| parted.take(part)).transpose()? else { continue };
        let time = plane.time.as_deref().unwrap_or(&[]);
        let mut order: Vec<u32> = (0..plane.len() as u32).collect();
        // Stable: rows came in input order.
        order.sort_by_key(|at| time[*at as usize]);
        sorted.extend(&mut KeyPlane { input_row: rows, ..plane }.gather(&order))?;
    }
    Ok(Some(sorted))
}
