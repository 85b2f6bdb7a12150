//! The canonical encoding: a value as bytes, before hashing. Stable from release to release.
//!
//! | value | bytes |
//! |---|---|
//! | null at input row `r` | `00`, `r` as u64 LE (each null is a value of its own; `r` counts over all shards) |
//! | boolean | `01`, one byte 0 or 1 |
//! | integer of any width, decimal of scale 0, float that is a whole number | `02`, i128 LE |
//! | string | `03`, length in bytes as u64 LE, UTF-8 |
//! | binary | `04`, length as u64 LE, bytes |
//! | date | `05`, days since the epoch as i64 LE |
//! | timestamp without zone | `06`, nanoseconds since the epoch as i128 LE |
//! | timestamp with a zone | `07`, nanoseconds since the epoch, UTC, as i128 LE |
//! | composite of `n` parts | `08`, `n` as u32 LE, the parts' encodings in order |
//!
//! A dictionary encodes as its values, NaN as null. Every encoding is self-delimiting, so composites are injective.
//!
//! Test vectors (XXH3-128 of the bytes, hex), pinned by `vectors_are_stable` below:
//!
//! | value | token |
//! |---|---|
//! | `"user-1"` | `ac0bb96b80f0408b01800884edf8e3cc` |
//! | `42` | `3b86eb7cb0b91eee1df50b229572c359` |
//! | `("a", 1)` | `18f4e13eb95f97e7377a9f02698d7426` |
//! | `true` | `50e58cbd6ada00a1070d80d6a76865f3` |

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, FixedSizeBinaryArray};
use arrow::compute::{cast, take};
use arrow::datatypes::*;

use crate::error::{Error, Place, Result};

use super::hasher::Tokenizer;

/// What a role takes, for errors.
pub const TAKEN: &str = "use an integer, boolean, string, binary, date, timestamp, a decimal of scale 0, a float that is a whole number, or a dictionary of these";

const NULL: u8 = 0;
const BOOLEAN: u8 = 1;
const INTEGER: u8 = 2;
const STRING: u8 = 3;
const BINARY: u8 = 4;
const DATE: u8 = 5;
const NAIVE: u8 = 6;
const ZONED: u8 = 7;
const COMPOSITE: u8 = 8;

const DAY_MS: i64 = 86_400_000;

/// A column ready to be encoded value by value.
enum Values<'a> {
    Boolean(&'a BooleanArray),
    Integer(ArrayRef),
    Unsigned(ArrayRef),
    Decimal(ArrayRef),
    Utf8(ArrayRef),
    Binary(ArrayRef),
    Fixed(&'a FixedSizeBinaryArray),
    Date(ArrayRef, i64),
    Timestamp(ArrayRef, i128, u8),
}

fn prepare<'a>(array: &'a dyn Array, name: &str) -> Result<Values<'a>> {
    let widen = |to: &DataType| cast(array, to).map_err(|e| unfit(name, array.data_type(), &e.to_string()));
    Ok(match array.data_type() {
        DataType::Boolean => Values::Boolean(array.as_boolean()),
        DataType::UInt64 => Values::Unsigned(widen(&DataType::UInt64)?),
        t if t.is_integer() => Values::Integer(widen(&DataType::Int64)?),
        DataType::Decimal128(_, 0) => Values::Decimal(widen(array.data_type())?),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Values::Utf8(widen(&DataType::Utf8View)?),
        DataType::FixedSizeBinary(_) => Values::Fixed(array.as_fixed_size_binary()),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
            Values::Binary(widen(&DataType::BinaryView)?)
        }
        DataType::Date32 => Values::Date(
            cast(array, &DataType::Int32)
                .and_then(|a| cast(&a, &DataType::Int64))
                .map_err(|e| unfit(name, array.data_type(), &e.to_string()))?,
            1,
        ),
        DataType::Date64 => Values::Date(widen(&DataType::Int64)?, DAY_MS),
        DataType::Timestamp(unit, zone) => {
            let nanos = match unit {
                TimeUnit::Second => 1_000_000_000,
                TimeUnit::Millisecond => 1_000_000,
                TimeUnit::Microsecond => 1_000,
                TimeUnit::Nanosecond => 1,
            };
            Values::Timestamp(widen(&DataType::Int64)?, nanos, if zone.is_some() { ZONED } else { NAIVE })
        }
        other => return Err(unfit(name, other, "no role takes it")),
    })
}

