//! Windows of a calendar: days, weeks and months of a zone, by moments that ascend.

use chrono::{DateTime, Datelike, Days, LocalResult, Months, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Utc};

use crate::pipeline::{Unit, Zone};

/// Days from 1 January of the year 1 to the epoch, by the proleptic Gregorian calendar.
const EPOCH: i32 = 719_163;

/// Days from the Monday before the epoch, a Thursday, to the epoch.
const MONDAY: i64 = 3;

const NANOS: i128 = 1_000_000_000;

/// Tells the window of each of ascending moments.
pub struct Calendar {
    unit: Unit,
    number: i64,
    /// `None`: times are local already.
    zone: Option<Zone>,
    window: i64,
    /// The first nanosecond behind the window, from the epoch.
    end: i128,
}

impl Calendar {
    pub fn new(unit: Unit, number: u32, zone: Option<Zone>) -> Self {
        Calendar { unit, number: number.max(1).into(), zone, window: i64::MIN, end: i128::MIN }
    }

    /// The window of a moment, which is no earlier than those before; nanoseconds from the epoch.
    pub fn window(&mut self, nanos: i128) -> i64 {
        if nanos >= self.end {
            let seconds = i64::try_from(nanos.div_euclid(NANOS)).ok();
            let moment = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
            // Clocks that are set back over midnight open no window again.
            self.window = match moment {
                Some(moment) => self.window.max(self.of(self.local(moment).date())),
                None if nanos < 0 => self.window.max(i64::MIN + 1),
                None => i64::MAX,
            };
            self.end = moment.and_then(|_| self.end_of(self.window)).unwrap_or(nanos + 1);
        }
        self.window
    }

    fn local(&self, moment: DateTime<Utc>) -> NaiveDateTime {
        match self.zone {
            None => moment.naive_utc(),
            Some(Zone::Named(zone)) => moment.with_timezone(&zone).naive_local(),
            Some(Zone::Fixed(offset)) => moment.with_timezone(&offset).naive_local(),
        }
    }

    fn of(&self, date: NaiveDate) -> i64 {
        let day = i64::from(date.num_days_from_ce() - EPOCH);
        match self.unit {
            Unit::Day => day.div_euclid(self.number),
            Unit::Week => (day + MONDAY).div_euclid(7 * self.number),
            Unit::Month => (i64::from(date.year()) * 12 + i64::from(date.month0())).div_euclid(self.number),
        }
    }

    /// Where the next window begins.
    fn end_of(&self, window: i64) -> Option<i128> {
        let next = window.checked_add(1)?.checked_mul(self.number)?;
        let epoch = NaiveDate::from_num_days_from_ce_opt(EPOCH)?;
        let plus = |days: i64| match u64::try_from(days) {
            Ok(days) => epoch.checked_add_days(Days::new(days)),
            Err(_) => epoch.checked_sub_days(Days::new(days.unsigned_abs())),
        };
        let date = match self.unit {
            Unit::Day => plus(next)?,
            Unit::Week => plus(next.checked_mul(7)? - MONDAY)?,
            Unit::Month => {
                let months = u32::try_from(next).ok()?;
                NaiveDate::from_ymd_opt(0, 1, 1)?.checked_add_months(Months::new(months))?
            }
        };
        let midnight = date.and_hms_opt(0, 0, 0)?;
        let seconds = match self.zone {
            None => midnight.and_utc().timestamp(),
            Some(Zone::Named(zone)) => earliest(&zone, midnight)?,
            Some(Zone::Fixed(offset)) => earliest(&offset, midnight)?,
        };
        Some(i128::from(seconds) * NANOS)
    }
}

/// The first moment whose local time is `local` or later, in seconds from the epoch.
fn earliest(zone: &impl TimeZone, local: NaiveDateTime) -> Option<i64> {
    // Clocks that are set forward skip up to a day.
    (0..=96).find_map(|quarters| match zone.from_local_datetime(&(local + TimeDelta::minutes(15 * quarters))) {
        LocalResult::Single(moment) | LocalResult::Ambiguous(moment, _) => Some(moment.timestamp()),
        LocalResult::None => None,
    })
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;

    /// The window of each of some moments, asked one by one.
    fn slow(calendar: &Calendar, seconds: i64) -> i64 {
        calendar.of(calendar.local(DateTime::from_timestamp(seconds, 0).unwrap()).date())
    }

    #[test]
    fn windows_are_those_of_the_local_date() {
        for zone in ["UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Apia", "-03:30"] {
            for (unit, number) in
                [(Unit::Day, 1), (Unit::Day, 7), (Unit::Week, 1), (Unit::Week, 2), (Unit::Month, 1), (Unit::Month, 3)]
            {
                let mut calendar = Calendar::new(unit, number, Some(Zone::from_str(zone).unwrap()));
                let mut last = i64::MIN;
                // Two years before the epoch to 2030, each 37 minutes and a bit.
                for seconds in (-63_000_000..1_893_000_000).step_by(2_237 * 61) {
                    let expected = slow(&calendar, seconds).max(last);
                    assert_eq!(calendar.window(i128::from(seconds) * NANOS + 5), expected, "{zone} {unit:?} {seconds}");
                    last = expected;
                }
            }
        }
    }

    #[test]
    fn each_window_begins_at_its_local_midnight() {
        let zone = Zone::from_str("Europe/Berlin").unwrap();
        // 31 March 2024 has 23 hours in Berlin; April begins at 22:00 UTC of the day before.
        let april = 1_711_922_400i128;
        for (unit, is_new) in [(Unit::Month, true), (Unit::Day, true), (Unit::Week, true)] {
            let mut calendar = Calendar::new(unit, 1, Some(zone));
            let before = calendar.window(april * NANOS - 1);
            assert_eq!(calendar.window(april * NANOS) > before, is_new, "{unit:?}");
        }
        // 1 April 2024 is a Monday.
        let mut weeks = Calendar::new(Unit::Week, 1, None);
        let sunday = weeks.window(1_711_843_200 * NANOS);
        assert_eq!(weeks.window(1_711_929_600 * NANOS), sunday + 1);
        assert_eq!(weeks.window(1_712_448_000 * NANOS), sunday + 1);
    }

    #[test]
    fn moments_that_no_calendar_holds_are_windows_too() {
        let mut calendar = Calendar::new(Unit::Month, 1, None);
        let early = calendar.window(i128::from(i64::MIN) * NANOS);
        assert!(calendar.window(0) > early);
        assert!(calendar.window(i128::from(i64::MAX) * NANOS) > 12 * 2024);
    }
}
