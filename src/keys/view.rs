//! Keys that a stage looks at: of all rows or of some, held by the view or borrowed.

use std::borrow::Cow;
use std::sync::Arc;

use rayon::prelude::*;

use super::key::Key;
use crate::pipeline::Field;

/// One key column as dense codes.
#[derive(Debug, Clone, Default)]
pub struct Codes<'a> {
    /// The code of each row.
    pub rows: Cow<'a, [u32]>,
    /// The 128-bit token of each code: ascending, so that codes do not depend on who saw a value first, but for identities,
    /// whose codes are ranks in the seeded order. Empty for columns whose tokens reach no output.
    pub tokens: Arc<Vec<u128>>,
    distinct: usize,
}

impl Codes<'_> {
    pub fn new(rows: Vec<u32>, tokens: Vec<u128>) -> Codes<'static> {
        Codes { rows: rows.into(), distinct: tokens.len(), tokens: Arc::new(tokens) }
    }

    /// Codes of `distinct` values whose tokens nobody needs.
    pub fn without_tokens(rows: Vec<u32>, distinct: usize) -> Codes<'static> {
        Codes { rows: rows.into(), tokens: Arc::default(), distinct }
    }

    /// The values and their tokens, and no rows.
    pub fn without_rows(&self) -> Codes<'static> {
        self.with(Cow::Owned(Vec::new()))
    }

    fn with<'r>(&self, rows: Cow<'r, [u32]>) -> Codes<'r> {
        Codes { rows, tokens: Arc::clone(&self.tokens), distinct: self.distinct }
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
pub struct Labels<'a> {
    pub rows: Cow<'a, [u32]>,
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

/// Keys of some rows, column by column.
#[derive(Debug, Clone, Default)]
pub struct KeyView<'a> {
    /// The row's ordinal in the input, over all shards; ascending.
    pub input_row: Cow<'a, [u32]>,
    pub identity: Codes<'a>,
    pub request: Option<Codes<'a>>,
    pub item: Option<Codes<'a>>,
    pub label: Option<Labels<'a>>,
    /// In the unit of the time column; floats by their [`ordered_bits`].
    pub time: Option<Cow<'a, [i64]>>,
    /// Nanoseconds in a unit of `time`; `None` for numbers whose unit nobody knows.
    pub time_unit_nanos: Option<u64>,
    pub time_is_float: bool,
    /// Whether times are dates, or have no zone: they are taken as they stand.
    pub time_is_local: bool,
    /// Whether the row satisfies `mask.positive`; `None`: all do.
    pub positive: Option<Cow<'a, [bool]>>,
    /// Further columns that rules or the dedup key name.
    pub columns: Vec<(String, Codes<'a>)>,
}

