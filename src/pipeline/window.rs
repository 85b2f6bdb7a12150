//! Windows: a number of rows, a duration, or units of a calendar.

use std::str::FromStr;

use chrono::FixedOffset;
use chrono_tz::Tz;

use super::file::WindowText;
use crate::error::{Error, Result};

/// Rows mix only within a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    Rows(u64),
    /// Counted from the epoch.
    Nanoseconds(u64),
    Calendar(Unit, u32),
}

/// A unit of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// From the epoch's day on.
    Day,
    /// From Monday on.
    Week,
    Month,
}

/// What places a moment in a calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    Named(Tz),
    Fixed(FixedOffset),
}

impl FromStr for Zone {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Ok(zone) = Tz::from_str(text) {
            return Ok(Zone::Named(zone));
        }
        FixedOffset::from_str(text).map(Zone::Fixed).map_err(|_| {
            let remedy = "use a name such as \"Europe/Berlin\", \"UTC\", or an offset such as \"+02:00\"";
            Error::pipeline("compose.time_zone", format!("`{text}` is not a time zone that is known"), remedy)
        })
    }
}

/// The units of a calendar that a text means: whole days, weeks or months, in any spelling.
fn calendar(text: &str) -> Option<(Unit, u32)> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number = text[..digits].parse().ok()?;
    let (unit, each) = match text[digits..].trim() {
        "d" | "day" | "days" => (Unit::Day, 1),
        "w" | "week" | "weeks" => (Unit::Week, 1),
        "M" | "month" | "months" => (Unit::Month, 1),
        "y" | "year" | "years" => (Unit::Month, 12),
        _ => return None,
    };
    Some((unit, u32::checked_mul(number, each)?))
}

/// The window that a text means.
///
/// # Errors
/// A text that means none, or a window of nothing.
pub fn window(text: Option<WindowText>) -> Result<Option<Window>> {
    let refuse = |problem: String, remedy: &str| Err(Error::pipeline("compose.window", problem, remedy));
    let window = match text {
        None => return Ok(None),
        Some(WindowText::Rows(n)) => Window::Rows(n),
        Some(WindowText::Duration(text)) => match (calendar(&text), humantime::parse_duration(&text)) {
            (Some((unit, number)), _) => Window::Calendar(unit, number),
            (None, Ok(duration)) => {
                let nanos = u64::try_from(duration.as_nanos()).ok().filter(|n| i64::try_from(*n).is_ok());
                let Some(nanos) = nanos else {
                    return refuse("it is longer than 292 years".into(), "leave compose.window out");
                };
                Window::Nanoseconds(nanos)
            }
            (None, Err(e)) => {
                return refuse(
                    format!("`{text}` is not a duration ({e})"),
                    "write it as \"30m\", \"1h\", \"1 day\", \"1 week\" or \"1 month\", or as a number of rows",
                );
            }
        },
    };
    if matches!(window, Window::Rows(0) | Window::Nanoseconds(0) | Window::Calendar(_, 0)) {
        return refuse("it is empty".into(), "use at least one row or one nanosecond, or leave it out");
    }
    Ok(Some(window))
}

impl Window {
    /// As the manifest records it.
    pub fn record(self) -> serde_json::Value {
        match self {
            Window::Rows(n) => n.into(),
            Window::Nanoseconds(n) => {
                // In hours at most: whole days would be those of the calendar.
                let units = [("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000)];
                let unit = units.iter().chain(&[("us", 1_000), ("ns", 1)]).find(|(_, unit)| n.is_multiple_of(*unit));
                unit.map_or_else(|| n.into(), |(name, unit)| format!("{}{name}", n / unit).into())
            }
            Window::Calendar(unit, number) => {
                let unit = match unit {
                    Unit::Day => "day",
                    Unit::Week => "week",
                    Unit::Month => "month",
                };
                format!("{number} {unit}{}", if number == 1 { "" } else { "s" }).into()
            }
        }
    }

    /// Whether it is told by times.
    pub fn needs_times(self) -> bool {
        !matches!(self, Window::Rows(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_days_weeks_and_months_are_of_the_calendar_in_any_spelling() {
        let of = |text: &str| window(Some(WindowText::Duration(text.into()))).unwrap().unwrap();
        for (text, expected) in [
            ("1d", Window::Calendar(Unit::Day, 1)),
            ("7 days", Window::Calendar(Unit::Day, 7)),
            ("1week", Window::Calendar(Unit::Week, 1)),
            ("2 w", Window::Calendar(Unit::Week, 2)),
            ("1 month", Window::Calendar(Unit::Month, 1)),
            ("2y", Window::Calendar(Unit::Month, 24)),
            ("24h", Window::Nanoseconds(86_400_000_000_000)),
            ("1day 12h", Window::Nanoseconds(129_600_000_000_000)),
            ("1m", Window::Nanoseconds(60_000_000_000)),
        ] {
            assert_eq!(of(text), expected, "{text}");
            let again = expected.record();
            assert_eq!(of(again.as_str().unwrap()), expected, "{again}");
        }
    }
}
