//! Columns of a row group as a Polars frame, for predicates: simple ones by what Arrow reads of them, so that a predicate
//! sees what is carried; lists and structs through Polars' own reader.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int64Type, TimeUnit, UInt64Type};
use arrow::error::ArrowError;
use polars::prelude::{
    BinaryChunked, BooleanChunked, Column, Float32Chunked, Float64Chunked, Int64Chunked, IntoSeries, NewChunkedArray,
    PlSmallStr, Series, StringChunked, TimeUnit as PolarsUnit, UInt64Chunked,
};

use super::comparisons::Form;
use super::decode::{SMALL_ARRAY, decode_stored};
use super::literals::{Clock, DAY, nanos_of};
use super::table::{InputColumn, RowGroup, Source};
use crate::error::{Error, Result};

/// Whether a column of this type is made here.
pub fn is_simple(data_type: &DataType) -> bool {
    use DataType::*;
    match data_type {
        Null | Boolean | Float16 | Float32 | Float64 | Utf8 | LargeUtf8 | Utf8View | Date32 | Date64 => true,
        Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => true,
        Timestamp(..) | Time32(_) | Time64(_) | Duration(_) => true,
        Decimal32(..) | Decimal64(..) | Decimal128(..) | Decimal256(..) => true,
        Dictionary(_, value) => is_simple(value),
        t => t.is_integer(),
    }
}

/// A column's values in one row group, under this name.
///
/// # Errors
/// A file that is damaged.
pub fn column(source: &Source, group: &RowGroup, column: InputColumn, form: Form, name: &str) -> Result<Column> {
    let wanted = source.field(column).data_type().clone();
    let mut whole: Option<Series> = None;
    let fail =
        |e: &dyn std::fmt::Display| Error::damaged(source.place(group).with_column(source.field(column).name()), e);
    decode_stored(source, group, column, SMALL_ARRAY, &mut |_, array| {
        let series = series(name, &array, &wanted, form).map_err(|e| fail(&e))?;
        match &mut whole {
            None => whole = Some(series),
            // Integers may be wider in one piece than in another, and bytes text in one alone.
            Some(whole) if whole.dtype() != series.dtype() => {
                let (a, b) = one_type(whole, &series).map_err(|e| fail(&e))?;
                *whole = a;
                whole.append(&b).map_err(|e| fail(&e))?;
            }
            Some(whole) => {
                whole.append(&series).map_err(|e| fail(&e))?;
            }
        }
        Ok(())
    })?;
    Ok(whole.unwrap_or_else(|| Series::new_empty(name.into(), &polars::prelude::DataType::Int64)).into())
}

fn one_type(a: &Series, b: &Series) -> polars::prelude::PolarsResult<(Series, Series)> {
    use polars::prelude::DataType::{Binary, Float64, Int64, String, UInt64};
    let to = match (a.dtype(), b.dtype()) {
        (String, Binary) | (Binary, String) => Binary,
        // Unsigned integers that fit 63 bits; decimals that do not.
        (Int64, UInt64) | (UInt64, Int64) => UInt64,
        (Int64, Float64) | (Float64, Int64) => Float64,
        (_, other) => other.clone(),
    };
    Ok((a.cast(&to)?, b.cast(&to)?))
}

