//! Keys in scratch files, a column each.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use super::plane::KeyPlane;
use crate::error::Result;
use crate::pipeline::Field;
use crate::store::Column;

/// All keys, in input order.
pub enum Keys {
    Held(KeyPlane),
    Filed(FiledKeys),
}

/// A column of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    InputRow,
    Time,
    Positive,
    Code(Field),
}

/// Rows that are read at a time.
const PIECE: usize = 1 << 18;

impl Keys {
    pub fn len(&self) -> usize {
        match self {
            Keys::Held(plane) => plane.len(),
            Keys::Filed(filed) => filed.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether an input row is an example.
    ///
    /// # Errors
    /// A scratch file that can't be read.
    pub fn has_row(&self, input_row: u32) -> Result<bool> {
        Ok(match self {
            Keys::Held(plane) => plane.input_row.binary_search(&input_row).is_ok(),
            Keys::Filed(filed) => filed.place_of(u64::from(input_row))? < filed.place_of(u64::from(input_row) + 1)?,
        })
    }

    /// What is not by row: tokens, the text of labels, which columns there are. It may have rows too.
    pub fn shape(&self) -> &KeyPlane {
        match self {
            Keys::Held(plane) => plane,
            Keys::Filed(filed) => &filed.shape,
        }
    }

    pub fn shape_mut(&mut self) -> &mut KeyPlane {
        match self {
            Keys::Held(plane) => plane,
            Keys::Filed(filed) => &mut filed.shape,
        }
    }

    /// Calls `each` with all rows, in pieces: the first row, and at least the columns that are asked for.
    pub fn each_piece(&self, columns: &[Key], mut each: impl FnMut(usize, &KeyPlane) -> Result<()>) -> Result<()> {
        match self {
            Keys::Held(plane) => each(0, plane),
            Keys::Filed(filed) => (0..filed.len())
                .step_by(PIECE)
                .try_for_each(|start| each(start, &filed.read(start..filed.len().min(start + PIECE), columns)?)),
        }
    }

    /// Identities of these rows.
    pub fn identities(&self, rows: Range<usize>) -> Result<Cow<'_, [u32]>> {
        match self {
            Keys::Held(plane) => Ok(Cow::Borrowed(&plane.identity.rows[rows])),
            Keys::Filed(filed) => Ok(Cow::Owned(filed.read(rows, &[])?.identity.rows)),
        }
    }

    /// Keeps only the rows that `keep` tells to. Codes stay as they are.
    pub fn select(&mut self, keep: &[bool], folder: &Path) -> Result<()> {
        match self {
            Keys::Held(plane) => plane.select(keep),
            Keys::Filed(filed) => filed.select(keep, folder)?,
        }
        Ok(())
    }

    /// Bytes in files.
    pub fn filed_bytes(&self) -> u64 {
        if let Keys::Filed(filed) = self { filed.bytes() } else { 0 }
    }
}

/// Keys in files. Identities and input rows are always there.
pub struct FiledKeys {
    shape: KeyPlane,
    input_row: Column<u32>,
    codes: Vec<(Field, Column<u32>)>,
    time: Option<Column<i64>>,
    positive: Option<Column<bool>>,
}

impl FiledKeys {
    /// `shape` has no rows; `codes` are of its columns, identities first.
    pub fn new(
        shape: KeyPlane,
        input_row: Column<u32>,
        codes: Vec<(Field, Column<u32>)>,
        time: Option<Column<i64>>,
        positive: Option<Column<bool>>,
    ) -> Self {
        FiledKeys { shape, input_row, codes, time, positive }
    }

    /// No rows, with the columns of `shape`, in files in `folder`.
    pub fn empty(mut shape: KeyPlane, folder: &Path) -> Result<Self> {
        let codes = shape.codes_mut().into_iter().map(|(field, _)| Ok((field, Column::new(Some(folder))?)));
        Ok(FiledKeys {
            codes: codes.collect::<Result<_>>()?,
            input_row: Column::new(Some(folder))?,
            time: shape.time.as_ref().map(|_| Column::new(Some(folder))).transpose()?,
            positive: shape.positive.as_ref().map(|_| Column::new(Some(folder))).transpose()?,
            shape,
        })
    }

