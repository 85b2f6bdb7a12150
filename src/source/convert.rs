//! Values of one type as those of a type that holds them, at any depth; told where one does not fit after all.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, FixedSizeListArray, GenericListArray, GenericListViewArray, MapArray,
    OffsetSizeTrait, PrimitiveArray, StructArray, make_array, new_null_array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::*;
use arrow::error::ArrowError;

/// Converted values, and the rows among them that do not fit exactly, ascending. What stands at those rows means nothing.
pub struct Converted {
    pub array: ArrayRef,
    pub unfit: Vec<usize>,
}

impl Converted {
    fn whole(array: ArrayRef) -> Self {
        Converted { array, unfit: Vec::new() }
    }
}

type Outcome = Result<Converted, ArrowError>;

/// The values as those of `to`, which [`super::unify`] made from their type and others, or which lacks fields of structs.
///
/// # Errors
/// An offset of 32 bits that overflows, which fewer rows at a time would not; or no way between the types.
pub fn convert(array: &ArrayRef, to: &DataType) -> Outcome {
    use DataType::*;
    let from = array.data_type();
    if from == to {
        return Ok(Converted::whole(Arc::clone(array)));
    }
    match (from, to) {
        (Null, _) => Ok(Converted::whole(new_null_array(to, array.len()))),
        (Struct(_), Struct(fields)) => structs(array.as_struct(), fields),
        (Map(..), Map(entries, sorted)) => maps(array.as_map(), entries, *sorted),
        (List(f) | LargeList(f) | FixedSizeList(f, _) | ListView(f) | LargeListView(f), _) if is_list(to) => {
            let laid_out = cast(array, &with_element(to, f))?;
            lists(&laid_out, to)
        }
        _ if has_number(from) && has_number(to) => numbers(array, to),
        _ => Ok(checked(array, cast(array, to)?)),
    }
}

fn is_list(t: &DataType) -> bool {
    use DataType::*;
    matches!(t, List(_) | LargeList(_) | FixedSizeList(..) | ListView(_) | LargeListView(_))
}

/// The list type with another element.
fn with_element(list: &DataType, element: &FieldRef) -> DataType {
    use DataType::*;
    let element = Arc::clone(element);
    match list {
        LargeList(_) => LargeList(element),
        FixedSizeList(_, n) => FixedSizeList(element, *n),
        ListView(_) => ListView(element),
        LargeListView(_) => LargeListView(element),
        _ => List(element),
    }
}

/// Lists of the right layout, with another element.
fn lists(array: &ArrayRef, to: &DataType) -> Outcome {
    match to {
        DataType::List(f) => generic_lists::<i32>(array.as_list(), f),
        DataType::LargeList(f) => generic_lists::<i64>(array.as_list(), f),
        DataType::ListView(f) => list_views::<i32>(array.as_list_view(), f),
        DataType::LargeListView(f) => list_views::<i64>(array.as_list_view(), f),
        DataType::FixedSizeList(f, n) => {
            let list = array.as_fixed_size_list();
            let size = (*n).max(0) as usize;
            let Converted { array: values, unfit } = convert(list.values(), f.data_type())?;
            let unfit = parents(unfit, (0..list.len()).map(|row| (row * size, (row + 1) * size)));
            let values = without_stray_nulls(values, f);
            let list =
                FixedSizeListArray::try_new_with_length(Arc::clone(f), *n, values, list.nulls().cloned(), list.len())?;
            Ok(Converted { array: Arc::new(list), unfit })
        }
        other => Err(ArrowError::CastError(format!("{other} is not a list"))),
    }
}

fn generic_lists<O: OffsetSizeTrait>(list: &GenericListArray<O>, element: &FieldRef) -> Outcome {
    let Converted { array: values, unfit } = convert(list.values(), element.data_type())?;
    let offsets = list.offsets();
    let unfit = parents(unfit, offsets.windows(2).map(|w| (w[0].as_usize(), w[1].as_usize())));
    let values = without_stray_nulls(values, element);
    let list = GenericListArray::try_new(Arc::clone(element), offsets.clone(), values, list.nulls().cloned())?;
    Ok(Converted { array: Arc::new(list), unfit })
}

