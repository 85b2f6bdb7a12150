//! The key plane: what is known of each example before its payload is touched. Plain data that the
//! stages hand to one another; ~30 bytes a row.
//!
//! Rows are ordinals into the plane, in input order. Values are dense codes: equal values have equal codes,
//! and a null where nulls are never equal has a code of its own.

use crate::pipeline::Field;

/// One key column as dense codes.
#[derive(Debug, Clone, Default)]
pub struct Codes {
    /// The code of each row.
    pub rows: Vec<u32>,
    /// The 128-bit token of each code, ascending; so codes do not depend on who saw a value first. Empty for columns whose
    /// tokens reach no output.
    pub tokens: Vec<u128>,
    distinct: usize,
}

impl Codes {
    pub fn new(rows: Vec<u32>, tokens: Vec<u128>) -> Self {
        Codes { rows, distinct: tokens.len(), tokens }
    }

    /// Of `distinct` values whose tokens nobody needs.
    pub fn without_tokens(rows: Vec<u32>, distinct: usize) -> Self {
        Codes { rows, tokens: Vec::new(), distinct }
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
    pub text: Vec<Option<String>>,
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
    /// In the unit of the time column.
    pub time: Option<Vec<i64>>,
    /// Nanoseconds in a unit of `time`; `None` for integers, whose unit nobody knows.
    pub time_unit_nanos: Option<u64>,
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
        let codes = [Some(&mut self.identity), self.request.as_mut(), self.item.as_mut()].into_iter().flatten();
        let codes = codes.chain(self.columns.iter_mut().map(|(_, codes)| codes)).map(|codes| &mut codes.rows);
        let codes: Vec<&mut Vec<u32>> = codes.chain(self.label.as_mut().map(|labels| &mut labels.rows)).collect();
        rayon::scope(|scope| {
            scope.spawn(|_| pick(&mut self.input_row, keep));
            codes.into_iter().for_each(|codes| scope.spawn(|_| pick(codes, keep)));
            self.time.iter_mut().for_each(|time| scope.spawn(|_| pick(time, keep)));
            self.positive.iter_mut().for_each(|positive| scope.spawn(|_| pick(positive, keep)));
        });
    }
}
