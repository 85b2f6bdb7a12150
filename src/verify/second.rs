//! Values of types that Polars does not read, through Arrow's reader: a second opinion where there is no other.

use std::path::Path;

use arrow::array::*;
use arrow::compute::{cast, concat, nullif};
use arrow::datatypes::*;
use arrow::error::ArrowError;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use polars::prelude::Column;
use xxhash_rust::xxh3::xxh3_128;

use crate::source::unless_panic;
use crate::store;

/// What a column of digests is called, for a column; of a role, NaN is null.
pub fn name_of(column: &str) -> String {
    format!("{column}\u{1}value")
}

pub fn role_of(column: &str) -> String {
    format!("{column}\u{1}role")
}

/// What a column of nanoseconds, or of numbers, is called, for a time column.
pub fn time_of(column: &str) -> String {
    format!("{column}\u{1}time")
}

/// A column, or a field of its structs, in one row group or all; `None` where it can't be read.
fn read_path(path: &Path, row_group: Option<usize>, name: &str) -> Option<ArrayRef> {
    let schema = crate::reader::schema_of(path)?;
    let root = super::columns::root_of(name, |name| schema.index_of(name).is_ok());
    let whole = read(path, row_group, root)?;
    match name.strip_prefix(root)?.strip_prefix('.') {
        Some(below) => field(&whole, below),
        None => Some(whole),
    }
}

/// A field of structs; null where the struct is.
fn field(structs: &ArrayRef, name: &str) -> Option<ArrayRef> {
    let own = structs.as_struct_opt()?;
    let found = own.column_by_name(name).cloned().or_else(|| {
        let mut dots = name.match_indices('.');
        dots.find_map(|(dot, _)| field(own.column_by_name(&name[..dot])?, &name[dot + 1..]))
    })?;
    match own.nulls() {
        Some(nulls) => nullif(&found, &BooleanArray::new(!nulls.inner(), None)).ok(),
        None => Some(found),
    }
}

/// A column in one row group or all; `None` where it can't be read.
fn read(path: &Path, row_group: Option<usize>, name: &str) -> Option<ArrayRef> {
    let file = store::open(path).ok()?;
    unless_panic(|| {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).ok()?;
        let root = builder.schema().index_of(name).ok()?;
        let empty = new_empty_array(builder.schema().field(root).data_type());
        let mask = ProjectionMask::roots(builder.parquet_schema(), [root]);
        let groups = row_group.map_or_else(|| (0..builder.metadata().num_row_groups()).collect(), |group| vec![group]);
        let reader = builder.with_row_groups(groups).with_projection(mask).build().ok()?;
        let arrays: Vec<_> = reader.map(|rows| rows.ok().map(|rows| rows.column(0).clone())).collect::<Option<_>>()?;
        let parts: Vec<&dyn Array> = arrays.iter().map(|array| array.as_ref()).collect();
        if parts.is_empty() { Some(empty) } else { concat(&parts).ok() }
    })?
}

/// The digests of a column's values in one row group, whatever their form: those of equal values are equal. `without`: the
/// paths of its fields that do not count. `None` where it can't be read.
pub fn column(path: &Path, row_group: usize, name: &str, without: &[String]) -> Option<Column> {
    let whole = read(path, Some(row_group), name)?;
    digested(&whole, &name_of(name), name, without)
}

/// The same of a role, in one row group or all.
pub fn role(path: &Path, row_group: Option<usize>, name: &str) -> Option<Column> {
    let whole = read_path(path, row_group, name)?;
    if !whole.data_type().is_floating() {
        return digested(&whole, &role_of(name), name, &[]);
    }
    let floats = cast(&whole, &DataType::Float64).ok()?;
    let numbers: Float64Array =
        floats.as_primitive::<Float64Type>().iter().map(|x| x.filter(|x| !x.is_nan())).collect();
    digested(&(std::sync::Arc::new(numbers) as ArrayRef), &role_of(name), name, &[])
}

