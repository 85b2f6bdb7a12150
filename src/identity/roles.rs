//! What may play a role, and in which form: whole floats and decimals of scale 0 are the integers that they are.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Int64Array};
use arrow::compute::{cast, filter, is_not_null, nullif};
use arrow::datatypes::*;

use crate::error::{Error, Place, Result};

/// What a column may be when it plays a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Boolean,
    Integer,
    String,
    Binary,
    Date,
    Timestamp,
    /// All null: it fits every role.
    Null,
}

/// The kind of a type that may play a role; `None` for all others.
pub fn role_kind(data_type: &DataType) -> Option<Kind> {
    use DataType::*;
    match data_type {
        Null => Some(Kind::Null),
        Boolean => Some(Kind::Boolean),
        Float16 | Float32 | Float64 => Some(Kind::Integer),
        Decimal32(_, 0) | Decimal64(_, 0) | Decimal128(_, 0) | Decimal256(_, 0) => Some(Kind::Integer),
        t if t.is_integer() => Some(Kind::Integer),
        Utf8 | LargeUtf8 | Utf8View => Some(Kind::String),
        Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => Some(Kind::Binary),
        Date32 | Date64 => Some(Kind::Date),
        Timestamp(..) => Some(Kind::Timestamp),
        Dictionary(_, value) => role_kind(value),
        _ => None,
    }
}

/// Floats below this are all the integers that they look like: 2 to the bits of the fraction and one.
fn whole_below(data_type: &DataType) -> f64 {
    match data_type {
        DataType::Float16 => (1u64 << 11) as f64,
        DataType::Float32 => (1u64 << 24) as f64,
        _ => (1u64 << 53) as f64,
    }
}

/// A role's values with floats and decimals as integers; `input_row` tells a row's ordinal in its row group, for errors.
///
/// # Errors
/// A float that is no whole number or too large to be surely one; a decimal of more than 38 digits.
pub fn as_integers(array: &ArrayRef, place: &Place, name: &str, row: impl Fn(usize) -> u32) -> Result<ArrayRef> {
    use DataType::*;
    let damaged = |e| Error::damaged(place.clone().with_column(name), e);
    let refuse = |at: usize, problem: &str, remedy: &str| {
        let problem = format!("row {} of this row group {problem}", row(at));
        Err(Error::input(place.clone().with_column(name), problem, remedy))
    };
    match array.data_type() {
        Float16 | Float32 | Float64 => {
            let floats = cast(array, &Float64).map_err(damaged)?;
            let floats = floats.as_primitive::<Float64Type>();
            let limit = whole_below(array.data_type());
            let is_whole = |x: f64| x.is_nan() || (x.fract() == 0.0 && x.abs() < limit);
            if let Some(at) = (0..floats.len()).find(|i| floats.is_valid(*i) && !is_whole(floats.value(*i))) {
                let what = format!("holds no whole number below {limit}, which a float needs to play a role");
                return refuse(at, &what, "write the column as integers or text, or filter such rows with input.where");
            }
            let whole = floats.iter().map(|x| x.filter(|x| !x.is_nan()).map(|x| x as i64));
            Ok(Arc::new(whole.collect::<Int64Array>()))
        }
        Decimal32(_, 0) | Decimal64(_, 0) | Decimal128(_, 0) | Decimal256(_, 0) => {
            let wide = cast(array, &Decimal128(38, 0)).map_err(damaged)?;
            if wide.null_count() > array.null_count() {
                let lost = (0..wide.len()).find(|i| wide.is_null(*i) && array.is_valid(*i)).unwrap_or(0);
                return refuse(lost, "holds a number of more than 38 digits", "write the column as text");
            }
            // Most fit, and are hashed as integers are.
            let narrow = cast(&wide, &Int64).map_err(damaged)?;
            Ok(if narrow.null_count() == wide.null_count() { narrow } else { wide })
        }
        Dictionary(_, value) if value.is_floating() || value.is_decimal() => {
            as_integers(&super::canonical::flatten(array), place, name, row)
        }
        Null => Ok(Arc::new(Int64Array::new_null(array.len()))),
        _ => Ok(Arc::clone(array)),
    }
}

/// A role's values with NaN as null; all else as it is.
pub fn without_nan(array: &ArrayRef) -> ArrayRef {
    let value = if let DataType::Dictionary(_, value) = array.data_type() { value } else { array.data_type() };
    if !value.is_floating() {
        return Arc::clone(array);
    }
    let plain = super::canonical::flatten(array);
    // Floats are no wider than this.
    let Ok(floats) = cast(&plain, &DataType::Float64) else { return Arc::clone(array) };
    let floats = floats.as_primitive::<Float64Type>();
    let nan: BooleanArray = (0..floats.len()).map(|i| Some(floats.is_valid(i) && floats.value(i).is_nan())).collect();
    if nan.true_count() == 0 { Arc::clone(array) } else { nullif(&plain, &nan).unwrap_or(plain) }
}

