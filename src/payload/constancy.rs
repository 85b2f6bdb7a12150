//! Proof that request-level columns are constant within a request, bit for bit.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use arrow::array::ArrayRef;

use super::row_digest::{Digest, row_digests};
use crate::error::{Error, Place, Result};

/// Which input rows are examples, and which request each belongs to.
pub trait Examples: Sync {
    /// Number of requests.
    fn number(&self) -> usize;
    /// Brings the requests of all examples in turn.
    fn each_piece(&self, each: &mut (dyn FnMut(&[u32]) + Send)) -> Result<()>;
    /// The examples among some input rows.
    fn within(&self, input_rows: Range<u64>) -> Result<WantedRows<'_>>;
    /// Whether a request has examples that are not among these.
    fn lies_elsewhere(&self, _request: u32) -> bool {
        false
    }
}

/// The examples of a range of input rows, ascending, and the request of each, where requests are mapped.
pub struct WantedRows<'a> {
    pub input_rows: Cow<'a, [u32]>,
    pub requests: Cow<'a, [u32]>,
}

/// How the rows of each request lie.
pub struct RequestRows<'a> {
    requests: &'a dyn Examples,
    /// By request: an ordinal if its rows come in several runs, else [`ONE_RUN`].
    several_runs: Vec<u32>,
    /// Number of requests with several runs.
    torn: usize,
}

const ONE_RUN: u32 = u32::MAX;

impl<'a> RequestRows<'a> {
    /// The requests of examples, and where they begin and end.
    ///
    /// # Errors
    /// A scratch file that can't be read.
    pub fn new(requests: &'a dyn Examples) -> Result<Self> {
        let (mut seen, mut several_runs, mut torn) =
            (vec![false; requests.number()], vec![ONE_RUN; requests.number()], 0);
        let mut before = None;
        requests.each_piece(&mut |piece| {
            for run in piece.chunk_by(|a, b| a == b) {
                let request = run[0] as usize;
                if before.replace(request) == Some(request) {
                    continue;
                }
                if std::mem::replace(&mut seen[request], true) && several_runs[request] == ONE_RUN {
                    several_runs[request] = torn;
                    torn += 1;
                }
            }
        })?;
        for (request, ordinal) in (0..).zip(&mut several_runs) {
            if *ordinal == ONE_RUN && requests.lies_elsewhere(request) {
                *ordinal = torn;
                torn += 1;
            }
        }
        Ok(RequestRows { requests, several_runs, torn: torn as usize })
    }
}

/// An input row, and its value's digest.
type Value = (u32, Digest);

/// What a request was seen with, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenValue {
    pub request: u32,
    pub input_row: u32,
    pub digest: Digest,
}

/// The values that requests were seen with, as far as they can come again: most logs have the rows of a request side by side.
struct Seen {
    /// Digests of the requests with several runs.
    torn: Vec<Option<Value>>,
    /// Digests of others, whose one run an array's end may have cut.
    cut: HashMap<u32, Value>,
}

/// A column of which all values of a request must be the same.
pub struct Constancy<'a> {
    column: String,
    of: &'a RequestRows<'a>,
    seen: Mutex<Seen>,
}

impl<'a> Constancy<'a> {
    pub fn new(column: String, of: &'a RequestRows<'a>) -> Self {
        Constancy { column, of, seen: Mutex::new(Seen { torn: vec![None; of.torn], cut: HashMap::new() }) }
    }