/// The times of a column in one row group: nanoseconds of those that have a unit.
pub fn time(path: &Path, row_group: usize, name: &str) -> Option<Column> {
    let whole = read_path(path, Some(row_group), name)?;
    let by = match whole.data_type() {
        DataType::Timestamp(unit, _) => nanos(unit),
        _ => 1,
    };
    if whole.data_type().is_floating() {
        let floats = cast(&whole, &DataType::Float64).ok()?;
        let floats: Vec<Option<f64>> = floats.as_primitive::<Float64Type>().iter().collect();
        return Some(Column::new(time_of(name).as_str().into(), floats));
    }
    let ticks = cast(&whole, &DataType::Int64).ok()?;
    let scaled = |ticks: i64| (i128::from(ticks) * by).clamp(i64::MIN.into(), i64::MAX.into()) as i64;
    let ticks: Vec<Option<i64>> = ticks.as_primitive::<Int64Type>().iter().map(|t| t.map(scaled)).collect();
    Some(Column::new(time_of(name).as_str().into(), ticks))
}

fn digested(whole: &ArrayRef, called: &str, path: &str, without: &[String]) -> Option<Column> {
    let values = Values::of(whole, path, without).ok()?;
    let mut bytes = Vec::new();
    let digest = |row: usize| {
        bytes.clear();
        (!values.write(row, &mut bytes)).then_some(())?;
        Some(xxh3_128(&bytes).to_le_bytes().to_vec())
    };
    Some(Column::new(called.into(), (0..whole.len()).map(digest).collect::<Vec<_>>()))
}

/// An array whose values are written.
enum Values {
    /// Numbers of nanoseconds, wholes.
    Whole(Int64Array, i128),
    /// Any number of bits, and how many digits are behind the point.
    Decimal(Decimal256Array, i8),
    Float(Float64Array),
    Boolean(BooleanArray),
    Bytes(LargeBinaryArray, u8),
    Interval(ArrayRef),
    /// Where each list begins and ends in the values.
    List(ArrayRef, Vec<(usize, usize)>, Box<Values>),
    /// By name.
    Struct(ArrayRef, Vec<(String, Values)>),
    Null,
}

fn nanos(unit: &TimeUnit) -> i128 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}

