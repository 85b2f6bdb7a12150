//! The number type that holds the values of several, exactly.

use arrow::datatypes::{
    DECIMAL32_MAX_PRECISION, DECIMAL64_MAX_PRECISION, DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType,
};

/// What each of the types has of a kind; `None` where one is of another kind.
pub(super) fn each<'a, T>(types: &[&'a DataType], of: impl Fn(&'a DataType) -> Option<T>) -> Option<Vec<T>> {
    types.iter().copied().map(of).collect()
}

/// Unsigned with signed: the signed type that holds both; of 64 unsigned bits, what fits 63.
pub fn integers(types: &[&DataType]) -> Option<DataType> {
    use DataType::*;
    let bits = |t: &DataType| match t {
        Int8 | UInt8 => Some(8),
        Int16 | UInt16 => Some(16),
        Int32 | UInt32 => Some(32),
        Int64 | UInt64 => Some(64),
        _ => None,
    };
    let all = each(types, |t| bits(t).map(|bits| (bits, t.is_signed_integer())))?;
    let most = |signed: bool| all.iter().filter(|(_, s)| *s == signed).map(|(bits, _)| *bits).max();
    Some(match (most(true), most(false)) {
        (None, Some(8)) => UInt8,
        (None, Some(16)) => UInt16,
        (None, Some(32)) => UInt32,
        (None, _) => UInt64,
        (Some(signed), unsigned) => match signed.max(2 * unsigned.unwrap_or(0)) {
            8 => Int8,
            16 => Int16,
            32 => Int32,
            _ => Int64,
        },
    })
}

/// Integers with floats are doubles: values beyond 2⁵³ that are none are told where they come.
pub fn floats(types: &[&DataType]) -> Option<DataType> {
    use DataType::{Float16, Float32, Float64};
    let all = types.iter().all(|t| matches!(t, Float16 | Float32 | Float64) || t.is_integer());
    let double = types.iter().any(|t| t.is_integer() || **t == Float64);
    all.then_some(if double { Float64 } else { Float32 })
}

/// The digits of a number, those behind the point, and the bits of its decimal type.
fn digits(t: &DataType) -> Option<(u8, i8, u32)> {
    use DataType::*;
    Some(match t {
        Int8 | UInt8 => (3, 0, 32),
        Int16 | UInt16 => (5, 0, 32),
        Int32 | UInt32 => (10, 0, 32),
        Int64 => (19, 0, 32),
        UInt64 => (20, 0, 32),
        Decimal32(digits, scale) => (*digits, *scale, 32),
        Decimal64(digits, scale) => (*digits, *scale, 64),
        Decimal128(digits, scale) => (*digits, *scale, 128),
        Decimal256(digits, scale) => (*digits, *scale, 256),
        _ => return None,
    })
}

/// The smallest decimal that holds all; integers have decimals of scale 0 alone.
pub fn decimals(types: &[&DataType]) -> Option<DataType> {
    let all = each(types, digits)?;
    let scale = all.iter().map(|(_, scale, _)| *scale).max()?;
    if types.iter().any(|t| t.is_integer()) && all.iter().any(|(_, scale, _)| *scale != 0) {
        return None;
    }
    let whole = all.iter().map(|(digits, scale, _)| i16::from(*digits) - i16::from(*scale)).max()?;
    let bits = all.iter().map(|(.., bits)| *bits).max()?;
    let digits = u8::try_from(whole + i16::from(scale)).ok()?;
    Some(match bits {
        32 if digits <= DECIMAL32_MAX_PRECISION => DataType::Decimal32(digits, scale),
        32 | 64 if digits <= DECIMAL64_MAX_PRECISION => DataType::Decimal64(digits, scale),
        32 | 64 | 128 if digits <= DECIMAL128_MAX_PRECISION => DataType::Decimal128(digits, scale),
        _ if digits <= DECIMAL256_MAX_PRECISION => DataType::Decimal256(digits, scale),
        _ => return None,
    })
}
