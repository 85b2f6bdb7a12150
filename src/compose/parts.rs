//! The composed examples, in parts that are small datasets of their own.

use std::borrow::Cow;
use std::ops::Range;

use rayon::prelude::*;

use super::by_code::by_code;
use super::composer::Composer;
use super::plan::{Head, Plan};
use crate::error::Result;
use crate::keys::{KeyExchange, KeyView, Keys, SortedKeys};
use crate::parallel::in_turn;
use crate::spill::{Column, Exchange, Room};

/// What is decided of all batches, and their examples in parts.
pub struct Composed {
    head: Head,
    /// Examples that do not occur, with their pool: (pool, row of the keys).
    dropped: Column<[u32; 2]>,
    rows: Rows,
}

/// What stands where.
enum Rows {
    /// The keys' rows and copy ordinals by position, where all keys are one part.
    Whole {
        order: Vec<u32>,
        copy: Vec<u32>,
    },
    Parted(Box<Parted>),
}

/// Keys in parts of whole row groups.
struct Parted {
    /// Rows are numbered by position.
    keys: KeyExchange,
    /// Positions of copies with their ordinals.
    copies: Exchange<[u32; 2]>,
    /// The batches of each part.
    batches: Vec<Range<usize>>,
}

/// Consecutive batches.
pub struct Part<'a> {
    /// Their examples, by input row.
    pub view: KeyView<'a>,
    pub plan: Plan<'a>,
}

impl Composed {
    /// Cuts a finished plan into parts; `cut` gives the ranges of batches that a part may not be smaller than.
    pub(super) fn new(composer: Composer<'_>, cut: impl Fn(&Head) -> Vec<Range<usize>>) -> Result<Self> {
        let Composer { keys, precedence, room, mut head, order, mut padded, dropped, .. } = composer;
        drop(precedence);
        head.dropped = dropped.len() as u64;
        // All others are examples, each once.
        head.copies = order.len() + dropped.len() - keys.len();
        padded.sort_unstable();
        let rows = if room.partitions(keys.len()) == 1 {
            let order = order.into_held()?;
            let (copies, padding) = copies_of(&order, 0..keys.len(), &padded, head.copies);
            let mut copy = vec![0; if copies.is_empty() { 0 } else { order.len() }];
            copies.into_iter().for_each(|[at, ordinal]| copy[at as usize] = ordinal);
            head.padding = padding;
            Rows::Whole { order, copy }
        } else {
            let ranges = cut(&head);
            let (parted, padding) = Parted::new(keys, order, &padded, &head, ranges, room)?;
            head.padding = padding;
            Rows::Parted(Box::new(parted))
        };
        head.padding.sort_unstable();
        Ok(Composed { head, dropped, rows })
    }

    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Examples that do not occur, with their pool: (pool, row of the keys).
    pub fn dropped(&self) -> &Column<[u32; 2]> {
        &self.dropped
    }

    /// The batches of each part of keys; one part, if all are one.
    pub fn parts(&self) -> Vec<Range<usize>> {
        match &self.rows {
            Rows::Whole { .. } => std::iter::once(0..self.head.batches()).collect(),
            Rows::Parted(parted) => parted.batches.clone(),
        }
    }

    /// Cuts the batches into about `number` ranges, each of whole ranges of `finest` and of whole parts.
    pub fn cut(&self, finest: Vec<Range<usize>>, number: usize) -> Vec<Range<usize>> {
        let parts = match &self.rows {
            Rows::Whole { .. } => &finest,
            Rows::Parted(parted) => &parted.batches,
        };
        let size = parts.len().div_ceil(number.max(1)).max(1);
        parts.chunks(size).map(|some| some[0].start..some[some.len() - 1].end).collect()
    }

