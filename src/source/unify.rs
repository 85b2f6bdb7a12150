//! One type out of many: the smallest that holds the values of all, exactly.
//!
//! All types of a column are looked at together, so that the order of files does not matter. What is no value, such as names of
//! list elements, field ids and other metadata, is that of the first; an extension type, which says what values mean, is that of
//! all.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};

use super::literals::fixed_offset;
use super::numbers::{decimals, each, floats, integers};

/// The keys of a field's metadata that tell of its extension type.
const EXTENSION: &str = "ARROW:extension:name";
const EXTENSION_METADATA: &str = "ARROW:extension:metadata";

/// The field that holds the values of all.
///
/// # Errors
/// Why there is none, in words that follow "it is A here but B there".
pub fn unify(fields: &[&Field]) -> Result<Field, String> {
    let Some(first) = fields.first() else { return Err("there is no field".into()) };
    let is_ordered = |field: &&&Field| field.dict_is_ordered() == Some(true);
    // A field of nulls alone knows nothing of its type.
    let told: Vec<&Field> = fields.iter().copied().filter(|field| !field.data_type().is_null()).collect();
    let ordered = told.iter().filter(is_ordered).count();
    // Equality of fields leaves the order of dictionaries out.
    if fields.iter().all(|field| field == first) && (ordered == 0 || ordered == fields.len()) {
        return Ok((*first).clone());
    }
    if let Some(other) = told.iter().find(|field| extension(field) != extension(told[0])) {
        let named =
            |field| extension(field).map_or("no extension type".into(), |(name, _)| format!("extension type `{name}`"));
        let (one, other) = (named(told[0]), named(other));
        let which = if one == other { format!("{one}, of different metadata") } else { format!("{one} and {other}") };
        return Err(format!("{which} are not one"));
    }
    let data_type = unify_types(&told.iter().map(|field| field.data_type()).collect::<Vec<_>>())?;
    if ordered != 0 && ordered != told.len() {
        return Err("one is an ordered dictionary, and its order would be lost".into());
    }
    let nullable = data_type.is_null() || fields.iter().any(|field| field.is_nullable());
    let mut metadata = with_extension(first, told.first().unwrap_or(first));
    if !data_type.equals_datatype(first.data_type()) {
        // What Polars notes of its own type does not hold of another, and Polars fails to read it.
        metadata.retain(|key, _| !key.starts_with("_PL_"));
    }
    let field = Field::new(first.name(), data_type, nullable).with_metadata(metadata);
    Ok(field.with_dict_is_ordered(ordered != 0))
}

/// The name and the metadata of a field's extension type.
pub fn extension(field: &Field) -> Option<(&str, &str)> {
    let text = |key: &str| field.metadata().get(key).map(String::as_str);
    text(EXTENSION).map(|name| (name, text(EXTENSION_METADATA).unwrap_or_default()))
}

/// The metadata of a field, with the extension type of another.
pub fn with_extension(field: &Field, other: &Field) -> HashMap<String, String> {
    let of_extension = |key: &str| key == EXTENSION || key == EXTENSION_METADATA;
    let pairs = |field: &Field| field.metadata().clone().into_iter();
    let own = pairs(field).filter(|(key, _)| !of_extension(key));
    own.chain(pairs(other).filter(|(key, _)| of_extension(key))).collect()
}

/// The types are not null.
fn unify_types(types: &[&DataType]) -> Result<DataType, String> {
    let Some(first) = types.first() else { return Ok(DataType::Null) };
    if types.iter().all(|t| t == first) {
        return Ok((*first).clone());
    }
    let known = dictionaries(types)
        .or_else(|| structs(types))
        .or_else(|| maps(types))
        .or_else(|| lists(types))
        .or_else(|| times(types))
        .or_else(|| texts(types).map(Ok))
        .or_else(|| binaries(types).map(Ok))
        .or_else(|| integers(types).map(Ok))
        .or_else(|| floats(types).map(Ok))
        .or_else(|| decimals(types).map(Ok));
    known.unwrap_or_else(|| Err("no type holds both exactly".into()))
}

