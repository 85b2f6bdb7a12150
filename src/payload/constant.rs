//! Proof that request-level columns are constant within a request, bit for bit.

use std::sync::Mutex;

use arrow::array::ArrayRef;

use super::row_digest::{Digest, row_digests};
use crate::error::{Error, Place, Result};

/// The request of every wanted input row, and the value that each request was seen with.
pub struct Constancy<'a> {
    column: String,
    /// Wanted input rows, ascending.
    rows: &'a [u32],
    /// Their requests.
    requests: &'a [u32],
    /// By request: an input row and its value's digest.
    seen: Mutex<Vec<Option<(u32, Digest)>>>,
}

impl<'a> Constancy<'a> {
    pub fn new(column: String, rows: &'a [u32], requests: &'a [u32], number: usize) -> Self {
        Constancy { column, rows, requests, seen: Mutex::new(vec![None; number]) }
    }

    /// Checks arrays of consecutive input rows from `first_row` on; in any order of calls.
    pub fn check(&self, first_row: u32, arrays: &[ArrayRef], place: &Place) -> Result<()> {
        let mut digests: Vec<Digest> = Vec::new();
        for array in arrays {
            digests.extend(row_digests(array.as_ref()).ok_or_else(|| {
                Error::input(
                    place.clone().with_column(&self.column),
                    format!("values of {} can't be compared", array.data_type()),
                    "leave it out of requests.columns",
                )
            })?);
        }
        let start = self.rows.partition_point(|r| *r < first_row);
        let end = self.rows.partition_point(|r| u64::from(*r) < u64::from(first_row) + digests.len() as u64);
        let wanted =
            || (start..end).map(|i| (self.rows[i], self.requests[i], digests[(self.rows[i] - first_row) as usize]));
        // Runs of one request are compared here; what is left for the others is one entry a run.
        let mut firsts: Vec<(u32, u32, Digest)> = Vec::new();
        for (row, request, digest) in wanted() {
            match firsts.last() {
                Some((first, same, value)) if *same == request => {
                    if *value != digest {
                        return Err(self.differ(place, *first, row));
                    }
                }
                _ => firsts.push((row, request, digest)),
            }
        }
        let mut seen = self.seen.lock().unwrap_or_else(|p| p.into_inner());
        for (row, request, digest) in firsts {
            match &mut seen[request as usize] {
                Some((first, value)) if *value != digest => {
                    return Err(self.differ(place, (*first).min(row), row.max(*first)));
                }
                Some((first, _)) => *first = row.min(*first),
                empty => *empty = Some((row, digest)),
            }
        }
        Ok(())
    }

    fn differ(&self, place: &Place, first: u32, second: u32) -> Error {
        Error::input(
            place.clone().with_column(&self.column),
            format!("input rows {first} and {second} are of one request but differ here"),
            "take it out of requests.columns, or mend the log",
        )
    }
}
