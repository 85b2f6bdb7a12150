//! A share of all identities, by their tokens.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::compute::filter;

use super::hasher::Tokenizer;
use super::roles::as_integers;
use super::runs::KeyColumn;
use crate::error::{Error, Place, Result};
use crate::pipeline::Pipeline;

/// The identities whose token's low 64 bits fall in a share of all numbers of 64 bits.
pub struct IdentityShare {
    key: KeyColumn,
    tokens: Range<u128>,
}

impl IdentityShare {
    /// `None`: all identities.
    pub fn new(p: &Pipeline, tokenizer: &Tokenizer) -> Option<Self> {
        let [from, to] = p.share?;
        // Exact: a power of two changes no digit of a bound.
        let bound = |share: f64| (share * 2f64.powi(64)).ceil() as u128;
        let key = KeyColumn { names: p.identity.clone(), tokenizer: tokenizer.clone() };
        Some(IdentityShare { key, tokens: bound(from)..bound(to) })
    }

    /// Takes the rows of other identities out of `keep`, which are rows with an identity; gives their number. `columns` are those
    /// of the identity, whose first row is `first_row` of the input.
    ///
    /// # Errors
    /// A value that can't play the role.
    pub fn select(&self, columns: &[ArrayRef], place: &Place, first_row: u32, keep: &mut [bool]) -> Result<u64> {
        let rows: Vec<u32> = (0..keep.len() as u32).filter(|row| keep[*row as usize]).collect();
        let mask = BooleanArray::from(keep.to_vec());
        let parts = columns.iter().zip(&self.key.names).map(|(column, name)| {
            let column = if rows.len() == keep.len() { Ok(Arc::clone(column)) } else { filter(column, &mask) };
            as_integers(&column.map_err(|e| Error::damaged(place.clone(), e))?, place, name, |i| rows[i])
        });
        let input_rows: Vec<u32> = rows.iter().map(|row| first_row + row).collect();
        let runs = self.key.runs(&parts.collect::<Result<Vec<_>>>()?, |i| rows[i], &input_rows)?;
        let mut left_out = 0;
        for run in runs.iter().filter(|run| !self.tokens.contains(&(run.token & u128::from(u64::MAX)))) {
            keep[run.row as usize..(run.row + run.rows) as usize].fill(false);
            left_out += u64::from(run.rows);
        }
        Ok(left_out)
    }
}
