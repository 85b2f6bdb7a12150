//! Windows: which rows may mix.

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::keys::{KeyPlane, from_ordered_bits};
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
        self.ends = whole_batches(self.ends, batch_size);
        self
    }
}

/// Moves every end but the last back to a whole number of batches.
fn whole_batches(mut ends: Vec<usize>, batch_size: usize) -> Vec<usize> {
    let last = ends.pop().unwrap_or(0);
    ends.iter_mut().for_each(|end| *end = *end / batch_size * batch_size);
    ends.retain(|end| *end > 0);
    ends.dedup();
    if ends.last() != Some(&last) {
        ends.push(last);
    }
    ends
}

/// Cuts rows as they come in precedence, by the pipeline's window; durations count from the epoch, UTC.
pub struct WindowEnds {
    window: Option<Window>,
    unit_nanos: u64,
    is_float: bool,
    rows: usize,
    /// The window of the last row.
    last: Option<i128>,
    ends: Vec<usize>,
}

impl WindowEnds {
    /// Of keys with these columns.
    pub fn new(shape: &KeyPlane, p: &Pipeline) -> Result<Self> {
        let unit = match (p.window, &shape.time, shape.time_unit_nanos) {
            (Some(Window::Nanoseconds(_)), Some(_), Some(unit)) => unit,
            (Some(Window::Nanoseconds(_)), ..) => {
                return Err(Error::pipeline(
                    "compose.window",
                    "a duration needs a date or timestamp, and columns.time is a number of unknown unit",
                    "say the unit with columns.time_unit (\"s\", \"ms\", \"us\" or \"ns\"), or use a number of rows",
                ));
            }
            _ => 0,
        };
        Ok(WindowEnds {
            window: p.window,
            unit_nanos: unit,
            is_float: shape.time_is_float,
            rows: 0,
            last: None,
            ends: Vec::new(),
        })
    }

    /// Takes the next row, with its time if a duration cuts.
    pub fn add(&mut self, time: i64) {
        match self.window {
            None => {}
            Some(Window::Rows(n)) => {
                let n = usize::try_from(n).unwrap_or(usize::MAX);
                if self.rows > 0 && self.rows.is_multiple_of(n) {
                    self.ends.push(self.rows);
                }
            }
            Some(Window::Nanoseconds(nanos)) => {
                let window = self.nanos(time).div_euclid(i128::from(nanos));
                if self.last.replace(window).is_some_and(|last| last != window) {
                    self.ends.push(self.rows);
                }
            }
        }
        self.rows += 1;
    }

    /// Nanoseconds from the epoch.
    fn nanos(&self, time: i64) -> i128 {
        let unit = i128::from(self.unit_nanos);
        if !self.is_float {
            return i128::from(time) * unit;
        }
        let time = from_ordered_bits(time);
        let whole = time.floor();
        (whole as i128).saturating_mul(unit).saturating_add(((time - whole) * unit as f64).floor() as i128)
    }

    /// The ends, ascending; the last is the number of rows.
    fn finish(mut self) -> Vec<usize> {
        self.ends.push(self.rows);
        self.ends
    }

    /// Where pools end, ascending: all but the last are whole numbers of batches.
    pub fn pools(self, batch_size: usize) -> Vec<usize> {
        whole_batches(self.finish(), batch_size)
    }
}

/// Cuts the rows of a plane.
pub fn windows(plane: &KeyPlane, p: &Pipeline) -> Result<Windows> {
    let mut rows: Vec<u32> = (0..plane.len() as u32).collect();
    let mut ends = WindowEnds::new(plane, p)?;
    match &plane.time {
        Some(time) => {
            if !time.is_sorted() {
                // Stable, so input order decides between equal times; and quick where logs come nearly in order.
                rows.par_sort_by_key(|row| time[*row as usize]);
            }
            rows.iter().for_each(|row| ends.add(time[*row as usize]));
        }
        None => rows.iter().for_each(|_| ends.add(0)),
    }
    Ok(Windows { rows, ends: ends.finish() })
}