/// Dictionaries of several widths, and with their text.
fn dictionaries(types: &[&DataType]) -> Option<Result<DataType, String>> {
    let parts = |t: &'_ DataType| if let DataType::Dictionary(key, _) = t { Some(key.as_ref().clone()) } else { None };
    let keys: Vec<Option<DataType>> = types.iter().map(|t| parts(t)).collect();
    if keys.iter().all(Option::is_none) {
        return None;
    }
    let values: Vec<&DataType> =
        types.iter().map(|t| if let DataType::Dictionary(_, value) = t { value.as_ref() } else { *t }).collect();
    let all_keys: Option<Vec<&DataType>> = keys.iter().map(Option::as_ref).collect();
    Some(unify_types(&values).map(|value| match all_keys {
        Some(keys) => DataType::Dictionary(Box::new(integers(&keys).unwrap_or(DataType::Int64)), Box::new(value)),
        None => value,
    }))
}

/// All fields of all structs, by name.
fn structs(types: &[&DataType]) -> Option<Result<DataType, String>> {
    let all = each(types, |t| if let DataType::Struct(fields) = t { Some(fields) } else { None })?;
    Some(unify_fields(&all).map(DataType::Struct))
}

fn unify_fields(all: &[&Fields]) -> Result<Fields, String> {
    let mut columns: Vec<Vec<&Field>> = Vec::new();
    let mut by_name: HashMap<&str, usize> = HashMap::new();
    for field in all.iter().flat_map(|fields| fields.iter()) {
        let at = *by_name.entry(field.name().as_str()).or_insert(columns.len());
        if at == columns.len() {
            columns.push(Vec::new());
        }
        columns[at].push(field);
    }
    let field = |own: Vec<&Field>| {
        let field = unify(&own).map_err(|why| format!("in `{}`: {why}", own[0].name()))?;
        let nullable = field.is_nullable() || own.len() < all.len();
        Ok(Arc::new(field.with_nullable(nullable)))
    };
    columns.into_iter().map(field).collect()
}

/// Keys with keys and values with values, whatever they are called.
fn maps(types: &[&DataType]) -> Option<Result<DataType, String>> {
    let all = each(types, |t| match t {
        DataType::Map(entries, sorted) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => Some((entries, &fields[0], &fields[1], *sorted)),
            _ => None,
        },
        _ => None,
    })?;
    let (entries, key, value, _) = all[0];
    let unified = |name: &str, fields: Vec<&Field>| unify(&fields).map(|field| field.with_name(name));
    let keys = match unified(key.name(), all.iter().map(|(_, key, ..)| key.as_ref()).collect()) {
        Ok(keys) => keys,
        Err(why) => return Some(Err(format!("in keys of maps: {why}"))),
    };
    Some(match unified(value.name(), all.iter().map(|(_, _, value, _)| value.as_ref()).collect()) {
        Ok(values) => {
            let fields = DataType::Struct(vec![keys, values].into());
            let sorted = all.iter().all(|(.., sorted)| *sorted);
            Ok(DataType::Map(Arc::new(Field::clone(entries).with_data_type(fields)), sorted))
        }
        Err(why) => Err(format!("in values of maps: {why}")),
    })
}

/// Large if any is large, else views if any is one, else plain; of one length if all are.
fn lists(types: &[&DataType]) -> Option<Result<DataType, String>> {
    use DataType::*;
    // The element, and whether lists of its type are large, and views.
    let all = each(types, |t| match t {
        List(f) | FixedSizeList(f, _) => Some((f, false, false)),
        LargeList(f) => Some((f, true, false)),
        ListView(f) => Some((f, false, true)),
        LargeListView(f) => Some((f, true, true)),
        _ => None,
    })?;
    let element = match unify(&all.iter().map(|(f, ..)| f.as_ref()).collect::<Vec<_>>()) {
        Ok(element) => Arc::new(element),
        Err(why) => return Some(Err(format!("in lists: {why}"))),
    };
    let length = |t: &&DataType| if let FixedSizeList(_, n) = t { Some(*n) } else { None };
    let one_length = length(&types[0]).filter(|n| types.iter().all(|t| length(t) == Some(*n)));
    let (large, view) = (all.iter().any(|(_, large, _)| *large), all.iter().any(|(.., view)| *view));
    Some(Ok(match one_length {
        Some(length) => FixedSizeList(element, length),
        None if large && all.iter().all(|(.., view)| *view) => LargeListView(element),
        None if large => LargeList(element),
        None if view => ListView(element),
        None => List(element),
    }))
}

