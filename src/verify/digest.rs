//! Values of any type as 128-bit digests, through Polars.

use polars::prelude::{AnyValue, Series};
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
            series.iter().for_each(|v| write(&v, out));
        }
        AnyValue::Struct(..) | AnyValue::StructOwned(..) => {
            put(10, &[]);
            value._iter_struct_av().for_each(|field| write(&field, out));
        }
        AnyValue::Categorical(..) | AnyValue::CategoricalOwned(..) => {
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
