//! Rows of keys, handed out to partitions.

use std::borrow::Cow;

use rayon::prelude::*;

use super::view::KeyView;
use crate::error::Result;
use crate::spill::{Exchange, Room, by_partition};

/// Keys by partition: rows come in any order, each with a number of its own.
pub struct KeyExchange {
    shape: KeyView<'static>,
    number: Exchange<u32>,
    input_row: Option<Exchange<u32>>,
    /// In the order of the shape's columns.
    codes: Vec<Exchange<u32>>,
    time: Option<Exchange<i64>>,
    positive: Option<Exchange<bool>>,
}

/// Rows of keys, partition by partition, ready to be appended.
pub struct SortedKeys {
    /// Where each partition's rows end.
    ends: Vec<usize>,
    numbers: Vec<u32>,
    view: KeyView<'static>,
}

impl SortedKeys {
    /// Rows of a view for some of `partitions`: (partition, number, row).
    pub fn new(rows: &[(u32, u32, u32)], view: &KeyView<'_>, partitions: usize) -> Self {
        let (places, ends) = by_partition(rows.iter().map(|(partition, ..)| *partition as usize), partitions);
        let of = |at: &u32| rows[*at as usize];
        let picked: Vec<u32> = places.iter().map(|at| of(at).2).collect();
        SortedKeys { ends, numbers: places.iter().map(|at| of(at).1).collect(), view: view.gather(&picked) }
    }
}

impl KeyExchange {
    /// `number` partitions of rows with the columns of `like` and their rows in the input, of which up to a `share`-th of the room is
    /// held.
    pub fn with_input_rows(like: &KeyView<'_>, number: usize, share: u64, room: &Room) -> Self {
        let mut exchange = KeyExchange::new(like, number, share, room);
        let columns = exchange.codes.len() as u64 + 4;
        exchange.input_row = Some(Exchange::new(number, share * columns, room));
        exchange
    }

    /// `number` partitions of rows with the columns of `like`, of which up to a `share`-th of the room is held.
    pub fn new(like: &KeyView<'_>, number: usize, share: u64, room: &Room) -> Self {
        let mut shape = like.without_rows();
        let columns = shape.codes_mut().len();
        // Each column has its part of the room.
        let share = share * (columns as u64 + 4);
        KeyExchange {
            number: Exchange::new(number, share, room),
            input_row: None,
            codes: (0..columns).map(|_| Exchange::new(number, share, room)).collect(),
            time: shape.time.as_ref().map(|_| Exchange::new(number, share / 2, room)),
            positive: shape.positive.as_ref().map(|_| Exchange::new(number, share, room)),
            shape,
        }
    }

    /// Appends rows of a view with the same columns, each to its partition: (partition, number, row).
    ///
    /// # Errors
    /// A scratch file that can't be written.
    pub fn extend(&mut self, rows: &[(u32, u32, u32)], view: &KeyView<'_>) -> Result<()> {
        self.append(&SortedKeys::new(rows, view, self.len()))
    }

    /// Appends rows that come partition by partition. Columns go side by side.
    ///
    /// # Errors
    /// A scratch file that can't be written.
    pub fn append(&mut self, rows: &SortedKeys) -> Result<()> {
        let SortedKeys { ends, numbers, view } = rows;
        let mut columns: Vec<Box<dyn FnOnce() -> Result<()> + Send + '_>> = Vec::new();
        let number = &mut self.number;
        columns.push(Box::new(|| number.append_sorted(numbers, ends)));
        if let Some(to) = &mut self.input_row {
            columns.push(Box::new(|| to.append_sorted(&view.input_row, ends)));
        }
        let mut shape = self.shape.without_rows();
        for ((field, _), to) in shape.codes_mut().into_iter().zip(&mut self.codes) {
            if let Some(codes) = view.codes(&field).filter(|codes| !codes.is_empty()) {
                columns.push(Box::new(move || to.append_sorted(codes, ends)));
            }
        }
        if let (Some(to), Some(time)) = (&mut self.time, &view.time) {
            columns.push(Box::new(move || to.append_sorted(time, ends)));
        }
        if let (Some(to), Some(positive)) = (&mut self.positive, &view.positive) {
            columns.push(Box::new(move || to.append_sorted(positive, ends)));
        }
        columns.into_par_iter().try_for_each(|column| column())
    }

    /// A partition's rows in the order in which they came, with their numbers.
    ///
    /// # Errors
    /// A scratch file that can't be read.
    pub fn read(&self, partition: usize) -> Result<(Vec<u32>, KeyView<'static>)> {
        let mut view = self.shape.without_rows();
        for ((_, codes), from) in view.codes_mut().into_iter().zip(&self.codes) {
            *codes = Cow::Owned(from.read(partition)?);
        }
        if let Some(from) = &self.input_row {
            view.input_row = Cow::Owned(from.read(partition)?);
        }
        if let Some(from) = &self.time {
            view.time = Some(Cow::Owned(from.read(partition)?));
        }
        if let Some(from) = &self.positive {
            view.positive = Some(Cow::Owned(from.read(partition)?));
        }
        Ok((self.number.read(partition)?, view))
    }

    /// What comes next takes memory of its own.
    ///
    /// # Errors
    /// A scratch file that can't be written.
    pub fn file_rest(&mut self) -> Result<()> {
        self.number.file_rest()?;
        self.input_row.iter_mut().try_for_each(Exchange::file_rest)?;
        self.codes.iter_mut().try_for_each(Exchange::file_rest)?;
        self.time.iter_mut().try_for_each(Exchange::file_rest)?;
        self.positive.iter_mut().try_for_each(Exchange::file_rest)
    }

    /// Number of partitions.
    pub fn len(&self) -> usize {
        self.number.len()
    }

    pub fn is_empty(&self) -> bool {
        self.number.is_empty()
    }

    /// Bytes in files.
    pub fn filed_bytes(&self) -> u64 {
        let codes: u64 = self.codes.iter().map(Exchange::filed_bytes).sum();
        let others = [&self.input_row].into_iter().flatten().map(Exchange::filed_bytes).sum::<u64>();
        let wide = self.time.as_ref().map_or(0, Exchange::filed_bytes);
        self.number.filed_bytes() + codes + others + wide + self.positive.as_ref().map_or(0, Exchange::filed_bytes)
    }
}