impl Values {
    fn of(array: &ArrayRef, path: &str, without: &[String]) -> Result<Self, ArrowError> {
        use DataType::*;
        let whole = |array: &ArrayRef, by: i128| -> Result<Self, ArrowError> {
            let narrow =
                if matches!(array.data_type(), Date32 | Time32(_)) { cast(array, &Int32)? } else { array.clone() };
            Ok(Values::Whole(cast(&narrow, &Int64)?.as_primitive::<Int64Type>().clone(), by))
        };
        let list = |values: &ArrayRef, ranges: Vec<(usize, usize)>| -> Result<Self, ArrowError> {
            Ok(Values::List(array.clone(), ranges, Box::new(Values::of(values, path, without)?)))
        };
        let rows = 0..array.len();
        Ok(match array.data_type() {
            Null => Values::Null,
            Boolean => Values::Boolean(array.as_boolean().clone()),
            UInt64 | Decimal32(..) | Decimal64(..) | Decimal128(..) | Decimal256(..) => {
                let scale = match array.data_type() {
                    Decimal32(_, s) | Decimal64(_, s) | Decimal128(_, s) | Decimal256(_, s) => *s,
                    _ => 0,
                };
                Values::Decimal(cast(array, &Decimal256(76, scale))?.as_primitive::<Decimal256Type>().clone(), scale)
            }
            t if t.is_integer() => whole(array, 0)?,
            Float16 | Float32 | Float64 => Values::Float(cast(array, &Float64)?.as_primitive::<Float64Type>().clone()),
            Date32 => whole(array, 86_400_000_000_000)?,
            Date64 => whole(array, 1_000_000)?,
            Timestamp(unit, _) | Time32(unit) | Time64(unit) | Duration(unit) => whole(array, nanos(unit))?,
            Utf8 | LargeUtf8 | Utf8View => {
                Values::Bytes(cast(&cast(array, &LargeUtf8)?, &LargeBinary)?.as_binary::<i64>().clone(), 2)
            }
            Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => {
                let bytes = if *array.data_type() == BinaryView { cast(array, &Binary)? } else { array.clone() };
                Values::Bytes(cast(&bytes, &LargeBinary)?.as_binary::<i64>().clone(), 3)
            }
            Dictionary(_, value) => Values::of(&cast(array, value)?, path, without)?,
            Interval(_) => Values::Interval(array.clone()),
            List(_) => {
                let own = array.as_list::<i32>();
                list(own.values(), own.offsets().windows(2).map(|w| (w[0] as usize, w[1] as usize)).collect())?
            }
            LargeList(_) => {
                let own = array.as_list::<i64>();
                list(own.values(), own.offsets().windows(2).map(|w| (w[0] as usize, w[1] as usize)).collect())?
            }
            FixedSizeList(_, n) => {
                let n = (*n).max(0) as usize;
                list(array.as_fixed_size_list().values(), rows.map(|row| (row * n, (row + 1) * n)).collect())?
            }
            ListView(_) => {
                let own = array.as_list_view::<i32>();
                let range =
                    |row| (own.value_offset(row) as usize, (own.value_offset(row) + own.value_size(row)) as usize);
                list(own.values(), rows.map(range).collect())?
            }
            LargeListView(_) => {
                let own = array.as_list_view::<i64>();
                let range =
                    |row| (own.value_offset(row) as usize, (own.value_offset(row) + own.value_size(row)) as usize);
                list(own.values(), rows.map(range).collect())?
            }
            Map(..) => {
                let own = array.as_map();
                let entries = vec![
                    ("key".to_owned(), Values::of(own.keys(), path, without)?),
                    ("value".to_owned(), Values::of(own.values(), path, without)?),
                ];
                let entries = Values::Struct(std::sync::Arc::new(own.entries().clone()), entries);
                let ranges = own.offsets().windows(2).map(|w| (w[0] as usize, w[1] as usize)).collect();
                Values::List(array.clone(), ranges, Box::new(entries))
            }
            Struct(fields) => {
                let mut named = Vec::new();
                for (field, column) in fields.iter().zip(array.as_struct().columns()) {
                    let own = format!("{path}.{}", field.name());
                    if without.contains(&own) {
                        continue;
                    }
                    let values = Values::of(column, &own, without)?;
                    // A struct of which nothing is left is left out too.
                    let emptied = matches!(&values, Values::Struct(a, left) if left.is_empty() && a.as_struct().num_columns() > 0);
                    if !emptied {
                        named.push((field.name().clone(), values));
                    }
                }
                named.sort_by(|(a, _), (b, _)| a.cmp(b));
                Values::Struct(array.clone(), named)
            }
            other => return Err(ArrowError::CastError(format!("{other} is not compared"))),
        })
    }

