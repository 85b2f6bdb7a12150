//! Values of any type as 128-bit digests, through Polars.

use polars::prelude::{AnyValue, DataFrame, DataType, Field, Series, TimeUnit};
use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_128;

/// A payload column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    /// Whether files have it in different types: then what counts is the value, not its form.
    pub by_value: bool,
}

/// The digest of each value of a column that has one type; `None` for null.
pub fn digests(series: &Series) -> Vec<Option<u128>> {
    digests_of(series, false)
}

/// The digest of each value of a role: that of the number for any type that a number may have, and NaN is null.
pub fn role_digests(series: &Series) -> Vec<Option<u128>> {
    if !series.dtype().is_float() {
        return digests_of(series, true);
    }
    let is_nan = |value: &AnyValue<'_>| {
        matches!(value, AnyValue::Float64(x) if x.is_nan()) || matches!(value, AnyValue::Float32(x) if x.is_nan())
    };
    let rechunked = series.rechunk();
    let nan = rechunked.iter().map(|value| is_nan(&value));
    digests_of(series, true).into_iter().zip(nan).map(|(digest, nan)| digest.filter(|_| !nan)).collect()
}

fn digests_of(series: &Series, by_value: bool) -> Vec<Option<u128>> {
    let mut bytes = Vec::new();
    series
        .rechunk()
        .iter()
        .map(|value| {
            bytes.clear();
            (!matches!(value, AnyValue::Null)).then(|| {
                write(&value, by_value, &mut bytes);
                xxh3_128(&bytes)
            })
        })
        .collect()
}

/// A digest of each row's values in the given columns; what the frame lacks is null.
pub fn row_digests(frame: &DataFrame, columns: &[Column]) -> Vec<u128> {
    let of_columns: Vec<Option<Vec<Option<u128>>>> = columns
        .par_iter()
        .map(|Column { name, by_value }| {
            frame.column(name).ok().map(|column| digests_of(column.as_materialized_series(), *by_value))
        })
        .collect();
    let mut rows = vec![0u128; frame.height()];
    for values in of_columns {
        for (k, row) in rows.iter_mut().enumerate() {
            let value = values.as_ref().and_then(|values| values[k]);
            let mut bytes = [0; 33];
            bytes[..16].copy_from_slice(&row.to_le_bytes());
            bytes[16] = u8::from(value.is_some());
            bytes[17..].copy_from_slice(&value.unwrap_or(0).to_le_bytes());
            *row = xxh3_128(&bytes);
        }
    }
    rows
}

/// Appends a list's elements at once, if they are numbers without nulls.
fn write_numbers(series: &Series, out: &mut Vec<u8>) -> bool {
    macro_rules! append {
        ($numbers:expr) => {{
            let Some(values) = $numbers.ok().and_then(|numbers| numbers.cont_slice().ok()) else { return false };
            out.push(11);
            values.iter().for_each(|v| out.extend(v.to_le_bytes()));
        }};
    }
    if series.has_nulls() {
        return false;
    }
    match series.dtype() {
        DataType::Int8 => append!(series.i8()),
        DataType::Int16 => append!(series.i16()),
        DataType::Int32 => append!(series.i32()),
        DataType::Int64 => append!(series.i64()),
        DataType::UInt8 => append!(series.u8()),
        DataType::UInt16 => append!(series.u16()),
        DataType::UInt32 => append!(series.u32()),
        DataType::UInt64 => append!(series.u64()),
        DataType::Float32 => append!(series.f32()),
        DataType::Float64 => append!(series.f64()),
        _ => return false,
    }
    true
}

fn nanos(unit: TimeUnit) -> i128 {
    match unit {
        TimeUnit::Milliseconds => 1_000_000,
        TimeUnit::Microseconds => 1_000,
        TimeUnit::Nanoseconds => 1,
    }
}