fn unfit(name: &str, data_type: &DataType, why: &str) -> Error {
    Error::input(Place::column(name), format!("{data_type} can't be a key ({why})"), TAKEN)
}

impl Values<'_> {
    fn is_null(&self, i: usize) -> bool {
        match self {
            Values::Boolean(a) => a.is_null(i),
            Values::Fixed(a) => a.is_null(i),
            Values::Integer(a) | Values::Unsigned(a) | Values::Decimal(a) => a.is_null(i),
            Values::Utf8(a) | Values::Binary(a) => a.is_null(i),
            Values::Date(a, _) | Values::Timestamp(a, ..) => a.is_null(i),
        }
    }

    /// Whether values `i` and `j`, neither of them null, encode alike.
    fn same(&self, i: usize, j: usize) -> bool {
        let ints =
            |a: &ArrayRef| a.as_primitive::<Int64Type>().values()[i] == a.as_primitive::<Int64Type>().values()[j];
        match self {
            Values::Boolean(a) => a.value(i) == a.value(j),
            Values::Integer(a) | Values::Date(a, _) | Values::Timestamp(a, ..) => ints(a),
            Values::Unsigned(a) => a.as_primitive::<UInt64Type>().value(i) == a.as_primitive::<UInt64Type>().value(j),
            Values::Decimal(a) => {
                a.as_primitive::<Decimal128Type>().value(i) == a.as_primitive::<Decimal128Type>().value(j)
            }
            Values::Utf8(a) => a.as_string_view().value(i) == a.as_string_view().value(j),
            Values::Binary(a) => a.as_binary_view().value(i) == a.as_binary_view().value(j),
            Values::Fixed(a) => a.value(i) == a.value(j),
        }
    }

    /// Appends the encoding of value `i`, which is not null.
    fn encode(&self, i: usize, out: &mut Vec<u8>) {
        let int = |a: &ArrayRef| a.as_primitive::<Int64Type>().value(i);
        match self {
            Values::Boolean(a) => out.extend([BOOLEAN, u8::from(a.value(i))]),
            Values::Integer(a) => fixed(out, INTEGER, i128::from(int(a))),
            Values::Unsigned(a) => fixed(out, INTEGER, i128::from(a.as_primitive::<UInt64Type>().value(i))),
            Values::Decimal(a) => fixed(out, INTEGER, a.as_primitive::<Decimal128Type>().value(i)),
            Values::Utf8(a) => delimited(out, STRING, a.as_string_view().value(i).as_bytes()),
            Values::Binary(a) => delimited(out, BINARY, a.as_binary_view().value(i)),
            Values::Fixed(a) => delimited(out, BINARY, a.value(i)),
            Values::Date(a, per_day) => {
                out.push(DATE);
                out.extend(int(a).div_euclid(*per_day).to_le_bytes());
            }
            Values::Timestamp(a, nanos, tag) => fixed(out, *tag, i128::from(int(a)) * nanos),
        }
    }
}

fn fixed(out: &mut Vec<u8>, tag: u8, value: i128) {
    out.push(tag);
    out.extend(value.to_le_bytes());
}

fn delimited(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    out.extend((bytes.len() as u64).to_le_bytes());
    out.extend(bytes);
}

/// Whether each row is null in any of the parts (the identity's null, for composites).
pub fn any_null(parts: &[ArrayRef]) -> Option<Vec<bool>> {
    let nulls: Vec<_> = parts.iter().filter_map(|p| p.logical_nulls()).filter(|n| n.null_count() > 0).collect();
    let len = parts.first().map_or(0, |p| p.len());
    (!nulls.is_empty()).then(|| (0..len).map(|i| nulls.iter().any(|n| n.is_null(i))).collect())
}