    /// Appends a value's bytes, tagged and delimited. Gives whether it is null, of which nothing is written.
    fn write(&self, row: usize, out: &mut Vec<u8>) -> bool {
        let mut put = |tag: u8, bytes: &[u8]| {
            out.push(tag);
            out.extend((bytes.len() as u64).to_le_bytes());
            out.extend(bytes);
        };
        match self {
            Values::Null => return true,
            Values::Whole(a, _) if a.is_null(row) => return true,
            Values::Whole(a, 0) => put(8, &i256::from_i128(a.value(row).into()).to_le_bytes()),
            Values::Whole(a, by) => put(7, &(i128::from(a.value(row)) * by).to_le_bytes()),
            Values::Decimal(a, _) if a.is_null(row) => return true,
            Values::Decimal(a, scale) => {
                let (mut value, mut scale) = (a.value(row), *scale);
                let ten = i256::from_i128(10);
                while scale > 0 && value.checked_rem(ten) == Some(i256::ZERO) {
                    (value, scale) = (value.checked_div(ten).unwrap_or(value), scale - 1);
                }
                match scale {
                    0 => put(8, &value.to_le_bytes()),
                    _ => put(12, &[&value.to_le_bytes()[..], &[scale as u8]].concat()),
                }
            }
            Values::Float(a) if a.is_null(row) => return true,
            Values::Float(a) => {
                let x = a.value(row);
                match x.fract() == 0.0 && x.abs() < 1e30 && !(x == 0.0 && x.is_sign_negative()) {
                    true => put(8, &i256::from_i128(x as i128).to_le_bytes()),
                    false => put(5, &x.to_bits().to_le_bytes()),
                }
            }
            Values::Boolean(a) if a.is_null(row) => return true,
            Values::Boolean(a) => put(1, &[u8::from(a.value(row))]),
            Values::Bytes(a, _) if a.is_null(row) => return true,
            Values::Bytes(a, tag) => put(*tag, a.value(row)),
            Values::Interval(a) if a.is_null(row) => return true,
            Values::Interval(a) => match a.data_type() {
                DataType::Interval(IntervalUnit::YearMonth) => {
                    put(9, &a.as_primitive::<IntervalYearMonthType>().value(row).to_le_bytes());
                }
                _ => {
                    let span = a.as_primitive_opt::<IntervalDayTimeType>().map(|a| a.value(row)).unwrap_or_default();
                    put(9, &[span.days.to_le_bytes(), span.milliseconds.to_le_bytes()].concat());
                }
            },
            Values::List(a, ..) | Values::Struct(a, _) if a.is_null(row) => return true,
            Values::List(_, ranges, values) => {
                let (start, end) = ranges[row];
                put(6, &((end - start) as u64).to_le_bytes());
                for row in start..end {
                    if values.write(row, out) {
                        out.push(0);
                    }
                }
            }
            Values::Struct(_, fields) => {
                put(10, &[]);
                for (name, values) in fields {
                    let mut own = Vec::new();
                    if !values.write(row, &mut own) {
                        out.extend((name.len() as u64).to_le_bytes());
                        out.extend(name.as_bytes());
                        out.extend(own);
                    }
                }
                out.push(13);
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn written(array: ArrayRef) -> Vec<Option<Vec<u8>>> {
        let values = Values::of(&array, "x", &[]).unwrap();
        let row = |row| {
            let mut out = Vec::new();
            (!values.write(row, &mut out)).then_some(out)
        };
        (0..array.len()).map(row).collect()
    }

    #[test]
    fn equal_values_are_written_alike_in_every_form_and_others_are_not() {
        let whole: ArrayRef = Arc::new(Int64Array::from(vec![Some(3), None, Some(-7), Some(0)]));
        let expected = written(Arc::clone(&whole));
        for t in [
            DataType::Int8,
            DataType::Float16,
            DataType::Float64,
            DataType::Decimal256(60, 2),
            DataType::Decimal32(9, 0),
        ] {
            assert_eq!(written(cast(&whole, &t).unwrap()), expected, "{t}");
        }
        let times = |unit, by: i64| {
            let ticks: Int64Array = [Some(3 * by), None, Some(-7 * by), Some(0)].into_iter().collect();
            written(cast(&ticks, &DataType::Timestamp(unit, Some("+05:30".into()))).unwrap())
        };
        assert_eq!(times(TimeUnit::Second, 1), times(TimeUnit::Nanosecond, 1_000_000_000));
        assert_ne!(times(TimeUnit::Second, 1), expected);
        let lists: ArrayRef =
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1), None]), None]));
        let views = cast(&lists, &DataType::ListView(Arc::new(Field::new_list_field(DataType::Int32, true)))).unwrap();
        assert_eq!(written(Arc::clone(&lists)), written(views));
        let text = |words: [&str; 2]| written(Arc::new(StringArray::from(words.to_vec())));
        assert_ne!(text(["a", "b"]), text(["a", "c"]));
        let halves: ArrayRef = cast(&Float64Array::from(vec![0.5, 1.5]), &DataType::Float16).unwrap();
        assert_eq!(written(halves), written(Arc::new(Float64Array::from(vec![0.5, 1.5]))));
    }
}