impl<'a> KeyView<'a> {
    /// Number of rows, of whichever columns the view has.
    pub fn len(&self) -> usize {
        let codes = [Some(&self.identity), self.request.as_ref(), self.item.as_ref()];
        let codes = codes.into_iter().flatten().chain(self.columns.iter().map(|(_, codes)| codes));
        let label = self.label.as_ref().map(|label| label.rows.len());
        let time = self.time.as_ref().map(|time| time.len());
        let positive = self.positive.as_ref().map(|positive| positive.len());
        let others = [label, time, positive].into_iter().flatten().chain([self.input_row.len()]);
        codes.map(|codes| codes.rows.len()).chain(others).max().unwrap_or(0)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The codes of a role or column that the pipeline names; `None` where the view lacks it.
    pub fn codes(&self, field: &Field) -> Option<&[u32]> {
        match field {
            Field::Identity => Some(&self.identity.rows),
            Field::Request => self.request.as_ref().map(|c| &*c.rows),
            Field::Item => self.item.as_ref().map(|c| &*c.rows),
            Field::Label => self.label.as_ref().map(|c| &*c.rows),
            Field::Column(name) => self.columns.iter().find(|(n, _)| n == name).map(|(_, c)| &*c.rows),
        }
    }

    pub fn is_positive(&self, row: u32) -> bool {
        self.positive.as_ref().is_none_or(|p| p[row as usize])
    }

    /// All columns of codes, with what they are; the rows in the input are none.
    pub(super) fn codes_mut(&mut self) -> Vec<(Field, &mut Cow<'a, [u32]>)> {
        let mut columns = vec![(Field::Identity, &mut self.identity.rows)];
        columns.extend(self.request.as_mut().map(|codes| (Field::Request, &mut codes.rows)));
        columns.extend(self.item.as_mut().map(|codes| (Field::Item, &mut codes.rows)));
        columns.extend(self.label.as_mut().map(|labels| (Field::Label, &mut labels.rows)));
        columns.extend(self.columns.iter_mut().map(|(name, codes)| (Field::Column(name.clone()), &mut codes.rows)));
        columns
    }

    /// Views of the same columns, one after the other, and their numbers.
    pub fn joined(views: Vec<(Vec<u32>, KeyView<'a>)>) -> (Vec<u32>, KeyView<'a>) {
        let mut views = views.into_iter();
        let (mut numbers, mut all) = views.next().unwrap_or_default();
        for (more, mut view) in views {
            numbers.extend(more);
            all.input_row.to_mut().extend_from_slice(&view.input_row);
            for ((_, codes), (_, more)) in all.codes_mut().into_iter().zip(view.codes_mut()) {
                codes.to_mut().extend_from_slice(more);
            }
            if let (Some(time), Some(more)) = (&mut all.time, view.time) {
                time.to_mut().extend_from_slice(&more);
            }
            if let (Some(positive), Some(more)) = (&mut all.positive, view.positive) {
                positive.to_mut().extend_from_slice(&more);
            }
        }
        (numbers, all)
    }

    /// What is not by row, but shared by all: which columns there are, their tokens, the text of labels.
    pub fn without_rows<'r>(&self) -> KeyView<'r> {
        KeyView {
            input_row: Cow::Owned(Vec::new()),
            identity: self.identity.without_rows(),
            request: self.request.as_ref().map(Codes::without_rows),
            item: self.item.as_ref().map(Codes::without_rows),
            label: self.label.as_ref().map(|l| Labels { rows: Cow::Owned(Vec::new()), text: Arc::clone(&l.text) }),
            time: self.time.as_ref().map(|_| Cow::Owned(Vec::new())),
            time_unit_nanos: self.time_unit_nanos,
            time_is_float: self.time_is_float,
            time_is_local: self.time_is_local,
            positive: self.positive.as_ref().map(|_| Cow::Owned(Vec::new())),
            columns: self.columns.iter().map(|(name, codes)| (name.clone(), codes.without_rows())).collect(),
        }
    }

    /// The shape of identities and these columns, as far as they are there.
    pub(super) fn only<'r>(&self, columns: &[Key]) -> KeyView<'r> {
        let has = |field: Field| columns.contains(&Key::Code(field));
        let mut view = self.without_rows();
        view.request = view.request.filter(|_| has(Field::Request));
        view.item = view.item.filter(|_| has(Field::Item));
        view.label = view.label.filter(|_| has(Field::Label));
        view.columns.retain(|(name, _)| has(Field::Column(name.clone())));
        view.time = view.time.filter(|_| columns.contains(&Key::Time));
        view.positive = view.positive.filter(|_| columns.contains(&Key::Positive));
        view
    }

    /// These rows, in the order given.
    pub fn gather<'r>(&self, rows: &[u32]) -> KeyView<'r> {
        fn pick<'r, T: Copy>(values: &[T], rows: &[u32]) -> Cow<'r, [T]> {
            Cow::Owned(rows.iter().map(|row| values[*row as usize]).collect())
        }
        let mut view = self.without_rows();
        if !self.input_row.is_empty() {
            view.input_row = pick(&self.input_row, rows);
        }
        let others = || {
            let positive = self.positive.as_ref().map(|positive| pick(positive, rows));
            (self.time.as_ref().map(|time| pick(time, rows)), positive)
        };
        let codes = || {
            view.codes_mut().into_par_iter().for_each(|(field, codes)| {
                *codes = match self.codes(&field) {
                    Some(own) if !own.is_empty() => pick(own, rows),
                    _ => Cow::Owned(Vec::new()),
                };
            });
        };
        let ((), (time, positive)) = rayon::join(codes, others);
        (view.time, view.positive) = (time, positive);
        view
    }

    /// The same rows, borrowed.
    pub fn borrowed(&self) -> KeyView<'_> {
        let mut view = self.without_rows();
        view.input_row = Cow::Borrowed(&*self.input_row);
        view.time = self.time.as_deref().map(Cow::Borrowed);
        view.positive = self.positive.as_deref().map(Cow::Borrowed);
        for (field, codes) in view.codes_mut() {
            *codes = Cow::Borrowed(self.codes(&field).unwrap_or_default());
        }
        view
    }
}
