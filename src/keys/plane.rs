//! Keys in memory, column by column.

use std::sync::Arc;

use super::Key;
use crate::pipeline::Field;

/// One key column as dense codes.
#[derive(Debug, Clone, Default)]
pub struct Codes {
    /// The code of each row.
    pub rows: Vec<u32>,
    /// The 128-bit token of each code, ascending; so codes do not depend on who saw a value first. Empty for columns whose
    /// tokens reach no output.
    pub tokens: Arc<Vec<u128>>,
    distinct: usize,
}

impl Codes {
    pub fn new(rows: Vec<u32>, tokens: Vec<u128>) -> Self {
        Codes { rows, distinct: tokens.len(), tokens: Arc::new(tokens) }
    }

    /// Of `distinct` values whose tokens nobody needs.
    pub fn without_tokens(rows: Vec<u32>, distinct: usize) -> Self {
        Codes { rows, tokens: Arc::default(), distinct }
    }

    /// The values and their tokens, and no rows.
    pub fn without_rows(&self) -> Self {
        Codes { rows: Vec::new(), tokens: Arc::clone(&self.tokens), distinct: self.distinct }
    }

    /// Number of distinct values.
    pub fn len(&self) -> usize {
        self.distinct
    }

    pub fn is_empty(&self) -> bool {
        self.distinct == 0
    }
}

/// The class of each row: codes with their values as text; `None` is the class of rows without a label.
#[derive(Debug, Clone, Default)]
pub struct Labels {
    pub rows: Vec<u32>,
    pub text: Arc<Vec<Option<String>>>,
}

