//! Dates and times as people write them in predicates.

use arrow::datatypes::{DataType, TimeUnit};
use chrono::{NaiveDate, NaiveDateTime};

pub const DAY: i128 = 86_400_000_000_000;

/// How a column tells time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clock {
    Date,
    /// Without a zone: as it stands on the clock.
    Naive(TimeUnit),
    /// An instant, and how many seconds its zone is before UTC; `None`: more than a table of zones would be needed.
    Instant(TimeUnit, Option<i64>),
}

impl Clock {
    /// `None`: the type tells no date or time.
    pub fn of(data_type: &DataType) -> Option<Self> {
        match data_type {
            DataType::Date32 | DataType::Date64 => Some(Clock::Date),
            DataType::Timestamp(unit, None) => Some(Clock::Naive(*unit)),
            DataType::Timestamp(unit, Some(zone)) => Some(Clock::Instant(*unit, fixed_offset(zone))),
            DataType::Dictionary(_, value) => Clock::of(value),
            _ => None,
        }
    }

    /// Nanoseconds of a tick.
    pub fn tick(&self) -> i128 {
        match self {
            Clock::Date => DAY,
            Clock::Naive(unit) | Clock::Instant(unit, _) => nanos_of(*unit),
        }
    }

    /// What a predicate may compare the column with.
    pub fn form(&self) -> &'static str {
        match self {
            Clock::Date => "compare it with a date, such as '2024-01-31'",
            Clock::Naive(_) => "compare it with a date or a time, such as '2024-01-31' or '2024-01-31 12:30:00'",
            Clock::Instant(_, Some(_)) => {
                "compare it with a date or an instant, such as '2024-01-31' or '2024-01-31 12:30:00+00:00'"
            }
            Clock::Instant(_, None) => {
                "compare it with an instant and its offset from UTC, such as '2024-01-31 12:30:00+01:00'"
            }
        }
    }

    /// Nanoseconds from the epoch of a text, in this column's time. `None` where it is no such time.
    pub fn nanos(&self, text: &str) -> Option<i128> {
        let (local, offset) = parse(text)?;
        match (self, offset) {
            (Clock::Date | Clock::Naive(_), None) => Some(local),
            // A column without a zone has no instants.
            (Clock::Date | Clock::Naive(_), Some(_)) => None,
            (Clock::Instant(..), Some(seconds)) => Some(local - i128::from(seconds) * 1_000_000_000),
            (Clock::Instant(_, zone), None) => Some(local - i128::from((*zone)?) * 1_000_000_000),
        }
    }
}

pub fn nanos_of(unit: TimeUnit) -> i128 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}

/// Seconds that a zone is before UTC, if its name says so.
pub fn fixed_offset(zone: &str) -> Option<i64> {
    match zone {
        "UTC" | "Etc/UTC" | "GMT" | "Z" => Some(0),
        zone => offset(zone),
    }
}

/// `+01:00`, `-0530`, `+02`.
fn offset(text: &str) -> Option<i64> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits: String = text[1..].chars().filter(|c| *c != ':').collect();
    let number = |part: Option<&str>| part.and_then(|part| part.parse::<i64>().ok());
    let all_digits = digits.bytes().all(|b| b.is_ascii_digit());
    let (hours, minutes) = match digits.len() {
        2 if all_digits => (number(digits.get(..2))?, 0),
        4 if all_digits => (number(digits.get(..2))?, number(digits.get(2..))?),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// A date, or a date and a time, in nanoseconds from the epoch as it stands; and the seconds of its offset, if it has one.
fn parse(text: &str) -> Option<(i128, Option<i64>)> {
    let text = text.trim();
    let epoch = NaiveDate::from_ymd_opt(1970, 1, 1)?;
    if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Some((i128::from((date - epoch).num_days()) * DAY, None));
    }
    let (time, seconds) = match text.strip_suffix(['Z', 'z']).or_else(|| text.strip_suffix("UTC")) {
        Some(time) => (time.trim_end(), Some(0)),
        // The first ten characters are the date, with dashes of its own.
        None => match text.char_indices().skip(11).find(|(_, c)| matches!(c, '+' | '-')) {
            Some((at, _)) => (text[..at].trim_end(), Some(offset(&text[at..])?)),
            None => (text, None),
        },
    };
    let forms = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"];
    let time = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(time, form).ok())?;
    let of_day = time - time.date().and_hms_opt(0, 0, 0)?;
    let nanos = i128::from((time.date() - epoch).num_days()) * DAY + i128::from(of_day.num_nanoseconds()?);
    Some((nanos, seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_times_of_the_column_s_clock() {
        use TimeUnit::Microsecond;
        let second = 1_000_000_000i128;
        let (naive, utc) = (Clock::Naive(Microsecond), Clock::Instant(Microsecond, Some(0)));
        let zurich = Clock::of(&DataType::Timestamp(Microsecond, Some("Europe/Zurich".into()))).unwrap();
        let east = Clock::of(&DataType::Timestamp(Microsecond, Some("+02:00".into()))).unwrap();
        for (clock, text, seconds) in [
            (&Clock::Date, "1970-01-03", Some(2 * 86_400)),
            (&Clock::Date, "1970-01-03 00:00+01:00", None),
            (&naive, "1970-01-01", Some(0)),
            (&naive, "1970-01-01 00:01", Some(60)),
            (&naive, "1970-01-01T00:00:02", Some(2)),
            (&naive, "1969-12-31 23:59:59", Some(-1)),
            (&naive, "1970-01-01T00:00:02Z", None),
            (&naive, "yesterday", None),
            (&naive, "1970-13-01", None),
            (&utc, "1970-01-01 01:00:00+01:00", Some(0)),
            (&utc, "1970-01-01T01:00:00-0030", Some(5400)),
            (&utc, "1970-01-01 00:00:07", Some(7)),
            (&utc, "1970-01-01 00:00:07 UTC", Some(7)),
            (&utc, "1970-01-02", Some(86_400)),
            (&zurich, "1970-01-02", None),
            (&zurich, "1970-01-01 01:00+01", Some(0)),
            (&east, "1970-01-01 02:00", Some(0)),
        ] {
            assert_eq!(clock.nanos(text), seconds.map(|s: i128| s * second), "{clock:?} {text}");
        }
        assert_eq!(naive.nanos("1970-01-01 00:00:00.123456789"), Some(123_456_789));
    }
}
