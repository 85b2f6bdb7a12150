//! All keys, a column each.

use std::borrow::Cow;
use std::ops::Range;

use rayon::prelude::*;

use super::key::Key;
use super::view::KeyView;
use crate::error::Result;
use crate::parallel::in_turn;
use crate::pipeline::Field;
use crate::spill::{Column, Room};

/// Rows that are read at a time.
const PIECE: usize = 1 << 17;

/// All keys, in input order.
pub struct Keys {
    shape: KeyView<'static>,
    input_row: Column<u32>,
    /// Identities first.
    codes: Vec<(Field, Column<u32>)>,
    time: Option<Column<i64>>,
    positive: Option<Column<bool>>,
}

impl Keys {
    /// `shape` has no rows; `codes` are of its columns, identities first.
    pub fn new(
        shape: KeyView<'static>,
        input_row: Column<u32>,
        codes: Vec<(Field, Column<u32>)>,
        time: Option<Column<i64>>,
        positive: Option<Column<bool>>,
    ) -> Self {
        Keys { shape, input_row, codes, time, positive }
    }

    /// The rows of a view.
    ///
    /// # Errors
    /// A scratch file that can't be written.
    pub fn of(view: &KeyView<'_>, room: &Room) -> Result<Self> {
        fn column<T: crate::spill::Number>(rows: &[T], room: &Room) -> Result<Column<T>> {
            let mut column = Column::new(room)?;
            column.append(rows.to_vec())?;
            Ok(column)
        }
        let mut shape = view.without_rows();
        let fields: Vec<Field> = shape.codes_mut().into_iter().map(|(field, _)| field).collect();
        let codes = fields.into_iter().map(|field| {
            let rows = column(view.codes(&field).unwrap_or_default(), room)?;
            Ok((field, rows))
        });
        Ok(Keys {
            codes: codes.collect::<Result<_>>()?,
            input_row: column(&view.input_row, room)?,
            time: view.time.as_ref().map(|time| column(time, room)).transpose()?,
            positive: view.positive.as_ref().map(|positive| column(positive, room)).transpose()?,
            shape,
        })
    }

    pub fn len(&self) -> usize {
        self.input_row.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is not by row: tokens, the text of labels, which columns there are. It has no rows.
    pub fn shape(&self) -> &KeyView<'static> {
        &self.shape
    }

    pub fn shape_mut(&mut self) -> &mut KeyView<'static> {
        &mut self.shape
    }

    /// These columns of some rows, as far as they are there; the view lacks all others.
    ///
    /// # Errors
    /// A scratch file that can't be read.
    pub fn view<'a>(&'a self, rows: Range<usize>, columns: &[Key]) -> Result<KeyView<'a>> {
        let wanted = |key: &Key| columns.contains(key);
        let mut view: KeyView<'a> = self.shape.only(columns);
        // Columns on file are read side by side.
        let read = |(field, codes): (Field, &mut Cow<'a, [u32]>)| -> Result<()> {
            let column = self.codes.iter().find(|(name, _)| *name == field);
            if let Some((_, column)) = column.filter(|_| field != Field::Identity || wanted(&Key::IDENTITY)) {
                *codes = column.read(rows.clone())?;
            }
            Ok(())
        };
        let others = || -> Result<_> {
            let input_row = wanted(&Key::InputRow).then(|| self.input_row.read(rows.clone())).transpose()?;
            let time = self.time.as_ref().filter(|_| wanted(&Key::Time));
            let positive = self.positive.as_ref().filter(|_| wanted(&Key::Positive));
            let time = time.map(|time| time.read(rows.clone())).transpose()?;
            Ok((input_row, time, positive.map(|positive| positive.read(rows.clone())).transpose()?))
        };
        let (codes, others) = rayon::join(|| view.codes_mut().into_par_iter().try_for_each(read), others);
        codes?;
        let (input_row, time, positive) = others?;
        view.input_row = input_row.unwrap_or_default();
        (view.time, view.positive) = (time.or(view.time), positive.or(view.positive));
        Ok(view)
    }

    /// Every column of some rows.
    ///
    /// # Errors
    /// A scratch file that can't be read.
    pub fn view_all(&self, rows: Range<usize>) -> Result<KeyView<'_>> {
        let codes = self.codes.iter().map(|(field, _)| Key::Code(field.clone()));
        let columns: Vec<Key> = [Key::InputRow, Key::Time, Key::Positive].into_iter().chain(codes).collect();
        self.view(rows, &columns)
    }

    /// Calls `each` with these columns of all rows in pieces, each with its first row; the next ones are read meanwhile.
    ///
    /// # Errors
    /// A scratch file that can't be read, or what `each` says.
    pub fn each_piece(
        &self,
        columns: &[Key],
        mut each: impl FnMut(usize, &KeyView<'_>) -> Result<()> + Send,
    ) -> Result<()> {
        let starts: Vec<usize> = (0..self.len()).step_by(PIECE).collect();
        let read = |start: &usize| Ok((*start, self.view(*start..self.len().min(start + PIECE), columns)?));
        in_turn(&starts, read, |(start, view)| each(start, &view))
    }

    /// Identities of these rows.
    ///
    /// # Errors
    /// A scratch file that can't be read.
    pub fn identities(&self, rows: Range<usize>) -> Result<Cow<'_, [u32]>> {
        self.codes.first().map_or(Ok(Cow::Owned(Vec::new())), |(_, identity)| identity.read(rows))
    }

    /// How many rows come before an input row.
    ///
    /// # Errors
    /// A scratch file that can't be read.
    pub fn place_of(&self, input_row: u64) -> Result<usize> {
        let mut places = 0..self.len();
        while !places.is_empty() {
            let middle = places.start + places.len() / 2;
            match self.input_row.read(middle..middle + 1)?.first() {
                Some(row) if u64::from(*row) < input_row => places.start = middle + 1,
                _ => places.end = middle,
            }
        }
        Ok(places.start)
    }

    /// Keeps only the rows that `keep` tells to. Codes stay as they are.
    ///
    /// # Errors
    /// A scratch file that can't be read or written.
    pub fn select(&mut self, keep: &[bool], room: &Room) -> Result<()> {
        if keep.iter().all(|keep| *keep) {
            return Ok(());
        }
        // Column by column, so that no more than one is there twice.
        fn select<T: crate::spill::Number>(column: &mut Column<T>, keep: &[bool], room: &Room) -> Result<()> {
            *column = std::mem::replace(column, Vec::new().into()).select(keep, room)?;
            Ok(())
        }
        let (mut first, mut others, mut last) = (Ok(()), Ok(()), Ok(()));
        rayon::scope(|scope| {
            scope.spawn(|_| first = select(&mut self.input_row, keep, room));
            scope.spawn(|_| others = self.codes.iter_mut().try_for_each(|(_, codes)| select(codes, keep, room)));
            scope.spawn(|_| {
                last = self.time.iter_mut().try_for_each(|time| select(time, keep, room));
                if last.is_ok() {
                    last = self.positive.iter_mut().try_for_each(|positive| select(positive, keep, room));
                }
            });
        });
        first.and(others).and(last)
    }

    /// Bytes in files.
    pub fn filed_bytes(&self) -> u64 {
        let codes = self.codes.iter().map(|(_, codes)| codes.filed_bytes()).sum::<u64>();
        let time = self.time.as_ref().map_or(0, Column::filed_bytes);
        self.input_row.filed_bytes() + codes + time + self.positive.as_ref().map_or(0, Column::filed_bytes)
    }
}