/// A finite float as an integer: in order as floats are, equal where they are equal.
pub fn ordered_bits(x: f64) -> i64 {
    // Zeros of both signs are one.
    let bits = (x + 0.0).to_bits() as i64;
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

/// The float of [`ordered_bits`].
pub fn from_ordered_bits(bits: i64) -> f64 {
    f64::from_bits((bits ^ (((bits >> 63) as u64) >> 1) as i64) as u64)
}

/// All keys of all rows, column by column.
#[derive(Debug, Clone, Default)]
pub struct KeyPlane {
    /// The row's ordinal in the input, over all shards; ascending.
    pub input_row: Vec<u32>,
    pub identity: Codes,
    pub request: Option<Codes>,
    pub item: Option<Codes>,
    pub label: Option<Labels>,
    /// In the unit of the time column; floats by their [`ordered_bits`].
    pub time: Option<Vec<i64>>,
    /// Nanoseconds in a unit of `time`; `None` for numbers whose unit nobody knows.
    pub time_unit_nanos: Option<u64>,
    pub time_is_float: bool,
    /// Whether the row satisfies `mask.positive`; `None`: all do.
    pub positive: Option<Vec<bool>>,
    /// Further columns that rules or the dedup key name.
    pub columns: Vec<(String, Codes)>,
}

impl KeyPlane {
    pub fn len(&self) -> usize {
        self.identity.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The codes of a role or column that the pipeline names; `None` where the plane lacks it.
    pub fn codes(&self, field: &Field) -> Option<&[u32]> {
        match field {
            Field::Identity => Some(&self.identity.rows),
            Field::Request => self.request.as_ref().map(|c| c.rows.as_slice()),
            Field::Item => self.item.as_ref().map(|c| c.rows.as_slice()),
            Field::Label => self.label.as_ref().map(|c| c.rows.as_slice()),
            Field::Column(name) => self.columns.iter().find(|(n, _)| n == name).map(|(_, c)| c.rows.as_slice()),
        }
    }

    pub fn is_positive(&self, row: u32) -> bool {
        self.positive.as_ref().is_none_or(|p| p[row as usize])
    }

    /// All columns of codes but input rows, with what they are.
    pub(super) fn codes_mut(&mut self) -> Vec<(Field, &mut Vec<u32>)> {
        let mut columns = vec![(Field::Identity, &mut self.identity.rows)];
        columns.extend(self.request.as_mut().map(|codes| (Field::Request, &mut codes.rows)));
        columns.extend(self.item.as_mut().map(|codes| (Field::Item, &mut codes.rows)));
        columns.extend(self.label.as_mut().map(|labels| (Field::Label, &mut labels.rows)));
        columns.extend(self.columns.iter_mut().map(|(name, codes)| (Field::Column(name.clone()), &mut codes.rows)));
        columns
    }

    /// Calls `each` with all columns of codes, in the order of [`KeyPlane::codes_mut`].
    pub(super) fn each_codes<'a>(&'a self, mut each: impl FnMut(&'a [u32])) {
        each(&self.identity.rows);
        [&self.request, &self.item].into_iter().flatten().for_each(|codes| each(&codes.rows));
        self.label.iter().for_each(|labels| each(&labels.rows));
        self.columns.iter().for_each(|(_, codes)| each(&codes.rows));
    }

    /// Planes of the same columns, one after the other, and their numbers.
    pub fn joined(planes: Vec<(Vec<u32>, KeyPlane)>) -> (Vec<u32>, KeyPlane) {
        let mut planes = planes.into_iter();
        let (mut numbers, mut all) = planes.next().unwrap_or_default();
        for (more, mut plane) in planes {
            numbers.extend(more);
            all.input_row.append(&mut plane.input_row);
            for ((_, codes), (_, more)) in all.codes_mut().into_iter().zip(plane.codes_mut()) {
                codes.append(more);
            }
            if let (Some(time), Some(mut more)) = (&mut all.time, plane.time) {
                time.append(&mut more);
            }
            if let (Some(positive), Some(mut more)) = (&mut all.positive, plane.positive) {
                positive.append(&mut more);
            }
        }
        (numbers, all)
    }

    /// What is not by row, but shared by all: which columns there are, their tokens, the text of labels.
    pub fn without_rows(&self) -> Self {
        KeyPlane {
            input_row: Vec::new(),
            identity: self.identity.without_rows(),
            request: self.request.as_ref().map(Codes::without_rows),
            item: self.item.as_ref().map(Codes::without_rows),
            label: self.label.as_ref().map(|l| Labels { rows: Vec::new(), text: Arc::clone(&l.text) }),
            time: self.time.as_ref().map(|_| Vec::new()),
            time_unit_nanos: self.time_unit_nanos,
            time_is_float: self.time_is_float,
            positive: self.positive.as_ref().map(|_| Vec::new()),
            columns: self.columns.iter().map(|(name, codes)| (name.clone(), codes.without_rows())).collect(),
        }
    }

    /// Identities and these columns, as far as they are there, and times; without rows.
    pub fn only(&self, columns: &[Key]) -> Self {
        let has = |field: Field| columns.contains(&Key::Code(field));
        let mut plane = self.without_rows();
        plane.request = plane.request.filter(|_| has(Field::Request));
        plane.item = plane.item.filter(|_| has(Field::Item));
        plane.label = plane.label.filter(|_| has(Field::Label));
        plane.columns.retain(|(name, _)| has(Field::Column(name.clone())));
        plane.positive = plane.positive.filter(|_| columns.contains(&Key::Positive));
        plane
    }

    /// These rows, in the order given.
    pub fn gather(&self, rows: &[u32]) -> Self {
        fn pick<T: Copy>(values: &[T], rows: &[u32]) -> Vec<T> {
            rows.iter().map(|row| values[*row as usize]).collect()
        }
        let mut plane = self.without_rows();
        plane.input_row = pick(&self.input_row, rows);
        plane.time = self.time.as_ref().map(|time| pick(time, rows));
        plane.positive = self.positive.as_ref().map(|positive| pick(positive, rows));
        for (field, codes) in plane.codes_mut() {
            *codes = self.codes(&field).map_or_else(Vec::new, |codes| pick(codes, rows));
        }
        plane
    }

    /// Keeps only the rows that `keep` tells to, without a copy. Codes stay as they are.
    pub fn select(&mut self, keep: &[bool]) {
        if keep.iter().all(|keep| *keep) {
            return;
        }
        fn pick<T>(values: &mut Vec<T>, keep: &[bool]) {
            let mut keep = keep.iter();
            values.retain(|_| keep.next().is_some_and(|keep| *keep));
            values.shrink_to_fit();
        }
        let (mut input_row, mut time, mut positive) =
            (std::mem::take(&mut self.input_row), self.time.take(), self.positive.take());
        rayon::scope(|scope| {
            scope.spawn(|_| pick(&mut input_row, keep));
            self.codes_mut().into_iter().for_each(|(_, codes)| scope.spawn(|_| pick(codes, keep)));
            time.iter_mut().for_each(|time| scope.spawn(|_| pick(time, keep)));
            positive.iter_mut().for_each(|positive| scope.spawn(|_| pick(positive, keep)));
        });
        (self.input_row, self.time, self.positive) = (input_row, time, positive);
    }
}