/// The finer unit; of instants in one zone.
fn times(types: &[&DataType]) -> Option<Result<DataType, String>> {
    use DataType::*;
    let finest = |units: Vec<TimeUnit>| units.into_iter().max().unwrap_or(TimeUnit::Nanosecond);
    if let Some(units) = each(types, |t| if let Duration(unit) = t { Some(*unit) } else { None }) {
        return Some(Ok(Duration(finest(units))));
    }
    if let Some(units) = each(types, |t| if let Time32(unit) | Time64(unit) = t { Some(*unit) } else { None }) {
        return Some(Ok(match finest(units) {
            unit @ (TimeUnit::Second | TimeUnit::Millisecond) => Time32(unit),
            unit => Time64(unit),
        }));
    }
    if types.iter().all(|t| matches!(t, Date32 | Date64)) {
        return Some(Ok(Date64));
    }
    let all = each(types, |t| if let Timestamp(unit, zone) = t { Some((*unit, zone)) } else { None })?;
    let is_utc = |zone: &str| fixed_offset(zone) == Some(0);
    let first = all[0].1;
    for (_, zone) in &all {
        match (first, zone) {
            (None, None) => {}
            (Some(a), Some(b)) if a == b || is_utc(a) && is_utc(b) => {}
            (Some(_), Some(_)) => return Some(Err("an instant's zone would be lost".into())),
            _ => return Some(Err("one has a time zone, and which the other means would be a guess".into())),
        }
    }
    Some(Ok(Timestamp(finest(all.iter().map(|(unit, _)| *unit).collect()), first.clone())))
}

/// Large if any is large, else a view if any is one, else plain.
fn widest(types: &[&DataType], large: DataType, view: DataType, plain: DataType) -> DataType {
    if types.contains(&&large) {
        large
    } else if types.contains(&&view) {
        view
    } else {
        plain
    }
}

fn texts(types: &[&DataType]) -> Option<DataType> {
    use DataType::{LargeUtf8, Utf8, Utf8View};
    let all = types.iter().all(|t| matches!(t, Utf8 | LargeUtf8 | Utf8View));
    all.then(|| widest(types, LargeUtf8, Utf8View, Utf8))
}