fn list_views<O: OffsetSizeTrait>(list: &GenericListViewArray<O>, element: &FieldRef) -> Outcome {
    let Converted { array: values, unfit } = convert(list.values(), element.data_type())?;
    let ranges = list.offsets().iter().zip(list.sizes().iter());
    let unfit = parents(unfit, ranges.map(|(start, size)| (start.as_usize(), start.as_usize() + size.as_usize())));
    let values = without_stray_nulls(values, element);
    let (offsets, sizes, nulls) = (list.offsets().clone(), list.sizes().clone(), list.nulls().cloned());
    let list = GenericListViewArray::try_new(Arc::clone(element), offsets, sizes, values, nulls)?;
    Ok(Converted { array: Arc::new(list), unfit })
}

/// Keys and values by their place, whatever they are called.
fn maps(map: &MapArray, entries: &FieldRef, sorted: bool) -> Outcome {
    let DataType::Struct(fields) = entries.data_type() else {
        return Err(ArrowError::CastError(format!("{} are not entries", entries.data_type())));
    };
    let (keys, values) = (convert(map.keys(), fields[0].data_type())?, convert(map.values(), fields[1].data_type())?);
    let mut unfit = [keys.unfit, values.unfit].concat();
    unfit.sort_unstable();
    unfit.dedup();
    let offsets = map.offsets();
    let unfit = parents(unfit, offsets.windows(2).map(|w| (w[0] as usize, w[1] as usize)));
    let columns = vec![without_stray_nulls(keys.array, &fields[0]), without_stray_nulls(values.array, &fields[1])];
    let own = StructArray::try_new(fields.clone(), columns, None)?;
    let map = MapArray::try_new(Arc::clone(entries), offsets.clone(), own, map.nulls().cloned(), sorted)?;
    Ok(Converted { array: Arc::new(map), unfit })
}

/// Fields by name; missing ones are null.
fn structs(array: &StructArray, fields: &Fields) -> Outcome {
    let (mut columns, mut unfit) = (Vec::with_capacity(fields.len()), Vec::new());
    for field in fields {
        match array.column_by_name(field.name()) {
            Some(column) => {
                let converted = convert(column, field.data_type())?;
                unfit.extend(converted.unfit);
                columns.push(without_stray_nulls(converted.array, field));
            }
            None => columns.push(new_null_array(field.data_type(), array.len())),
        }
    }
    unfit.sort_unstable();
    unfit.dedup();
    let array = match fields.is_empty() {
        true => StructArray::new_empty_fields(array.len(), array.nulls().cloned()),
        false => StructArray::try_new(fields.clone(), columns, array.nulls().cloned())?,
    };
    Ok(Converted { array: Arc::new(array), unfit })
}

/// The rows whose ranges hold any of these elements.
fn parents(unfit: Vec<usize>, ranges: impl Iterator<Item = (usize, usize)>) -> Vec<usize> {
    if unfit.is_empty() {
        return unfit;
    }
    let holds = |(start, end): (usize, usize)| {
        let next = unfit.partition_point(|at| *at < start);
        unfit.get(next).is_some_and(|at| *at < end)
    };
    ranges.enumerate().filter(|(_, range)| holds(*range)).map(|(row, _)| row).collect()
}

/// What does not fit became null; where the field has no nulls, it becomes any value.
fn without_stray_nulls(array: ArrayRef, field: &Field) -> ArrayRef {
    if field.is_nullable() || array.null_count() == 0 || !array.data_type().is_primitive() {
        return array;
    }
    array.to_data().into_builder().nulls(None).build().map_or(array, make_array)
}

/// Values that became null do not fit.
fn checked(before: &ArrayRef, after: ArrayRef) -> Converted {
    let (old, new) = (before.logical_nulls(), after.logical_nulls());
    let count = |nulls: &Option<NullBuffer>| nulls.as_ref().map_or(0, NullBuffer::null_count);
    if count(&old) == count(&new) {
        return Converted::whole(after);
    }
    let lost =
        |row: &usize| new.as_ref().is_some_and(|n| n.is_null(*row)) && old.as_ref().is_none_or(|n| n.is_valid(*row));
    Converted { unfit: (0..after.len()).filter(lost).collect(), array: after }
}