    /// Calls `each` with all batches, part by part.
    ///
    /// # Errors
    /// A scratch file that can't be read, or what `each` says.
    pub fn each_part(&self, keys: &Keys, mut each: impl FnMut(&Part<'_>) -> Result<()>) -> Result<()> {
        self.parts().into_iter().try_for_each(|batches| each(&self.part(keys, batches)?))
    }

    /// These batches, of the same keys: of whole parts, where there are several.
    ///
    /// # Errors
    /// A scratch file that can't be read.
    pub fn part<'a>(&'a self, keys: &'a Keys, batches: Range<usize>) -> Result<Part<'a>> {
        let head = &self.head;
        let positions = head.positions(&batches);
        let (view, order, copy) = match &self.rows {
            Rows::Whole { order, copy } if positions.len() == order.len() => {
                (keys.view_all(0..keys.len())?, Cow::Borrowed(order.as_slice()), Cow::Borrowed(copy.as_slice()))
            }
            Rows::Whole { order, copy } => {
                let rows = &order[positions.clone()];
                let (firsts, of_row) = distinct(rows);
                let examples: Vec<u32> = firsts.into_iter().map(|at| rows[at as usize]).collect();
                let copy = copy.get(positions).map_or(Cow::default(), Cow::Borrowed);
                (keys.view_all(0..keys.len())?.gather(&examples), Cow::Owned(of_row), copy)
            }
            Rows::Parted(parted) => {
                let copy = if head.copies > 0 { parted.copies(&batches, &positions)? } else { Vec::new() };
                let (view, order) = parted.read(&batches, &positions)?;
                (view, Cow::Owned(order), Cow::Owned(copy))
            }
        };
        Ok(Part { view, plan: Plan { head, batches, order, copy } })
    }

    /// Bytes in files.
    pub fn filed_bytes(&self) -> u64 {
        match &self.rows {
            Rows::Whole { .. } => 0,
            Rows::Parted(parted) => parted.keys.filed_bytes(),
        }
    }
}

/// The positions of copies with their ordinals, and those of padding, among rows within `range` that stand at consecutive positions:
/// of a row that `padded` names n times, the last n.
fn copies_of(rows: &[u32], range: Range<usize>, padded: &[u32], copies: usize) -> (Vec<[u32; 2]>, Vec<u32>) {
    let (mut ordinals, mut padding) = (Vec::new(), Vec::new());
    if copies > 0 {
        let sorted = by_code(rows, range.start as u32..range.end as u32);
        let mut rest = sorted.places.as_slice();
        for (row, number) in sorted.runs {
            let own = rest.split_off(..number as usize).unwrap_or_default();
            ordinals.extend(own.iter().zip(0u32..).skip(1).map(|(at, ordinal)| [*at, ordinal]));
            let first = padded.partition_point(|padded| *padded < row);
            let times = padded[first..].iter().take_while(|padded| **padded == row).count();
            padding.extend(&own[own.len() - times..]);
        }
    }
    (ordinals, padding)
}

impl Parted {
    /// Brings keys into the parts that hold their positions. Gives the positions of padding too.
    fn new(
        keys: &Keys,
        order: Column<u32>,
        padded: &[u32],
        head: &Head,
        batches: Vec<Range<usize>>,
        room: &Room,
    ) -> Result<(Self, Vec<u32>)> {
        // What stands where, by row: keys are then read once, in input order.
        let number = room.partitions(keys.len());
        let size = keys.len().div_ceil(number).max(1);
        let mut by_row: Exchange<[u32; 2]> = Exchange::new(number, 2, room);
        by_row.scatter_pieces(0..order.len(), |places| {
            let rows = order.read(places.clone())?;
            let record = |(row, at): (&u32, usize)| (*row as usize / size, [*row, at as u32]);
            Ok(rows.iter().zip(places).map(record).collect())
        })?;
        drop(order);
        by_row.file_rest()?;
        let ends: Vec<usize> = batches.iter().map(|part| head.positions(part).end).collect();
        let part_of = |position: u32| ends.partition_point(|end| *end <= position as usize);
        let mut parted = KeyExchange::with_input_rows(keys.shape(), batches.len(), 1, room);
        let mut ordinals = Exchange::new(batches.len(), 4, room);
        let mut padding = Vec::new();
        let bring = |part: &usize| {
            let rows = part * size..keys.len().min((part + 1) * size);
            if rows.is_empty() {
                return Ok(None);
            }
            let records = by_row.take(*part)?;
            let mut copied = (Vec::new(), Vec::new());
            if head.copies > 0 {
                let own: Vec<u32> = records.iter().map(|[row, _]| *row).collect();
                copied = copies_of(&own, rows.clone(), padded, head.copies);
                copied.0.iter_mut().for_each(|[at, _]| *at = records[*at as usize][1]);
                copied.1.iter_mut().for_each(|at| *at = records[*at as usize][1]);
            }
            let placed = records
                .par_iter()
                .map(|[row, position]| (part_of(*position) as u32, *position, *row - rows.start as u32));
            let placed: Vec<(u32, u32, u32)> = placed.collect();
            let view = keys.view_all(rows)?;
            Ok(Some((SortedKeys::new(&placed, &view, batches.len()), copied)))
        };
        in_turn(&(0..number).collect::<Vec<_>>(), bring, |brought| {
            let Some((rows, (copies, padded))) = brought else { return Ok(()) };
            copies.into_iter().try_for_each(|copy| ordinals.push(part_of(copy[0]), copy))?;
            padding.extend(padded);
            parted.append(&rows)
        })?;
        parted.file_rest()?;
        ordinals.file_rest()?;
        Ok((Parted { keys: parted, copies: ordinals, batches }, padding))
    }

