//! Pools: which rows may mix.

use super::calendar::Calendar;
use crate::error::{Error, Result};
use crate::keys::{KeyView, from_ordered_bits};
use crate::pipeline::{Pipeline, Remainder, Window, WindowEnds as WindowEndsAt};

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

/// Cuts rows as they come in precedence, by the pipeline's window; durations count from the epoch.
pub struct PoolEnds {
    window: Option<Window>,
    /// Where windows are of the calendar.
    calendar: Option<Calendar>,
    unit_nanos: u64,
    is_float: bool,
    rows: usize,
    /// The window of the last row.
    last: Option<i128>,
    ends: Vec<usize>,
}

impl PoolEnds {
    /// Nothing cut yet; `shape` tells the columns of the keys.
    ///
    /// # Errors
    /// A window that does not fit the times.
    pub fn new(shape: &KeyView<'_>, p: &Pipeline) -> Result<Self> {
        let unit = match (p.window, &shape.time, shape.time_unit_nanos) {
            (Some(window), Some(_), Some(unit)) if window.needs_times() => unit,
            (Some(window), ..) if window.needs_times() => {
                return Err(Error::pipeline(
                    "compose.window",
                    "a duration needs a date or timestamp, and columns.time is a number of unknown unit",
                    "say the unit with columns.time_unit (\"s\", \"ms\", \"us\" or \"ns\"), or use a number of rows",
                ));
            }
            _ => 0,
        };
        let zone = (!shape.time_is_local).then_some(p.time_zone);
        let calendar = match p.window {
            Some(Window::Calendar(unit, number)) => Some(Calendar::new(unit, number, zone)),
            _ => None,
        };
        Ok(PoolEnds {
            window: p.window,
            calendar,
            unit_nanos: unit,
            is_float: shape.time_is_float,
            rows: 0,
            last: None,
            ends: Vec::new(),
        })
    }

    /// Takes the next rows, with their times if a duration cuts.
    pub fn add_all(&mut self, times: impl ExactSizeIterator<Item = i64>) {
        match self.window {
            None => self.rows += times.len(),
            Some(_) => times.for_each(|time| self.add(time)),
        }
    }

    /// Takes the next row.
    fn add(&mut self, time: i64) {
        match self.window {
            None => {}
            Some(Window::Rows(n)) => {
                let n = usize::try_from(n).unwrap_or(usize::MAX);
                if self.rows > 0 && self.rows.is_multiple_of(n) {
                    self.ends.push(self.rows);
                }
            }
            Some(Window::Nanoseconds(_) | Window::Calendar(..)) => {
                let nanos = self.nanos(time);
                let window = match (self.window, &mut self.calendar) {
                    (Some(Window::Nanoseconds(length)), _) => nanos.div_euclid(i128::from(length)),
                    (_, Some(calendar)) => calendar.window(nanos).into(),
                    _ => 0,
                };
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

    /// Where pools end, ascending; the last end is the number of rows.
    ///
    /// # Errors
    /// A window that fills no batch, where ends stay where they are and no batch may be short.
    pub fn pools(mut self, p: &Pipeline) -> Result<Vec<usize>> {
        self.ends.push(self.rows);
        if p.window_ends == WindowEndsAt::Whole {
            return Ok(whole_batches(self.ends, p.batch_size));
        }
        let starts = [0].iter().chain(&self.ends);
        let least = self.ends.iter().zip(starts).map(|(end, start)| end - start).min().unwrap_or(0);
        if p.remainder != Remainder::Short && least < p.batch_size {
            return Err(Error::pipeline(
                "compose.window_ends",
                format!("a window holds {least} rows, which fill no batch of {}", p.batch_size),
                "use a longer compose.window, a smaller batch_size, window_ends = \"whole\", or remainder = \"short\"",
            ));
        }
        Ok(self.ends)
    }
}