/// A value's bytes, tagged and delimited. If `by_value`, numbers are written alike in all their types, and structs whatever
/// nulls they have fields for.
fn write(value: &AnyValue<'_>, by_value: bool, out: &mut Vec<u8>) {
    let mut put = |tag: u8, bytes: &[u8]| {
        out.push(tag);
        out.extend((bytes.len() as u64).to_le_bytes());
        out.extend(bytes);
    };
    // Every integer below 2⁵³ is a double; beyond, the double is the integer that it is exactly.
    let whole = |x: f64| {
        (by_value && x.fract() == 0.0 && x.abs() < 1e30 && !(x == 0.0 && x.is_sign_negative())).then_some(x as i128)
    };
    match value {
        AnyValue::Null => put(0, &[]),
        AnyValue::Boolean(b) => put(1, &[u8::from(*b)]),
        AnyValue::String(s) => put(2, s.as_bytes()),
        AnyValue::StringOwned(s) => put(2, s.as_bytes()),
        AnyValue::Binary(b) => put(3, b),
        AnyValue::BinaryOwned(b) => put(3, b),
        AnyValue::Float32(x) => match whole(f64::from(*x)) {
            Some(integer) => put(8, &integer.to_le_bytes()),
            None if by_value => put(5, &f64::from(*x).to_bits().to_le_bytes()),
            None => put(4, &x.to_bits().to_le_bytes()),
        },
        AnyValue::Float64(x) => match whole(*x) {
            Some(integer) => put(8, &integer.to_le_bytes()),
            None => put(5, &x.to_bits().to_le_bytes()),
        },
        AnyValue::List(series) | AnyValue::Array(series, _) => {
            put(6, &(series.len() as u64).to_le_bytes());
            // Most lists are long and of numbers: value by value, they took most of the time.
            if by_value || !write_numbers(series, out) {
                series.iter().for_each(|v| write(&v, by_value, out));
            }
        }
        AnyValue::Struct(_, _, fields) => {
            put(10, &[]);
            write_fields(value._iter_struct_av().collect(), fields, by_value, out);
        }
        AnyValue::StructOwned(owned) => {
            put(10, &[]);
            write_fields(owned.0.clone(), &owned.1, by_value, out);
        }
        AnyValue::Categorical(..) | AnyValue::CategoricalOwned(..) | AnyValue::Enum(..) | AnyValue::EnumOwned(..) => {
            put(2, value.get_str().unwrap_or_default().as_bytes());
        }
        AnyValue::Datetime(t, unit, _) | AnyValue::DatetimeOwned(t, unit, _) => {
            put(7, &(i128::from(*t) * nanos(*unit)).to_le_bytes());
        }
        AnyValue::Date(d) => put(7, &(i128::from(*d) * 86_400_000_000_000).to_le_bytes()),
        AnyValue::Decimal(unscaled, _, scale) => {
            // Without zeros behind the point.
            let (mut unscaled, mut scale) = (*unscaled, *scale);
            while scale > 0 && unscaled % 10 == 0 {
                (unscaled, scale) = (unscaled / 10, scale - 1);
            }
            match scale {
                0 => put(8, &unscaled.to_le_bytes()),
                _ => put(12, &[&unscaled.to_le_bytes()[..], &(scale as u64).to_le_bytes()].concat()),
            }
        }
        AnyValue::Time(t) => put(7, &i128::from(*t).to_le_bytes()),
        AnyValue::Duration(t, unit) => put(7, &(i128::from(*t) * nanos(*unit)).to_le_bytes()),
        other => match other.try_extract::<i128>() {
            Ok(integer) => put(8, &integer.to_le_bytes()),
            // The rest by their full rendering.
            Err(_) => put(9, format!("{other:?}").as_bytes()),
        },
    }
}

fn write_fields(values: Vec<AnyValue<'_>>, fields: &[Field], by_value: bool, out: &mut Vec<u8>) {
    if !by_value {
        return values.iter().for_each(|value| write(value, by_value, out));
    }
    let mut named: Vec<(&str, &AnyValue<'_>)> = fields.iter().map(|f| f.name().as_str()).zip(&values).collect();
    // Writers call the two fields of maps one way or the other.
    if let [("keys", key), ("values", value)] = named.as_slice() {
        named = vec![("key", *key), ("value", *value)];
    }
    named.retain(|(_, value)| !matches!(value, AnyValue::Null));
    named.sort_unstable_by_key(|(name, _)| *name);
    out.extend((named.len() as u64).to_le_bytes());
    for (name, value) in named {
        write(&AnyValue::String(name), by_value, out);
        write(value, by_value, out);
    }
}