fn binaries(types: &[&DataType]) -> Option<DataType> {
    use DataType::{Binary, BinaryView, FixedSizeBinary, LargeBinary};
    let all = types.iter().all(|t| matches!(t, Binary | LargeBinary | BinaryView | FixedSizeBinary(_)));
    all.then(|| widest(types, LargeBinary, BinaryView, Binary))
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType::*;

    use super::*;

    fn list(of: DataType) -> Arc<Field> {
        Arc::new(Field::new("item", of, true))
    }

    /// Whichever comes first.
    fn both(a: &DataType, b: &DataType) -> Option<DataType> {
        let of =
            |a: &DataType, b: &DataType| unify(&[&Field::new("x", a.clone(), true), &Field::new("x", b.clone(), true)]);
        let of = |a, b| of(a, b).ok().map(|field| field.data_type().clone());
        let (one, other) = (of(a, b), of(b, a));
        assert_eq!(one, other, "{a} and {b}");
        one
    }

    #[test]
    fn the_smallest_type_that_holds_both() {
        use TimeUnit::*;
        let utc = |zone: &str| Some(Arc::from(zone));
        let dictionary = |key: DataType, value: DataType| Dictionary(Box::new(key), Box::new(value));
        for (a, b, wanted) in [
            (Null, Utf8, Utf8),
            (Utf8, LargeUtf8, LargeUtf8),
            (Utf8, Utf8View, Utf8View),
            (LargeUtf8, Utf8View, LargeUtf8),
            (FixedSizeBinary(3), FixedSizeBinary(4), Binary),
            (FixedSizeBinary(3), BinaryView, BinaryView),
            (Int8, Int64, Int64),
            (UInt8, Int8, Int16),
            (UInt32, Int32, Int64),
            (UInt16, Int64, Int64),
            (UInt64, Int8, Int64),
            (UInt8, UInt32, UInt32),
            (Int8, Float32, Float64),
            (UInt64, Float64, Float64),
            (Float16, Float32, Float32),
            (Float32, Float64, Float64),
            (List(list(Int32)), LargeList(list(Int64)), LargeList(list(Int64))),
            (List(list(Utf8)), FixedSizeList(list(Utf8), 3), List(list(Utf8))),
            (FixedSizeList(list(Int8), 3), FixedSizeList(list(Int16), 3), FixedSizeList(list(Int16), 3)),
            (FixedSizeList(list(Int8), 3), FixedSizeList(list(Int8), 4), List(list(Int8))),
            (List(list(Int8)), ListView(list(Int8)), ListView(list(Int8))),
            (dictionary(Int8, Utf8), dictionary(Int16, Utf8), dictionary(Int16, Utf8)),
            (dictionary(Int8, Utf8), dictionary(UInt8, LargeUtf8), dictionary(Int16, LargeUtf8)),
            (dictionary(Int32, Utf8), LargeUtf8, LargeUtf8),
            (Decimal128(10, 2), Decimal128(12, 4), Decimal128(12, 4)),
            (Decimal128(10, 2), Decimal128(9, 4), Decimal128(12, 4)),
            (Decimal32(9, 0), Decimal64(12, 3), Decimal64(12, 3)),
            (Decimal128(38, 0), Int64, Decimal128(38, 0)),
            (Decimal128(5, 0), Int64, Decimal128(19, 0)),
            (Decimal128(38, 0), Decimal128(38, 5), Decimal256(43, 5)),
            (Timestamp(Nanosecond, None), Timestamp(Microsecond, None), Timestamp(Nanosecond, None)),
            (Time32(Second), Time64(Microsecond), Time64(Microsecond)),
            (Duration(Second), Duration(Millisecond), Duration(Millisecond)),
        ] {
            assert_eq!(both(&a, &b), Some(wanted), "{a} and {b}");
        }
        let zoned = |unit: TimeUnit, zone: &str| Timestamp(unit, utc(zone));
        assert_eq!(
            unify_types(&[&zoned(Second, "+00:00"), &zoned(Nanosecond, "UTC")]),
            Ok(zoned(Nanosecond, "+00:00"))
        );
    }

    #[test]
    fn what_would_lose_or_guess_is_refused() {
        use TimeUnit::*;
        let zone = |zone: &str| Timestamp(Second, Some(Arc::from(zone)));
        for (a, b) in [
            (Utf8, Int64),
            (Utf8, Binary),
            (Boolean, Int8),
            (Date32, Timestamp(Second, None)),
            (Timestamp(Second, None), zone("UTC")),
            (zone("Europe/Zurich"), zone("UTC")),
            (Decimal128(10, 2), Int64),
            (Decimal128(10, 2), Float64),
            (Decimal256(76, 0), Decimal256(76, 10)),
            (List(list(Utf8)), Utf8),
            (List(list(Utf8)), List(list(Int8))),
        ] {
            assert_eq!(both(&a, &b), None, "{a} and {b}");
        }
    }

    #[test]
    fn structs_have_the_fields_of_both_and_metadata_is_the_first_s() {
        let field = |name: &str, t: DataType, nullable: bool| Field::new(name, t, nullable);
        let (a, b) = (field("a", Int32, false), field("b", Int8, false));
        let first = Field::new("s", Struct(vec![a.clone(), b.clone()].into()), false)
            .with_metadata(HashMap::from([("PARQUET:field_id".into(), "1".into())]));
        let other = Field::new("s", Struct(vec![field("b", Int8, true), field("c", Utf8, false)].into()), false)
            .with_metadata(HashMap::from([("PARQUET:field_id".into(), "7".into())]));
        let both = unify(&[&first, &other]).unwrap();
        let fields = [field("a", Int32, true), field("b", Int8, true), field("c", Utf8, true)];
        assert_eq!(both.data_type(), &Struct(fields.to_vec().into()));
        assert_eq!((both.metadata(), both.is_nullable()), (first.metadata(), false));
        let extension = |name: &str| {
            Field::new("x", Utf8, true).with_metadata(HashMap::from([(EXTENSION.to_owned(), name.to_owned())]))
        };
        assert!(unify(&[&extension("arrow.json"), &extension("arrow.uuid")]).is_err());
        assert!(unify(&[&extension("arrow.json"), &Field::new("x", Utf8, true)]).is_err());
        let wider = unify(&[&extension("arrow.json"), &extension("arrow.json").with_data_type(LargeUtf8)]).unwrap();
        assert_eq!(wider, extension("arrow.json").with_data_type(LargeUtf8));
        assert_eq!(unify(&[&Field::new("x", Null, true), &extension("arrow.json")]).unwrap(), extension("arrow.json"));
    }

    #[test]
    fn an_order_is_not_lost() {
        let t = || Dictionary(Box::new(Int8), Box::new(Utf8));
        let (ordered, plain) = (Field::new("x", t(), true).with_dict_is_ordered(true), Field::new("x", t(), true));
        assert!(unify(&[&ordered, &plain]).is_err() && unify(&[&Field::new("x", Utf8, true), &ordered]).is_err());
        let wide = Field::new_dictionary("x", Int16, Utf8, false).with_dict_is_ordered(true);
        let both = unify(&[&ordered, &wide]).unwrap();
        assert_eq!((both.dict_is_ordered(), both.data_type()), (Some(true), wide.data_type()));
        assert_eq!(unify(&[&Field::new("x", Null, true), &ordered]).unwrap().dict_is_ordered(), Some(true));
    }

    #[test]
    fn the_order_of_files_does_not_matter() {
        let lists = |wrap: fn(Arc<Field>) -> DataType, of: DataType| wrap(list(of));
        for all in [
            [Int8, UInt8, Decimal128(3, 0)],
            [UInt64, Int8, Decimal128(5, 0)],
            [Int8, UInt8, Float32],
            [lists(List, Int8), lists(ListView, UInt8), lists(LargeListView, Decimal64(12, 0))],
            [Utf8, Dictionary(Box::new(Int8), Box::new(LargeUtf8)), Null],
            [Time32(TimeUnit::Second), Time64(TimeUnit::Nanosecond), Time32(TimeUnit::Millisecond)],
            [FixedSizeBinary(2), FixedSizeBinary(3), BinaryView],
        ] {
            let of = |order: [usize; 3]| {
                let fields: Vec<Field> = order.iter().map(|k| Field::new("x", all[*k].clone(), true)).collect();
                unify(&fields.iter().collect::<Vec<_>>()).unwrap().data_type().clone()
            };
            let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
            assert!(orders.iter().all(|order| of(*order).equals_datatype(&of([0, 1, 2]))), "{all:?}");
        }
    }

    #[test]
    fn maps_are_one_whatever_their_keys_are_called() {
        let map = |key: &str, value: &str, t: DataType| {
            let fields = vec![Field::new(key, Utf8, false), Field::new(value, t, true)];
            Map(Arc::new(Field::new("entries", Struct(fields.into()), false)), false)
        };
        let found = unify_types(&[&map("key", "value", Int32), &map("keys", "values", Int64)]).unwrap();
        assert_eq!(found, map("key", "value", Int64));
    }
}
