//! Values of any type as 128-bit digests, through Polars.

use polars::prelude::{AnyValue, DataFrame, DataType, Series};
use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_128;

/// The digest of each value; `None` for null.
pub fn digests(series: &Series) -> Vec<Option<u128>> {
    let mut bytes = Vec::new();
    series
        .rechunk()
        .iter()
        .map(|value| {
            bytes.clear();
            (!matches!(value, AnyValue::Null)).then(|| {
                write(&value, &mut bytes);
                xxh3_128(&bytes)
            })
        })
        .collect()
}

/// A digest of each row's values in the given columns, as far as the frame has them.
pub fn row_digests(frame: &DataFrame, columns: &[String]) -> Vec<u128> {
    let there: Vec<_> = columns.iter().filter_map(|name| frame.column(name).ok()).collect();
    let of_columns: Vec<_> = there.into_par_iter().map(|column| digests(column.as_materialized_series())).collect();
    let mut rows = vec![0u128; frame.height()];
    for values in of_columns {
        for (row, value) in rows.iter_mut().zip(values) {
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

/// A value's bytes, tagged and delimited.
fn write(value: &AnyValue<'_>, out: &mut Vec<u8>) {
    let mut put = |tag: u8, bytes: &[u8]| {
        out.push(tag);
        out.extend((bytes.len() as u64).to_le_bytes());
        out.extend(bytes);
    };
    match value {
        AnyValue::Null => put(0, &[]),
        AnyValue::Boolean(b) => put(1, &[u8::from(*b)]),
        AnyValue::String(s) => put(2, s.as_bytes()),
        AnyValue::StringOwned(s) => put(2, s.as_bytes()),
        AnyValue::Binary(b) => put(3, b),
        AnyValue::BinaryOwned(b) => put(3, b),
        AnyValue::Float32(x) => put(4, &x.to_bits().to_le_bytes()),
        AnyValue::Float64(x) => put(5, &x.to_bits().to_le_bytes()),
        AnyValue::List(series) | AnyValue::Array(series, _) => {
            put(6, &(series.len() as u64).to_le_bytes());
            // Most lists are long and of numbers: value by value, they took most of the time.
            if !write_numbers(series, out) {
                series.iter().for_each(|v| write(&v, out));
            }
        }
        AnyValue::Struct(..) | AnyValue::StructOwned(..) => {
            put(10, &[]);
            value._iter_struct_av().for_each(|field| write(&field, out));
        }
        AnyValue::Categorical(..) | AnyValue::CategoricalOwned(..) | AnyValue::Enum(..) | AnyValue::EnumOwned(..) => {
            put(2, value.get_str().unwrap_or_default().as_bytes());
        }
        AnyValue::Datetime(t, ..) | AnyValue::DatetimeOwned(t, ..) => put(7, &t.to_le_bytes()),
        AnyValue::Date(d) => put(7, &i64::from(*d).to_le_bytes()),
        AnyValue::Time(t) | AnyValue::Duration(t, _) => put(7, &t.to_le_bytes()),
        other => match other.try_extract::<i128>() {
            Ok(integer) => put(8, &integer.to_le_bytes()),
            // The rest by their full rendering.
            Err(_) => put(9, format!("{other:?}").as_bytes()),
        },
    }
}