    /// Appends the rows of a plane with the same columns.
    pub fn extend(&mut self, plane: &mut KeyPlane) -> Result<()> {
        self.input_row.extend(&plane.input_row)?;
        for ((_, column), (_, codes)) in self.codes.iter_mut().zip(plane.codes_mut()) {
            column.extend(codes)?;
        }
        if let (Some(column), Some(time)) = (&mut self.time, &plane.time) {
            column.extend(time)?;
        }
        if let (Some(column), Some(positive)) = (&mut self.positive, &plane.positive) {
            column.extend(positive)?;
        }
        Ok(())
    }

    pub fn len(&self) -> usize {
        self.input_row.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Identities, and these columns as far as they are there; the plane lacks all others.
    pub fn read(&self, rows: Range<usize>, columns: &[Key]) -> Result<KeyPlane> {
        let wanted = |key: &Key| columns.contains(key);
        let mut plane = self.shape.only(columns);
        for (field, codes) in plane.codes_mut() {
            if let Some((_, column)) = self.codes.iter().find(|(name, _)| *name == field) {
                *codes = column.read(rows.clone())?.into_owned();
            }
        }
        if wanted(&Key::InputRow) {
            plane.input_row = self.input_row.read(rows.clone())?.into_owned();
        }
        let time = self.time.as_ref().filter(|_| wanted(&Key::Time));
        plane.time = time.map(|time| time.read(rows.clone()).map(Cow::into_owned)).transpose()?;
        let positive = self.positive.as_ref().filter(|_| wanted(&Key::Positive));
        plane.positive = positive.map(|positive| positive.read(rows).map(Cow::into_owned)).transpose()?;
        Ok(plane)
    }

    /// Calls `each` with identities and these columns of the rows in pieces, each with its first row.
    pub fn each_piece(
        &self,
        rows: Range<usize>,
        columns: &[Key],
        mut each: impl FnMut(usize, &KeyPlane) -> Result<()>,
    ) -> Result<()> {
        let mut starts = rows.clone().step_by(PIECE);
        starts.try_for_each(|start| each(start, &self.read(start..rows.end.min(start + PIECE), columns)?))
    }

    /// What is not by row, and no rows.
    pub fn shape(&self) -> &KeyPlane {
        &self.shape
    }

    /// Every column.
    pub fn read_all(&self, rows: Range<usize>) -> Result<KeyPlane> {
        let codes = self.codes.iter().map(|(field, _)| Key::Code(field.clone()));
        let columns: Vec<Key> = [Key::InputRow, Key::Time, Key::Positive].into_iter().chain(codes).collect();
        self.read(rows, &columns)
    }

    /// How many rows come before an input row.
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

    fn select(&mut self, keep: &[bool], folder: &Path) -> Result<()> {
        if keep.iter().all(|keep| *keep) {
            return Ok(());
        }
        // Column by column, so that no more than one is there twice.
        fn selected<T: crate::store::Number>(old: &Column<T>, keep: &[bool], folder: &Path) -> Result<Column<T>> {
            let mut new = Column::new(Some(folder))?;
            for (k, keep) in keep.chunks(PIECE).enumerate() {
                let mut numbers = old.read(k * PIECE..k * PIECE + keep.len())?.into_owned();
                let mut keep = keep.iter();
                numbers.retain(|_| keep.next().is_some_and(|keep| *keep));
                new.extend(&numbers)?;
            }
            Ok(new)
        }
        self.input_row = selected(&self.input_row, keep, folder)?;
        for (_, codes) in &mut self.codes {
            *codes = selected(codes, keep, folder)?;
        }
        if let Some(time) = &mut self.time {
            *time = selected(time, keep, folder)?;
        }
        if let Some(positive) = &mut self.positive {
            *positive = selected(positive, keep, folder)?;
        }
        Ok(())
    }

    fn bytes(&self) -> u64 {
        let codes = self.codes.iter().map(|(_, codes)| codes.filed_bytes()).sum::<u64>();
        let time = self.time.as_ref().map_or(0, Column::filed_bytes);
        self.input_row.filed_bytes() + codes + time + self.positive.as_ref().map_or(0, Column::filed_bytes)
    }
}