    /// The parts that hold some batches.
    fn of(&self, batches: &Range<usize>) -> impl Iterator<Item = usize> {
        let (start, end) = (batches.start, batches.end);
        let parts = self.batches.iter().enumerate();
        parts.filter(move |(_, part)| part.start < end && part.end > start).map(|(part, _)| part)
    }

    /// The examples of some parts by input row, and the example at each position.
    fn read(&self, batches: &Range<usize>, positions: &Range<usize>) -> Result<(KeyView<'static>, Vec<u32>)> {
        let read: Vec<(Vec<u32>, KeyView<'static>)> =
            self.of(batches).map(|part| self.keys.read(part)).collect::<Result<_>>()?;
        let (places, view) = KeyView::joined(read);
        let (firsts, of_row) = distinct(&view.input_row);
        let mut order = vec![0; positions.len()];
        places.iter().zip(of_row).for_each(|(place, example)| order[*place as usize - positions.start] = example);
        Ok((view.gather(&firsts), order))
    }

    /// The copy ordinal of each position.
    fn copies(&self, batches: &Range<usize>, positions: &Range<usize>) -> Result<Vec<u32>> {
        let mut copies = vec![0; positions.len()];
        for part in self.of(batches) {
            let read = self.copies.read(part)?;
            read.into_iter().for_each(|[at, ordinal]| copies[at as usize - positions.start] = ordinal);
        }
        Ok(copies)
    }
}

/// The distinct of some numbers, ascending by value: a place of each, and which of them each number is.
pub fn distinct(numbers: &[u32]) -> (Vec<u32>, Vec<u32>) {
    let mut keyed: Vec<u64> = numbers.iter().zip(0u64..).map(|(number, at)| u64::from(*number) << 32 | at).collect();
    keyed.sort_unstable();
    let (mut firsts, mut which) = (Vec::with_capacity(numbers.len()), vec![0; numbers.len()]);
    for run in keyed.chunk_by(|a, b| a >> 32 == b >> 32) {
        run.iter().for_each(|keyed| which[*keyed as u32 as usize] = firsts.len() as u32);
        firsts.push(run[0] as u32);
    }
    (firsts, which)
}