/// Calls `emit(row, token)` for each row of a chunk; `names` are the parts' columns, one for a plain value.
/// A row that is null in a part is a value of its own, named by its ordinal in the input, `input_rows[row]`.
///
/// # Errors
/// A type that can't be a key, or a value that is no whole number.
pub fn for_each_token(
    tokenizer: &Tokenizer,
    names: &[String],
    parts: &[ArrayRef],
    input_rows: &[u32],
    emit: &mut dyn FnMut(usize, u128),
) -> Result<()> {
    if let ([name], [part]) = (names, parts)
        && let DataType::Dictionary(..) = part.data_type()
    {
        return dictionary_tokens(tokenizer, name, part, input_rows, emit);
    }
    let plain = parts.iter().map(flatten).collect::<Vec<_>>();
    let columns = names.iter().zip(&plain).map(|(n, a)| prepare(a.as_ref(), n)).collect::<Result<Vec<_>>>()?;
    let mut bytes = Vec::new();
    // The last row that is not null, and its token.
    let mut last = None;
    for (i, &input_row) in input_rows.iter().enumerate() {
        if columns.iter().any(|c| c.is_null(i)) {
            emit(i, null_token(tokenizer, input_row));
            continue;
        }
        let token = match last {
            // Logs are sorted by request more often than not: a run of equal values is hashed once.
            Some((row, token)) if columns.iter().all(|c| c.same(row, i)) => token,
            _ => {
                bytes.clear();
                if let [column] = columns.as_slice() {
                    column.encode(i, &mut bytes);
                } else {
                    bytes.push(COMPOSITE);
                    bytes.extend((columns.len() as u32).to_le_bytes());
                    columns.iter().for_each(|c| c.encode(i, &mut bytes));
                }
                tokenizer.token(&bytes)
            }
        };
        last = Some((i, token));
        emit(i, token);
    }
    Ok(())
}

/// A dictionary as its values.
pub fn flatten(array: &ArrayRef) -> ArrayRef {
    match array.as_any_dictionary_opt() {
        // Keys are in range by Arrow's invariants, checked when the array was decoded.
        Some(dictionary) => take(dictionary.values(), dictionary.keys(), None).unwrap_or_else(|_| array.clone()),
        None => array.clone(),
    }
}

fn dictionary_tokens(
    tokenizer: &Tokenizer,
    name: &String,
    array: &ArrayRef,
    input_rows: &[u32],
    emit: &mut dyn FnMut(usize, u128),
) -> Result<()> {
    let dictionary = array.as_any_dictionary();
    let values = dictionary.values();
    let mut tokens = vec![None; values.len()];
    let nulls = values.logical_nulls();
    // Places of the dictionary's own nulls: their tokens are thrown away below.
    let nowhere = vec![0; values.len()];
    for_each_token(tokenizer, std::slice::from_ref(name), std::slice::from_ref(values), &nowhere, &mut |i, token| {
        tokens[i] = nulls.as_ref().is_none_or(|n| n.is_valid(i)).then_some(token);
    })?;
    // Without values, all keys are null, and there is nothing to normalize by.
    let keys = if values.is_empty() { vec![0; array.len()] } else { dictionary.normalized_keys() };
    for (i, key) in keys.into_iter().enumerate() {
        let token = if array.is_null(i) { None } else { tokens.get(key).copied().flatten() };
        emit(i, token.unwrap_or_else(|| null_token(tokenizer, input_rows[i])));
    }
    Ok(())
}

fn null_token(tokenizer: &Tokenizer, row: u32) -> u128 {
    let mut bytes = [NULL; 9];
    bytes[1..].copy_from_slice(&u64::from(row).to_le_bytes());
    tokenizer.token(&bytes)
}

#[cfg(test)]
#[allow(clippy::cloned_ref_to_slice_refs)]
mod tests {
    use std::sync::Arc;

