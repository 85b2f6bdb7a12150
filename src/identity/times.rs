//! Times as 64-bit integers that are in order as the times are.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::*;
use chrono::NaiveDate;

use super::canonical::flatten;
use crate::error::{Error, Place, Result};
use crate::keys::ordered_bits;

/// Nanoseconds of a unit.
fn nanos(unit: TimeUnit) -> i128 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}

/// The nanoseconds of a date's or timestamp's tick; `None` of numbers.
pub fn tick(data_type: &DataType) -> Option<i128> {
    match data_type {
        DataType::Date32 => Some(86_400_000_000_000),
        DataType::Date64 => Some(1_000_000),
        DataType::Timestamp(unit, _) => Some(nanos(*unit)),
        _ => None,
    }
}

/// The values of a time column in the ticks of `wanted`, the type that the input has of it; floats by their ordered bits.
/// `row` tells a row's ordinal in its row group.
///
/// # Errors
/// A null, a number that is not finite, a text that is no date, or a time that the ticks do not reach, with its row.
pub fn times(column: &ArrayRef, wanted: &DataType, place: &Place, row: impl Fn(usize) -> u32) -> Result<Vec<i64>> {
    let plain = flatten(column);
    let fail = |at: usize, problem: &str| {
        let problem = format!("row {} of this row group {problem}", row(at));
        Err(Error::input(place.clone(), problem, "filter such rows with input.where"))
    };
    if let Some(at) = plain.logical_nulls().and_then(|n| (0..n.len()).find(|i| n.is_null(*i))) {
        return fail(at, "has no time");
    }
    let damaged = |e| Error::damaged(place.clone(), e);
    if wanted.is_floating() {
        let floats = cast(&plain, &DataType::Float64).map_err(damaged)?;
        let floats = floats.as_primitive::<Float64Type>().values();
        // Where another file has floats, an integer must be one exactly.
        if plain.data_type().is_integer() {
            let whole = cast(&plain, &DataType::Int64).map_err(damaged)?;
            let whole = whole.as_primitive::<Int64Type>();
            let differs = |i: &usize| whole.is_null(*i) || floats[*i] as i128 != i128::from(whole.value(*i));
            if let Some(at) = (0..whole.len()).find(differs) {
                return fail(at, "has a time that is not a double, as those of another file are");
            }
        }
        if let Some(at) = floats.iter().position(|x| !x.is_finite()) {
            return fail(at, "has a time that is not finite");
        }
        return Ok(floats.iter().map(|x| ordered_bits(*x)).collect());
    }
    if plain.data_type().is_string() {
        let texts = cast(&plain, &DataType::Utf8View).map_err(damaged)?;
        let days: Vec<Option<i32>> = texts.as_string_view().iter().map(|text| text.and_then(days)).collect();
        return match days.iter().position(Option::is_none) {
            Some(at) => fail(at, "has a time that is not a date, written as 2024-01-31"),
            None => Ok(days.into_iter().flatten().map(i64::from).collect()),
        };
    }
    let wide = match plain.data_type() {
        DataType::Date32 => cast(&plain, &DataType::Int32).and_then(|a| cast(&a, &DataType::Int64)),
        _ => cast(&plain, &DataType::Int64),
    };
    let wide = wide.map_err(damaged)?;
    if let Some(at) = (0..wide.len()).find(|i| wide.is_null(*i)) {
        return fail(at, "has a time that does not fit 64 signed bits");
    }
    let ticks: &Int64Array = wide.as_primitive();
    match (tick(plain.data_type()), tick(wanted)) {
        (Some(own), Some(to)) if own != to => {
            let scaled: Vec<Option<i64>> = ticks
                .values()
                .iter()
                .map(|t| i128::from(*t) * own)
                .map(|nanos| i64::try_from(nanos / to).ok().filter(|_| nanos % to == 0))
                .collect();
            match scaled.iter().position(Option::is_none) {
                Some(at) => fail(at, "has a time that the unit of another file does not hold"),
                None => Ok(scaled.into_iter().flatten().collect()),
            }
        }
        _ => Ok(ticks.values().to_vec()),
    }
}

/// Days from the epoch of a text that is a date and nothing else.
fn days(text: &str) -> Option<i32> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == 10)?;
    i32::try_from((date - NaiveDate::from_ymd_opt(1970, 1, 1)?).num_days()).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::*;

    use super::*;

    fn of(array: ArrayRef, wanted: &DataType) -> Result<Vec<i64>> {
        times(&array, wanted, &Place::default(), |row| row as u32 + 5)
    }

    #[test]
    fn times_are_told_in_the_input_s_ticks_and_in_order() {
        let nanos = DataType::Timestamp(TimeUnit::Nanosecond, None);
        assert_eq!(of(Arc::new(TimestampMicrosecondArray::from(vec![3, -1])), &nanos).unwrap(), [3000, -1000]);
        let far = of(Arc::new(TimestampSecondArray::from(vec![0, i64::MAX])), &nanos).unwrap_err().to_string();
        assert!(far.contains("row 6 "), "{far}");
        assert_eq!(of(Arc::new(Int32Array::from(vec![7])), &DataType::Int64).unwrap(), [7]);
        assert_eq!(of(Arc::new(StringArray::from(vec!["1970-01-03"])), &DataType::Date32).unwrap(), [2]);
        assert!(of(Arc::new(StringArray::from(vec!["1970-1-3"])), &DataType::Date32).is_err());
        let floats = of(Arc::new(Float64Array::from(vec![-2.5, -0.0, 0.0, 1e300])), &DataType::Float64).unwrap();
        assert!(floats.is_sorted() && floats[1] == floats[2]);
        assert!(of(Arc::new(Float64Array::from(vec![f64::NAN])), &DataType::Float64).is_err());
        assert!(of(Arc::new(Int64Array::from(vec![Some(1), None])), &DataType::Int64).is_err());
    }
}