fn has_number(t: &DataType) -> bool {
    t.is_integer() || t.is_floating()
}

/// Integers and floats as others; what rounds does not fit.
fn numbers(array: &ArrayRef, to: &DataType) -> Outcome {
    let converted = checked(array, cast(array, to)?);
    if !(to.is_floating() && array.data_type().is_integer()) {
        return Ok(converted);
    }
    let floats = cast(&converted.array, &DataType::Float64)?;
    let floats: &PrimitiveArray<Float64Type> = floats.as_primitive();
    let unfit = match array.data_type() {
        DataType::UInt64 => rounded::<UInt64Type>(array, floats, i128::from),
        DataType::Int64 => rounded::<Int64Type>(array, floats, i128::from),
        // Narrower integers are doubles all.
        _ => Vec::new(),
    };
    Ok(Converted { unfit, ..converted })
}

fn rounded<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    floats: &PrimitiveArray<Float64Type>,
    whole: impl Fn(T::Native) -> i128,
) -> Vec<usize> {
    let integers = array.as_primitive::<T>();
    let differs = |row: &usize| integers.is_valid(*row) && floats.value(*row) as i128 != whole(integers.value(*row));
    (0..integers.len()).filter(differs).collect()
}

#[cfg(test)]
mod tests {
    use arrow::array::*;

    use super::super::unify::unify;
    use super::*;

    fn field(t: &DataType) -> Field {
        Field::new("x", t.clone(), true)
    }

    fn converted(array: ArrayRef, other: &DataType) -> Converted {
        let to = unify(&[&field(array.data_type()), &field(other)]).unwrap();
        convert(&array, to.data_type()).unwrap()
    }

    #[test]
    fn what_does_not_fit_is_told_by_its_row() {
        let big = (1i64 << 53) + 1;
        let to_double = converted(
            Arc::new(Int64Array::from(vec![Some(1 << 53), None, Some(big), Some(-big), Some(3)])),
            &DataType::Float64,
        );
        assert_eq!(to_double.unfit, [2, 3]);
        assert_eq!(to_double.array.as_primitive::<Float64Type>().value(4), 3.0);
        let signed = converted(Arc::new(UInt64Array::from(vec![1, u64::MAX, 3])), &DataType::Int8);
        assert_eq!((signed.unfit, signed.array.data_type()), (vec![1], &DataType::Int64));
        let late = Arc::new(TimestampMicrosecondArray::from(vec![i64::MAX / 1000, i64::MAX / 1000 + 1, -5]));
        let finer = converted(late, &DataType::Timestamp(TimeUnit::Nanosecond, None));
        assert_eq!(finer.unfit, [1]);
        assert_eq!(finer.array.as_primitive::<TimestampNanosecondType>().value(2), -5000);
        // In lists, by the list's row, also where the elements have no nulls.
        let element = Arc::new(Field::new("e", DataType::UInt64, false));
        let values = Arc::new(UInt64Array::from(vec![1, u64::MAX, 2, 3, u64::MAX]));
        let list = ListArray::new(element, arrow::buffer::OffsetBuffer::from_lengths([0, 2, 0, 2, 1]), values, None);
        let signed = Field::new("e", DataType::Int8, false);
        let to = unify(&[&field(list.data_type()), &field(&DataType::LargeList(Arc::new(signed)))]).unwrap();
        let lists = convert(&(Arc::new(list) as ArrayRef), to.data_type()).unwrap();
        assert_eq!(lists.unfit, [1, 4]);
        assert_eq!(lists.array.as_list::<i64>().value(3).as_primitive::<Int64Type>().values(), &[2, 3]);
    }

