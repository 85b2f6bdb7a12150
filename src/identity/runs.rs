//! Runs of equal tokens: how a chunk's key column travels to where its codes are handed out.

use arrow::array::ArrayRef;

use super::canonical::for_each_token;
use super::hasher::Tokenizer;
use crate::error::Result;

/// A key column, or several that make one composite key.
pub struct KeyColumn {
    pub names: Vec<String>,
    pub tokenizer: Tokenizer,
}

/// Consecutive rows with one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    pub token: u128,
    pub row: u32,
    pub rows: u32,
}

impl KeyColumn {
    /// The runs of a chunk's values. `rows[i]` is the row of the i-th value, ascending; `input_rows[i]` its ordinal in the input.
    ///
    /// # Errors
    /// A type that can't be a key, or a value that is no whole number.
    pub fn runs(&self, parts: &[ArrayRef], rows: impl Fn(usize) -> u32, input_rows: &[u32]) -> Result<Vec<Run>> {
        let mut runs: Vec<Run> = Vec::new();
        for_each_token(&self.tokenizer, &self.names, parts, input_rows, &mut |i, token| {
            let row = rows(i);
            match runs.last_mut() {
                Some(run) if run.token == token && run.row + run.rows == row => run.rows += 1,
                _ => runs.push(Run { token, row, rows: 1 }),
            }
        })?;
        Ok(runs)
    }
}