/// Values as Polars has them; `wanted` is the type that the input has of the column, whatever this shard's is.
fn series(name: &str, array: &ArrayRef, wanted: &DataType, form: Form) -> Result<Series, ArrowError> {
    use DataType::*;
    let name = PlSmallStr::from(name);
    let array = match array.data_type() {
        Dictionary(_, value) => &cast(array, value)?,
        _ => array,
    };
    let wanted = if let Dictionary(_, value) = wanted { value.as_ref().clone() } else { wanted.clone() };
    if array.data_type().is_null() {
        let nulls = cast(array, &if wanted.is_null() { Boolean } else { wanted.clone() })?;
        return series(&name, &nulls, nulls.data_type(), form);
    }
    match form {
        Form::Values => {}
        Form::Ticks(unit) => {
            let to = unit.map_or(wanted, |unit| Timestamp(unit, None));
            return Ok(Int64Chunked::from_iter_options(name, ticks(array, &to, false)?.into_iter()).into_series());
        }
        Form::Days => {
            return Ok(Int64Chunked::from_iter_options(name, ticks(array, &wanted, true)?.into_iter()).into_series());
        }
        Form::Shifted => {
            // Signed ones that are not below zero.
            let shift = |bits: u64| (bits ^ (1 << 63)) as i64;
            if array.data_type().is_signed_integer() {
                let signed = cast(array, &Int64)?;
                let shifted = signed.as_primitive::<Int64Type>().iter().map(|v| v.map(|v| shift(v as u64)));
                return Ok(Int64Chunked::from_iter_options(name, shifted).into_series());
            }
            let unsigned = cast(array, &UInt64)?;
            let shifted = unsigned.as_primitive::<UInt64Type>().iter().map(|v| v.map(shift));
            return Ok(Int64Chunked::from_iter_options(name, shifted).into_series());
        }
    }
    let fail = |e: polars::prelude::PolarsError| ArrowError::CastError(e.to_string());
    Ok(match array.data_type() {
        Boolean => BooleanChunked::from_iter_options(name, array.as_boolean().iter()).into_series(),
        UInt64 => {
            let values = array.as_primitive::<UInt64Type>();
            match values.iter().flatten().all(|v| i64::try_from(v).is_ok()) {
                true => Int64Chunked::from_iter_options(name, values.iter().map(|v| v.map(|v| v as i64))).into_series(),
                false => UInt64Chunked::from_iter_options(name, values.iter()).into_series(),
            }
        }
        // 64 bits wide, as Polars calculates in the width of the column and wraps.
        t if t.is_integer() => integers(name, &cast(array, &Int64)?),
        Float64 => Float64Chunked::from_iter_options(name, array.as_primitive::<Float64Type>().iter()).into_series(),
        Float16 | Float32 => {
            let values = cast(array, &Float32)?;
            Float32Chunked::from_iter_options(name, values.as_primitive::<Float32Type>().iter()).into_series()
        }
        Decimal32(_, 0) | Decimal64(_, 0) | Decimal128(_, 0) | Decimal256(_, 0) => {
            let whole = cast(array, &Int64)?;
            match whole.null_count() == array.null_count() {
                true => integers(name, &whole),
                false => doubles(name, &cast(array, &Float64)?),
            }
        }
        Decimal32(..) | Decimal64(..) | Decimal128(..) | Decimal256(..) => doubles(name, &cast(array, &Float64)?),
        Utf8 | LargeUtf8 | Utf8View => {
            let texts = cast(array, &Utf8View)?;
            StringChunked::from_iter_options(name, texts.as_string_view().iter()).into_series()
        }
        Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => {
            let bytes = cast(array, &BinaryView)?;
            let bytes = bytes.as_binary_view();
            // Bytes that are text compare as such.
            let texts: Option<Vec<Option<&str>>> =
                bytes.iter().map(|v| v.map(std::str::from_utf8).transpose().ok()).collect();
            match texts {
                Some(texts) => StringChunked::from_iter_options(name, texts.into_iter()).into_series(),
                None => BinaryChunked::from_iter_options(name, bytes.iter()).into_series(),
            }
        }
        Date32 | Date64 => {
            let days = ticks(array, &Date32, false)?;
            let days = Int64Chunked::from_iter_options(name, days.into_iter()).into_series();
            days.cast(&polars::prelude::DataType::Int32)
                .and_then(|days| days.cast(&polars::prelude::DataType::Date))
                .map_err(fail)?
        }
        // As it stands in UTC: what asks for more than the instant is refused before.
        Timestamp(unit, _) => {
            let (unit, polars) = polars_unit(*unit);
            let ticks = ticks(array, &Timestamp(unit, None), false)?;
            Int64Chunked::from_iter_options(name, ticks.into_iter()).into_datetime(polars, None).into_series()
        }
        Time32(_) | Time64(_) => {
            let nanos = cast(&cast(array, &Time64(TimeUnit::Nanosecond))?, &Int64)?;
            let nanos = integers(name, &nanos);
            nanos.cast(&polars::prelude::DataType::Time).map_err(fail)?
        }
        Duration(unit) => {
            let (unit, polars) = polars_unit(*unit);
            let ticks = cast(&cast(array, &Duration(unit))?, &Int64)?;
            integers(name, &ticks).cast(&polars::prelude::DataType::Duration(polars)).map_err(fail)?
        }
        other => return Err(ArrowError::CastError(format!("predicates do not read {other}"))),
    })
}

fn polars_unit(unit: TimeUnit) -> (TimeUnit, PolarsUnit) {
    match unit {
        TimeUnit::Second | TimeUnit::Millisecond => (TimeUnit::Millisecond, PolarsUnit::Milliseconds),
        TimeUnit::Microsecond => (unit, PolarsUnit::Microseconds),
        TimeUnit::Nanosecond => (unit, PolarsUnit::Nanoseconds),
    }
}

fn integers(name: PlSmallStr, array: &ArrayRef) -> Series {
    Int64Chunked::from_iter_options(name, array.as_primitive::<Int64Type>().iter()).into_series()
}

fn doubles(name: PlSmallStr, array: &ArrayRef) -> Series {
    Float64Chunked::from_iter_options(name, array.as_primitive::<Float64Type>().iter()).into_series()
}

/// Ticks of the wanted type's unit, or whole days on its clock. What 64 bits do not hold stays at their end, and so on its side
/// of every comparison.
fn ticks(array: &ArrayRef, wanted: &DataType, days: bool) -> Result<Vec<Option<i64>>, ArrowError> {
    let own = match array.data_type() {
        DataType::Date32 => DAY,
        DataType::Date64 => nanos_of(TimeUnit::Millisecond),
        DataType::Timestamp(unit, _) => nanos_of(*unit),
        other => return Err(ArrowError::CastError(format!("{other} tells no time"))),
    };
    let (to, offset) = match Clock::of(wanted) {
        Some(Clock::Instant(_, zone)) if days => (DAY, i128::from(zone.unwrap_or(0)) * 1_000_000_000),
        Some(_) if days => (DAY, 0),
        Some(clock) => (clock.tick(), 0),
        None => (own, 0),
    };
    let raw = match array.data_type() {
        DataType::Date32 => cast(&cast(array, &DataType::Int32)?, &DataType::Int64)?,
        _ => cast(array, &DataType::Int64)?,
    };
    let scaled = |ticks: i64| {
        if own == to && offset == 0 {
            return ticks;
        }
        let nanos = i128::from(ticks) * own + offset;
        nanos.div_euclid(to).clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
    };
    Ok(raw.as_primitive::<Int64Type>().iter().map(|ticks| ticks.map(scaled)).collect())
}