    #[test]
    fn values_are_the_same_in_every_form() {
        let texts = vec![Some("a"), None, Some("ccc"), Some("")];
        let strings: ArrayRef = Arc::new(StringArray::from(texts.clone()));
        let forms = [DataType::LargeUtf8, DataType::Utf8View, DataType::Utf8];
        let dictionary = cast(&strings, &DataType::Dictionary(DataType::Int8.into(), DataType::Utf8.into())).unwrap();
        for array in [&strings, &dictionary] {
            for form in &forms {
                let Converted { array, unfit } = converted(Arc::clone(array), form);
                let back = cast(&array, &DataType::Utf8).unwrap();
                assert!(unfit.is_empty() && back.as_string::<i32>().iter().eq(texts.iter().copied()), "{form}");
            }
        }
        let fixed: ArrayRef = Arc::new(FixedSizeBinaryArray::try_from_iter([[1u8, 2], [3, 4]].iter()).unwrap());
        for form in [DataType::FixedSizeBinary(3), DataType::LargeBinary, DataType::BinaryView] {
            let Converted { array, .. } = converted(Arc::clone(&fixed), &form);
            let back = cast(&array, &DataType::Binary).unwrap();
            assert!(back.as_binary::<i32>().iter().eq([Some(&[1u8, 2][..]), Some(&[3, 4])]), "{form}");
        }
        let decimals: ArrayRef =
            Arc::new(Decimal128Array::from(vec![Some(125), None]).with_precision_and_scale(10, 2).unwrap());
        let wider = converted(decimals, &DataType::Decimal128(12, 4));
        assert_eq!(wider.array.as_primitive::<Decimal128Type>().value(0), 12500);
        let integers = converted(Arc::new(Int64Array::from(vec![i64::MIN, 7])), &DataType::Decimal128(30, 0));
        assert_eq!(integers.array.as_primitive::<Decimal128Type>().values(), &[i128::from(i64::MIN), 7]);
        assert_eq!(converted(Arc::new(NullArray::new(2)), &DataType::Boolean).array.null_count(), 2);
    }

    #[test]
    fn lists_structs_and_maps_at_any_depth() {
        let inner = StructArray::from(vec![(
            Arc::new(Field::new("a", DataType::Int32, true)),
            Arc::new(Int32Array::from(vec![Some(1), None, Some(3)])) as ArrayRef,
        )]);
        let element = Arc::new(Field::new("item", inner.data_type().clone(), true));
        let offsets = arrow::buffer::OffsetBuffer::from_lengths([2, 0, 1]);
        let nulls = Some(NullBuffer::from(vec![true, false, true]));
        let list: ArrayRef = Arc::new(ListArray::new(element, offsets, Arc::new(inner), nulls));
        let other = Fields::from(vec![Field::new("b", DataType::Utf8, false), Field::new("a", DataType::Int64, false)]);
        let other = Arc::new(Field::new("element", DataType::Struct(other), true));
        for (k, to) in
            [DataType::LargeList(Arc::clone(&other)), DataType::ListView(Arc::clone(&other))].iter().enumerate()
        {
            // Not from an array's beginning, as slices are.
            let Converted { array, unfit } = converted(list.slice(k, 3 - k), to);
            assert!(unfit.is_empty());
            let last = cast(&array, &DataType::LargeList(element_of(array.data_type()))).unwrap();
            let last = last.as_list::<i64>().value(2 - k);
            let last = last.as_struct();
            assert_eq!(last["a"].as_primitive::<Int64Type>().value(0), 3);
            assert!(last["b"].is_null(0) && array.is_null(1 - k));
        }
        let mut map = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
        map.keys().append_value("k");
        map.values().append_value(5);
        map.append(true).unwrap();
        let map: ArrayRef = Arc::new(map.finish());
        // Called otherwise, as other writers do.
        let names = MapFieldNames { entry: "key_value".into(), key: "key".into(), value: "value".into() };
        let mut wide = MapBuilder::new(Some(names), LargeStringBuilder::new(), Int64Builder::new());
        wide.append(true).unwrap();
        let found = converted(map, wide.finish().data_type()).array;
        assert_eq!(found.as_map().values().as_primitive::<Int64Type>().values(), &[5]);
        assert_eq!(found.as_map().keys().as_string::<i64>().value(0), "k");
    }

    fn element_of(list: &DataType) -> FieldRef {
        match list {
            DataType::List(f) | DataType::LargeList(f) | DataType::ListView(f) | DataType::LargeListView(f) => {
                Arc::clone(f)
            }
            other => panic!("{other} is not a list"),
        }
    }
}