    use arrow::array::*;

    use super::super::hasher::test_tokenizer;
    use super::*;

    fn tokens(tokenizer: &Tokenizer, parts: &[ArrayRef]) -> Vec<u128> {
        let names: Vec<String> = parts.iter().map(|_| "c".into()).collect();
        let mut out = Vec::new();
        let rows: Vec<u32> = (0..parts[0].len() as u32).collect();
        for_each_token(tokenizer, &names, parts, &rows, &mut |_, t| out.push(t)).unwrap();
        out
    }

    #[test]
    fn vectors_are_stable() {
        let x = Tokenizer::xxh3();
        let hex = |parts: &[ArrayRef]| format!("{:032x}", tokens(&x, parts)[0]);
        let string: ArrayRef = Arc::new(StringArray::from(vec!["user-1"]));
        let int: ArrayRef = Arc::new(Int64Array::from(vec![42]));
        let pair: [ArrayRef; 2] = [Arc::new(StringArray::from(vec!["a"])), Arc::new(Int8Array::from(vec![1]))];
        let boolean: ArrayRef = Arc::new(BooleanArray::from(vec![true]));
        let found = [hex(&[string.clone()]), hex(&[int]), hex(&pair), hex(&[boolean])];
        assert_eq!(
            found,
            [
                "ac0bb96b80f0408b01800884edf8e3cc",
                "3b86eb7cb0b91eee1df50b229572c359",
                "18f4e13eb95f97e7377a9f02698d7426",
                "50e58cbd6ada00a1070d80d6a76865f3"
            ]
        );
        let keyed = tokens(&test_tokenizer(), &[string])[0];
        assert_eq!(format!("{keyed:032x}"), "cbb7452e8bfe3c212dce337ef6404be0");
        assert_eq!(test_tokenizer().key_facts().unwrap().key_check, "96531212211195376ab163992aef5bb1");
    }

    #[test]
    fn width_layout_and_dictionary_do_not_matter_but_the_type_does() {
        let x = Tokenizer::xxh3();
        let narrow: ArrayRef = Arc::new(Int8Array::from(vec![7, 7, 3]));
        let wide: ArrayRef = Arc::new(UInt64Array::from(vec![7, 7, 3]));
        let text: ArrayRef = Arc::new(StringArray::from(vec!["7", "7", "3"]));
        let view: ArrayRef = Arc::new(StringViewArray::from(vec!["7", "7", "3"]));
        let dictionary: ArrayRef = Arc::new(vec!["7", "7", "3"].into_iter().collect::<DictionaryArray<Int8Type>>());
        assert_eq!(tokens(&x, &[narrow.clone()]), tokens(&x, &[wide]));
        assert_eq!(tokens(&x, &[text.clone()]), tokens(&x, &[view]));
        assert_eq!(tokens(&x, &[text.clone()]), tokens(&x, &[dictionary]));
        assert_ne!(tokens(&x, &[narrow]), tokens(&x, &[text]));
        let ms: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![5]));
        let us: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![5000]));
        let zoned: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![5000]).with_timezone("UTC"));
        assert_eq!(tokens(&x, &[ms]), tokens(&x, &[us.clone()]));
        assert_ne!(tokens(&x, &[us]), tokens(&x, &[zoned]));
    }

    #[test]
    fn composites_are_injective_and_nulls_are_all_different() {
        let x = Tokenizer::xxh3();
        let pair = |a: &str, b: &str| -> u128 {
            let parts: [ArrayRef; 2] = [Arc::new(StringArray::from(vec![a])), Arc::new(StringArray::from(vec![b]))];
            tokens(&x, &parts)[0]
        };
        assert_ne!(pair("ab", "c"), pair("a", "bc"));
        let nulls: ArrayRef = Arc::new(StringArray::from(vec![None, None, Some("")]));
        let mut found = tokens(&x, &[nulls]);
        found.dedup();
        assert_eq!(found.len(), 3);
    }
}
