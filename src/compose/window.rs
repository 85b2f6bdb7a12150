//! Windows: which rows may mix.

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::keys::KeyPlane;
use crate::pipeline::{Pipeline, Window};

/// Rows in precedence (time, then input order), cut where windows end.
pub struct Windows {
    pub rows: Vec<u32>,
    /// Ends of the windows in `rows`, ascending; the last is `rows.len()`.
    pub ends: Vec<usize>,
}

impl Windows {
    /// Rows of the window that ends at `ends[k]`.
    pub fn get(&self, k: usize) -> &[u32] {
        let start = if k == 0 { 0 } else { self.ends[k - 1] };
        &self.rows[start..self.ends[k]]
    }

    /// The rows of each window, in turn.
    pub fn into_each(mut self) -> impl Iterator<Item = Vec<u32>> {
        (0..self.ends.len()).map(move |k| match self.ends.len() {
            // The one list is given away, not copied.
            1 => std::mem::take(&mut self.rows),
            _ => self.get(k).to_vec(),
        })
    }

    /// Moves every end but the last back to a whole number of batches.
    pub fn round_to(mut self, batch_size: usize) -> Self {
        let last = self.rows.len();
        self.ends.iter_mut().for_each(|end| *end = *end / batch_size * batch_size);
        self.ends.pop();
        self.ends.retain(|end| *end > 0);
        self.ends.dedup();
        if self.ends.last() != Some(&last) {
            self.ends.push(last);
        }
        self
    }
}

/// Cuts the rows by the pipeline's window; durations count from the epoch, UTC.
pub fn windows(plane: &KeyPlane, p: &Pipeline) -> Result<Windows> {
    let mut rows: Vec<u32> = (0..plane.len() as u32).collect();
    if let Some(time) = &plane.time
        && !time.is_sorted()
    {
        // Stable, so input order decides between equal times; and quick where logs come nearly in order.
        rows.par_sort_by_key(|row| time[*row as usize]);
    }
    let mut ends = Vec::new();
    match p.window {
        None => {}
        Some(Window::Rows(n)) => {
            let n = usize::try_from(n).unwrap_or(usize::MAX);
            ends.extend((1..rows.len().div_ceil(n)).map(|k| k * n));
        }
        Some(Window::Nanoseconds(nanos)) => {
            let (Some(time), Some(unit)) = (&plane.time, plane.time_unit_nanos) else {
                return Err(Error::pipeline(
                    "compose.window",
                    "a duration needs a date or timestamp, and columns.time is an integer of unknown unit",
                    "use a number of rows, or write the column as a timestamp",
                ));
            };
            let window = |row: u32| (i128::from(time[row as usize]) * i128::from(unit)).div_euclid(i128::from(nanos));
            ends.extend((1..rows.len()).filter(|&i| window(rows[i - 1]) != window(rows[i])));
        }
    }
    ends.push(rows.len());
    Ok(Windows { rows, ends })
}