    /// What each request that lies elsewhere too was seen with.
    pub fn seen(&self) -> Vec<SeenValue> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |(request, ordinal): (u32, &u32)| {
            let (input_row, digest) = (*seen.torn.get(*ordinal as usize)?)?;
            self.of.requests.lies_elsewhere(request).then_some(SeenValue { request, input_row, digest })
        };
        (0..).zip(&self.of.several_runs).filter_map(of).collect()
    }

    /// Whether any wanted row is among these input rows: each has to be checked, also where another row brings its value.
    ///
    /// # Errors
    /// A scratch file that can't be read.
    pub fn concerns(&self, input_rows: Range<u64>) -> Result<bool> {
        Ok(!self.of.requests.within(input_rows)?.input_rows.is_empty())
    }

    /// Checks an array of consecutive input rows from `first_row` on; in any order of calls. `place`: that of an input row.
    ///
    /// # Errors
    /// A value that is not that of its request's other rows.
    pub fn check(&self, first_row: u32, array: &ArrayRef, place: &dyn Fn(u32) -> Place) -> Result<()> {
        let digests: Vec<Digest> = row_digests(array.as_ref()).ok_or_else(|| {
            Error::input(
                place(first_row).with_column(&self.column),
                format!("values of {} can't be compared", array.data_type()),
                "leave it out of requests.columns",
            )
        })?;
        let several_runs = &self.of.several_runs;
        let first = u64::from(first_row);
        let WantedRows { input_rows, requests } = self.of.requests.within(first..first + digests.len() as u64)?;
        // Runs of one request are compared here; what is left for the others is one value a run.
        let mut firsts: Vec<(u32, Value)> = Vec::new();
        for (row, request) in input_rows.iter().zip(requests.iter()) {
            let digest = digests[(row - first_row) as usize];
            match firsts.last() {
                Some((same, (first, value))) if same == request => {
                    if *value != digest {
                        return Err(self.differ(place, *first, *row));
                    }
                }
                _ => firsts.push((*request, (*row, digest))),
            }
        }
        let last = firsts.len().saturating_sub(1);
        let mut seen = self.seen.lock().unwrap_or_else(|p| p.into_inner());
        for (k, (request, (row, digest))) in firsts.into_iter().enumerate() {
            let known = match several_runs[request as usize] {
                ONE_RUN if k > 0 && k < last => continue,
                ONE_RUN => seen.cut.entry(request).or_insert((row, digest)),
                ordinal => seen.torn[ordinal as usize].get_or_insert((row, digest)),
            };
            if known.1 != digest {
                return Err(self.differ(place, known.0.min(row), row.max(known.0)));
            }
            known.0 = known.0.min(row);
        }
        Ok(())
    }

    fn differ(&self, place: &dyn Fn(u32) -> Place, first: u32, second: u32) -> Error {
        differ(place(second), &self.column, first, second)
    }
}

/// Two input rows of one request whose values of a column differ; `place` is that of the second.
pub fn differ(place: Place, column: &str, first: u32, second: u32) -> Error {
    Error::input(
        place.with_column(column),
        format!("input rows {first} and {second} are of one request but differ here"),
        "take it out of requests.columns, or mend the log",
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use arrow::array::Int64Array;
    use proptest::prelude::*;

    use super::*;

    /// Brings requests in small pieces.
    struct Given {
        rows: Vec<u32>,
        requests: Vec<u32>,
    }

    impl Examples for Given {
        fn number(&self) -> usize {
            4
        }

        fn each_piece(&self, each: &mut (dyn FnMut(&[u32]) + Send)) -> Result<()> {
            self.requests.chunks(5).for_each(each);
            Ok(())
        }

        fn within(&self, input_rows: Range<u64>) -> Result<WantedRows<'_>> {
            let place = |row: u64| self.rows.partition_point(|r| u64::from(*r) < row);
            let places = place(input_rows.start)..place(input_rows.end);
            Ok(WantedRows {
                input_rows: Cow::Borrowed(&self.rows[places.clone()]),
                requests: Cow::Borrowed(&self.requests[places]),
            })
        }
    }

    proptest! {
        /// Wherever arrays end and in whatever order they come: a difference is found if there is one.
        #[test]
        fn differences_are_found_wherever_arrays_end(
            rows in prop::collection::vec((0u32..4, 1usize..5, any::<bool>()), 1..12),
            odd in prop::option::of(0usize..40),
            cuts in prop::collection::vec(any::<bool>(), 60),
            backwards in any::<bool>(),
        ) {
            // Runs of a request, each wanted or not.
            let all: Vec<(u32, bool)> =
                rows.iter().flat_map(|(request, len, wanted)| std::iter::repeat_n((*request, *wanted), *len)).collect();
            let value = |row: usize| i64::from(all[row].0) + i64::from(odd == Some(row)) * 100;
            let wanted: Vec<u32> = (0..all.len()).filter(|row| all[*row].1).map(|row| row as u32).collect();
            let requests: Vec<u32> = wanted.iter().map(|row| all[*row as usize].0).collect();
            let mut values: BTreeMap<u32, Vec<i64>> = BTreeMap::new();
            wanted.iter().for_each(|row| values.entry(all[*row as usize].0).or_default().push(value(*row as usize)));
            let differ = values.values().any(|values| values.iter().any(|v| v != &values[0]));

            let given = Given { rows: wanted, requests };
            let of = RequestRows::new(&given).unwrap();
            let constancy = Constancy::new("column".into(), &of);
            let mut starts: Vec<usize> = (0..all.len()).filter(|row| *row == 0 || cuts[*row]).collect();
            starts.push(all.len());
            let mut arrays: Vec<(usize, usize)> = starts.windows(2).map(|w| (w[0], w[1])).collect();
            if backwards {
                arrays.reverse();
            }
            let found = arrays.into_iter().any(|(start, end)| {
                let array: ArrayRef = Arc::new(Int64Array::from_iter_values((start..end).map(value)));
                constancy.check(start as u32, &array, &|_| Place::default()).is_err()
            });
            prop_assert_eq!(found, differ);
        }
    }
}
