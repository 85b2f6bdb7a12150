//! Keys in the order in which windows cut them: time, then input order.

use std::borrow::Cow;
use std::ops::Range;

use rayon::prelude::*;

use super::pools::PoolEnds;
use crate::error::Result;
use crate::keys::{Key, KeyExchange, KeyView, Keys};
use crate::pipeline::{Field, Pipeline};
use crate::spill::{Column, Room};

/// Times that one core looks at at a time.
const STRETCH: usize = 1 << 15;

/// One time in so many rows is looked at, to cut times into partitions.
const SAMPLED: usize = 256;

/// The keys that a mode decides by, in precedence, and where pools end.
pub struct Precedence<'a> {
    order: Order<'a>,
    /// What the mode decides by beside identities.
    deciding: Option<Field>,
    /// Ascending; the last is the number of rows.
    pub ends: Vec<usize>,
}

enum Order<'a> {
    /// As they are.
    Input(&'a Keys),
    Sorted(Sorted),
}

/// What was brought into precedence.
struct Sorted {
    /// The row of the keys at each place.
    rows: Column<u32>,
    identity: Column<u32>,
    deciding: Column<u32>,
}

/// Consecutive rows in precedence.
pub struct Piece<'a> {
    first: usize,
    /// Where they are not the rows of the keys themselves.
    rows: Option<Cow<'a, [u32]>>,
    pub identity: Cow<'a, [u32]>,
    /// Codes of what the mode decides by beside identities, where it does.
    pub deciding: Cow<'a, [u32]>,
}

impl Piece<'_> {
    /// The row of the keys at a place of this piece.
    pub fn row(&self, at: usize) -> u32 {
        self.rows.as_ref().map_or((self.first + at) as u32, |rows| rows[at])
    }

    pub fn len(&self) -> usize {
        self.identity.len()
    }

    pub fn is_empty(&self) -> bool {
        self.identity.is_empty()
    }
}

impl<'a> Precedence<'a> {
    /// The precedence of all keys; they are sorted if they need it.
    ///
    /// # Errors
    /// A window that does not fit the times, or a scratch file that can't be read or written.
    pub fn of(keys: &'a Keys, deciding: Option<Field>, p: &Pipeline, room: &Room) -> Result<Self> {
        let mut ends = PoolEnds::new(keys.shape(), p)?;
        let (mut last, mut is_sorted, mut sample) = (i64::MIN, true, Vec::new());
        // Without times, rows are but counted.
        let column = if keys.shape().time.is_some() { Key::Time } else { Key::InputRow };
        keys.each_piece(&[column], |first, view| {
            let Some(time) = &view.time else {
                ends.add_all((0..view.len()).map(|_| 0));
                return Ok(());
            };
            is_sorted = is_sorted && last <= time.first().copied().unwrap_or(last) && are_sorted(time);
            last = time.last().copied().unwrap_or(last);
            if is_sorted {
                ends.add_all(time.iter().copied());
            }
            sample.extend((0..time.len()).step_by(SAMPLED).map(|at| (time[at], (first + at) as u32)));
            Ok(())
        })?;
        let order = if is_sorted {
            Order::Input(keys)
        } else {
            ends = PoolEnds::new(keys.shape(), p)?;
            Order::Sorted(sorted(keys, deciding.as_ref(), sample, &mut ends, room)?)
        };
        Ok(Precedence { order, deciding, ends: ends.pools(p)? })
    }

    /// Rows of some places.
    ///
    /// # Errors
    /// A scratch file that can't be read.
    pub fn piece(&self, places: Range<usize>) -> Result<Piece<'_>> {
        let first = places.start;
        match &self.order {
            Order::Input(keys) => {
                let columns: Vec<Key> = self.deciding.iter().cloned().map(Key::Code).chain([Key::IDENTITY]).collect();
                let mut view = keys.view(places, &columns)?;
                Ok(Piece {
                    first,
                    rows: None,
                    deciding: taken(&mut view, self.deciding.as_ref()),
                    identity: view.identity.rows,
                })
            }
            Order::Sorted(sorted) => Ok(Piece {
                first,
                rows: Some(sorted.rows.read(places.clone())?),
                deciding: if self.deciding.is_some() { sorted.deciding.read(places.clone())? } else { Cow::default() },
                identity: sorted.identity.read(places)?,
            }),
        }
    }
}

/// Whether times ascend; several cores look.
fn are_sorted(times: &[i64]) -> bool {
    let ascend = |(at, some): (usize, &[i64])| {
        let next = times.get(at * STRETCH + some.len());
        some.windows(2).fold(true, |ascend, pair| ascend & (pair[0] <= pair[1]))
            && next.is_none_or(|next| some.last() <= Some(next))
    };
    times.par_chunks(STRETCH).enumerate().all(ascend)
}

/// The codes of a field, taken out of a view.
fn taken<'v>(view: &mut KeyView<'v>, field: Option<&Field>) -> Cow<'v, [u32]> {
    match field {
        Some(Field::Request) => view.request.take().map_or(Cow::default(), |codes| codes.rows),
        Some(Field::Label) => view.label.take().map_or(Cow::default(), |labels| labels.rows),
        _ => Cow::default(),
    }
}

/// Brings keys into precedence, partition by partition of times; `ends` gets the times in order.
fn sorted(
    keys: &Keys,
    deciding: Option<&Field>,
    mut sample: Vec<(i64, u32)>,
    ends: &mut PoolEnds,
    room: &Room,
) -> Result<Sorted> {
    sample.sort_unstable();
    let number = room.partitions(keys.len());
    // With rows, so that times that are all the same are parted too.
    let splitters: Vec<(i64, u32)> = (1..number).map(|k| sample[k * sample.len() / number]).collect();
    let columns: Vec<Key> = deciding.cloned().map(Key::Code).into_iter().chain([Key::IDENTITY, Key::Time]).collect();
    let mut parted: Option<KeyExchange> = None;
    if number > 1 {
        keys.each_piece(&columns, |first, view| {
            let parted = parted.get_or_insert_with(|| KeyExchange::new(view, number, 1, room));
            let rows = view.time.iter().flat_map(|time| time.iter()).zip(0u32..).map(|(time, at)| {
                let row = first as u32 + at;
                (splitters.partition_point(|s| *s <= (*time, row)) as u32, row, at)
            });
            parted.extend(&rows.collect::<Vec<_>>(), view)
        })?;
    }
    let mut sorted = Sorted { rows: Column::new(room)?, identity: Column::new(room)?, deciding: Column::new(room)? };
    for part in 0..number {
        let (rows, mut view) = match &parted {
            Some(parted) => parted.read(part)?,
            None => (Vec::new(), keys.view(0..keys.len(), &columns)?),
        };
        let time = view.time.take().unwrap_or_default();
        let mut order: Vec<u32> = (0..view.len() as u32).collect();
        // Stable, so input order decides between equal times; and quick where logs come nearly in order.
        order.par_sort_by_key(|at| time[*at as usize]);
        ends.add_all(order.iter().map(|at| time[*at as usize]));
        let pick = |codes: &[u32]| order.par_iter().map(|at| codes[*at as usize]).collect::<Vec<u32>>();
        sorted.identity.append(pick(&view.identity.rows))?;
        if deciding.is_some() {
            let codes = taken(&mut view, deciding);
            sorted.deciding.append(pick(&codes))?;
        }
        sorted.rows.append(if rows.is_empty() { order } else { pick(&rows) })?;
    }
    Ok(sorted)
}