/// The texts of labels that are not null, as classes name them: numbers in digits, `true` and `false`, dates and instants (in
/// UTC) as ISO 8601, bytes as the text that they are; `None` for bytes that are no text.
///
/// # Errors
/// A type that no role takes.
pub fn texts(labels: &ArrayRef) -> Result<Vec<Option<String>>, arrow::error::ArrowError> {
    use DataType::*;
    let labels = filter(labels, &is_not_null(labels)?)?;
    let of_text = |array: &dyn Array| -> Result<Vec<Option<String>>, arrow::error::ArrowError> {
        let texts = cast(array, &Utf8View)?;
        Ok(texts.as_string_view().iter().map(|text| text.map(str::to_owned)).collect())
    };
    match labels.data_type() {
        Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => {
            let bytes = cast(&labels, &BinaryView)?;
            let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
            Ok(bytes.as_binary_view().iter().map(|bytes| bytes.and_then(text)).collect())
        }
        Decimal128(..) => {
            let numbers: &Decimal128Array = labels.as_primitive();
            Ok(numbers.values().iter().map(|number| Some(number.to_string())).collect())
        }
        // A zone by name can't be written out; the instant in UTC can.
        Timestamp(unit, Some(_)) => {
            let ticks = cast(&labels, &Int64)?;
            of_text(&cast(&ticks, &Timestamp(*unit, Some("+00:00".into())))?)
        }
        _ => of_text(&labels),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::*;

    use super::*;

    fn whole(array: ArrayRef) -> Result<ArrayRef> {
        as_integers(&array, &Place::default(), "c", |row| row as u32 + 10)
    }

    #[test]
    fn whole_floats_and_decimals_are_integers_and_nan_is_null() {
        let integers: ArrayRef = Arc::new(Int64Array::from(vec![Some(3), None, None, Some(-7), Some(0)]));
        let floats = vec![Some(3.0), None, Some(f64::NAN), Some(-7.0), Some(-0.0)];
        assert_eq!(&whole(Arc::new(Float64Array::from(floats.clone()))).unwrap(), &integers);
        let singles: Float32Array = floats.iter().map(|x| x.map(|x| x as f32)).collect();
        assert_eq!(&whole(Arc::new(singles)).unwrap(), &integers);
        let decimals = Decimal128Array::from(vec![Some(3), None, None, Some(-7), Some(0)]);
        let decimals = decimals.with_precision_and_scale(38, 0).unwrap();
        assert_eq!(&whole(Arc::new(decimals)).unwrap(), &integers);
        for (bad, row) in [(vec![1.0, 2.5], 11), (vec![f64::INFINITY], 10), (vec![0.0, 0.0, 9007199254740992.0], 12)] {
            let error = whole(Arc::new(Float64Array::from(bad))).unwrap_err().to_string();
            assert!(error.contains(&format!("row {row} ")), "{error}");
        }
        assert!(whole(Arc::new(Float32Array::from(vec![16777216.0]))).is_err());
        let large = Decimal128Array::from(vec![i128::from(i64::MAX) + 1]).with_precision_and_scale(30, 0).unwrap();
        assert_eq!(whole(Arc::new(large)).unwrap().data_type(), &DataType::Decimal128(38, 0));
    }

    #[test]
    fn labels_are_named_as_people_write_them() {
        let of = |array: ArrayRef| texts(&whole(array).unwrap()).unwrap();
        let named = |texts: &[&str]| texts.iter().map(|text| Some((*text).to_owned())).collect::<Vec<_>>();
        assert_eq!(of(Arc::new(Float64Array::from(vec![Some(1.0), None, Some(0.0)]))), named(&["1", "0"]));
        assert_eq!(of(Arc::new(BooleanArray::from(vec![true, false]))), named(&["true", "false"]));
        assert_eq!(of(Arc::new(Date32Array::from(vec![1]))), named(&["1970-01-02"]));
        let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![&b"real"[..], b"\xff\x00"]));
        assert_eq!(of(bytes), [Some("real".to_owned()), None]);
        let large = Decimal128Array::from(vec![i128::from(i64::MAX) + 1]).with_precision_and_scale(30, 0).unwrap();
        assert_eq!(of(Arc::new(large)), named(&["9223372036854775808"]));
    }
}
