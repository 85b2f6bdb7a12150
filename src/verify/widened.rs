//! The schema that the payload must have, told from all the input's files at once.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, TimeUnit};

/// An input file, as far as its footer tells.
pub struct Told {
    pub schema: Arc<Schema>,
    pub has_rows: bool,
}

/// The payload's fields, in order, without the fields of structs that are `left_out`, and for each whether all files have it in
/// the very type.
pub fn payload(files: &[Told], folders: &[String], left_out: &[&str]) -> Vec<(Field, bool)> {
    let pruned: Vec<Told>;
    let files = if left_out.is_empty() {
        files
    } else {
        let left = |field: &FieldRef| Arc::new(left_out.iter().fold(field.as_ref().clone(), without));
        let fields = |file: &Told| file.schema.fields().iter().map(left).collect::<Fields>();
        let left = |file: &Told| Told { schema: Arc::new(Schema::new(fields(file))), has_rows: file.has_rows };
        pruned = files.iter().map(left).collect();
        &pruned
    };
    let mut names: Vec<&str> = Vec::new();
    let mut known = std::collections::HashSet::new();
    for name in files.iter().flat_map(|file| file.schema.fields()).map(|field| field.name().as_str()) {
        if known.insert(name) {
            names.push(name);
        }
    }
    let by_file: Vec<std::collections::HashMap<&str, &FieldRef>> = files
        .iter()
        .map(|file| file.schema.fields().iter().map(|field| (field.name().as_str(), field)).collect())
        .collect();
    let field = |name: &&str| {
        let all: Vec<Option<&FieldRef>> = by_file.iter().map(|fields| fields.get(name).copied()).collect();
        let live: Vec<&FieldRef> =
            all.iter().zip(files).filter(|(_, file)| file.has_rows).filter_map(|(f, _)| *f).collect();
        // The first type stands where files have no rows.
        let told: Vec<&FieldRef> = if live.is_empty() { all.iter().flatten().copied().take(1).collect() } else { live };
        let missing = all.iter().zip(files).any(|(field, file)| field.is_none() && file.has_rows);
        let nullable = missing || all.iter().flatten().any(|field| field.is_nullable());
        let same = !missing && told.iter().all(|field| field.data_type() == told[0].data_type());
        // Without a type that holds all, there is no dataset to be judged by it.
        let data_type = holding(&told.iter().map(|f| f.data_type()).collect::<Vec<_>>()).unwrap_or(DataType::Null);
        // Files hold the order of texts alone.
        let of_bytes = |t: &DataType| {
            use DataType::{Binary, BinaryView, LargeBinary, LargeUtf8, Utf8, Utf8View};
            matches!(t, DataType::Dictionary(_, v) if matches!(**v, Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView))
        };
        let ordered = of_bytes(&data_type) && told.iter().any(|f| f.dict_is_ordered() == Some(true));
        let first = all.iter().flatten().next().map(|f| f.metadata().clone()).unwrap_or_default();
        // An extension is that of the files that tell of values.
        let extension =
            told.iter().find(|f| !f.data_type().is_null()).map(|f| f.metadata().clone()).unwrap_or_default();
        let is_extension = |(key, _): &(String, String)| key.starts_with("ARROW:extension:");
        let first = first.into_iter().filter(|pair| !is_extension(pair));
        let first: std::collections::HashMap<String, String> =
            first.chain(extension.into_iter().filter(is_extension)).collect();
        // Whose metadata stands where files without rows or values differ, is not looked at.
        let same = same && all.iter().flatten().all(|f| f.data_type() == told[0].data_type());
        let nullable = nullable || data_type.is_null();
        (Field::new(*name, data_type, nullable).with_metadata(first).with_dict_is_ordered(ordered), same)
    };
    let is_within = |field: &Field| left_out.iter().any(|name| path_in(field, name).is_some());
    // A struct of which nothing is left is not carried.
    let is_emptied =
        |field: &Field| matches!(field.data_type(), DataType::Struct(own) if own.is_empty()) && is_within(field);
    let fields = names.iter().map(field).filter(|(field, _)| !is_emptied(field));
    let mut fields: Vec<(Field, bool)> = fields
        .map(|(field, same)| {
            let same = same && !is_within(&field);
            (field, same)
        })
        .collect();
    fields.extend(folders.iter().map(|name| (Field::new(name, DataType::Utf8, true), true)));
    fields
}

/// The path below a field that a dotted name is.
fn path_in<'a>(field: &Field, name: &'a str) -> Option<&'a str> {
    name.strip_prefix(field.name().as_str())?.strip_prefix('.')
}

/// A column without one of its fields, by its dotted name.
fn without(column: Field, name: &&str) -> Field {
    let Some(path) = path_in(&column, name) else { return column };
    pruned(&column, path).unwrap_or_else(|| column.with_data_type(DataType::Struct(Fields::empty())))
}

/// A field without what lies at a path, by name; `None` if nothing is left.
fn pruned(field: &Field, path: &str) -> Option<Field> {
    let DataType::Struct(fields) = field.data_type() else { return Some(field.clone()) };
    let keep = |own: &FieldRef| match path.strip_prefix(own.name().as_str()) {
        Some("") => None,
        Some(rest) if rest.starts_with('.') => pruned(own, &rest[1..]).map(Arc::new),
        _ => Some(Arc::clone(own)),
    };
    let left: Fields = fields.iter().filter_map(keep).collect();
    (!left.is_empty()).then(|| field.clone().with_data_type(DataType::Struct(left)))
}

/// The type that holds the values of all.
fn holding(types: &[&DataType]) -> Option<DataType> {
    use DataType::*;
    let types: Vec<&DataType> = types.iter().copied().filter(|t| !t.is_null()).collect();
    let Some(first) = types.first() else { return Some(Null) };
    if types.iter().all(|t| t == first) {
        return Some((*first).clone());
    }
    let all = |fits: fn(&DataType) -> bool| types.iter().all(|t| fits(t));
    let any = |is: fn(&DataType) -> bool| types.iter().any(|t| is(t));
    if all(|t| matches!(t, Utf8 | LargeUtf8 | Utf8View)) {
        return Some(if any(|t| *t == LargeUtf8) { LargeUtf8 } else { Utf8View });
    }
    if all(|t| matches!(t, Binary | LargeBinary | BinaryView | FixedSizeBinary(_))) {
        let (large, view) = (any(|t| *t == LargeBinary), any(|t| *t == BinaryView));
        return Some(if large {
            LargeBinary
        } else if view {
            BinaryView
        } else {
            Binary
        });
    }
    if any(|t| matches!(t, Dictionary(..))) {
        let values: Vec<&DataType> =
            types.iter().map(|t| if let Dictionary(_, value) = t { value.as_ref() } else { *t }).collect();
        let keys: Option<Vec<&DataType>> =
            types.iter().map(|t| if let Dictionary(key, _) = t { Some(key.as_ref()) } else { None }).collect();
        let value = holding(&values)?;
        return Some(match keys {
            Some(keys) => Dictionary(Box::new(holding(&keys)?), Box::new(value)),
            None => value,
        });
    }
    if all(DataType::is_integer) {
        return Some(integer(&types));
    }
    if all(|t| t.is_integer() || t.is_floating()) {
        return Some(if any(DataType::is_integer) || any(|t| *t == Float64) { Float64 } else { Float32 });
    }
    if all(|t| t.is_integer() || t.is_decimal()) {
        return decimal(&types);
    }
    if all(|t| matches!(t, Timestamp(..))) {
        let zone = types.iter().find_map(|t| if let Timestamp(_, zone) = t { Some(zone.clone()) } else { None })?;
        return Some(Timestamp(finest(&types)?, zone));
    }
    if all(|t| matches!(t, Duration(_))) {
        return Some(Duration(finest(&types)?));
    }
    if all(|t| matches!(t, Time32(_) | Time64(_))) {
        let unit = finest(&types)?;
        return Some(if unit < TimeUnit::Microsecond { Time32(unit) } else { Time64(unit) });
    }
    if all(|t| matches!(t, Date32 | Date64)) {
        return Some(Date64);
    }
    if all(|t| matches!(t, Struct(_))) {
        let all: Vec<&Fields> = types.iter().filter_map(|t| if let Struct(f) = t { Some(f) } else { None }).collect();
        return structs(&all).map(Struct);
    }
    if all(|t| matches!(t, Map(..))) {
        return maps(&types);
    }
    lists(&types)
}

fn integer(types: &[&DataType]) -> DataType {
    use DataType::*;
    let width = |t: &DataType| 8 * t.primitive_width().unwrap_or(8) as u32;
    let most = |signed: bool| types.iter().filter(|t| t.is_signed_integer() == signed).map(|t| width(t)).max();
    let (bits, is_signed) = match (most(true), most(false)) {
        (Some(signed), unsigned) => (signed.max(2 * unsigned.unwrap_or(0)).min(64), true),
        (None, unsigned) => (unsigned.unwrap_or(64), false),
    };
    match (bits, is_signed) {
        (8, true) => Int8,
        (16, true) => Int16,
        (32, true) => Int32,
        (_, true) => Int64,
        (8, false) => UInt8,
        (16, false) => UInt16,
        (32, false) => UInt32,
        (_, false) => UInt64,
    }
}

fn decimal(types: &[&DataType]) -> Option<DataType> {
    use DataType::*;
    // Digits before the point, behind it, and the bits of the type.
    let parts: Vec<(i32, i32, u32)> = types
        .iter()
        .map(|t| match t {
            Decimal32(p, s) => (i32::from(*p) - i32::from(*s), i32::from(*s), 32),
            Decimal64(p, s) => (i32::from(*p) - i32::from(*s), i32::from(*s), 64),
            Decimal128(p, s) => (i32::from(*p) - i32::from(*s), i32::from(*s), 128),
            Decimal256(p, s) => (i32::from(*p) - i32::from(*s), i32::from(*s), 256),
            UInt64 => (20, 0, 32),
            Int64 => (19, 0, 32),
            Int32 | UInt32 => (10, 0, 32),
            Int16 | UInt16 => (5, 0, 32),
            _ => (3, 0, 32),
        })
        .collect();
    let before = parts.iter().map(|(before, ..)| *before).max()?;
    let behind = parts.iter().map(|(_, behind, _)| *behind).max()?;
    let bits = parts.iter().map(|(.., bits)| *bits).max()?;
    let (digits, scale) = (u8::try_from(before + behind).ok()?, i8::try_from(behind).ok()?);
    let needed = match digits {
        0..=9 => 32,
        10..=18 => 64,
        19..=38 => 128,
        39..=76 => 256,
        _ => return None,
    };
    Some(match bits.max(needed) {
        32 => Decimal32(digits, scale),
        64 => Decimal64(digits, scale),
        128 => Decimal128(digits, scale),
        _ => Decimal256(digits, scale),
    })
}

fn finest(types: &[&DataType]) -> Option<TimeUnit> {
    let unit = |t: &&DataType| match t {
        DataType::Timestamp(unit, _) | DataType::Duration(unit) | DataType::Time32(unit) | DataType::Time64(unit) => {
            Some(*unit)
        }
        _ => None,
    };
    types.iter().filter_map(unit).max()
}

/// One field for the elements of lists, or of maps.
fn one(fields: &[&FieldRef]) -> Option<Field> {
    let data_type = holding(&fields.iter().map(|f| f.data_type()).collect::<Vec<_>>())?;
    let nullable = data_type.is_null() || fields.iter().any(|f| f.is_nullable());
    Some(Field::clone(fields.first()?).with_data_type(data_type).with_nullable(nullable))
}

/// Keys and values are told by their place.
fn maps(types: &[&DataType]) -> Option<DataType> {
    let mut all: Vec<(&FieldRef, &Fields)> = Vec::new();
    for t in types {
        let DataType::Map(entries, _) = t else { return None };
        let DataType::Struct(fields) = entries.data_type() else { return None };
        all.push((entries, fields));
    }
    let child = |k: usize| one(&all.iter().filter_map(|(_, fields)| fields.get(k)).collect::<Vec<_>>()).map(Arc::new);
    let fields: Fields = vec![child(0)?, child(1)?].into();
    let sorted = types.iter().all(|t| matches!(t, DataType::Map(_, true)));
    Some(DataType::Map(Arc::new(Field::clone(all[0].0).with_data_type(DataType::Struct(fields))), sorted))
}

fn structs(all: &[&Fields]) -> Option<Fields> {
    let mut names: Vec<&str> = Vec::new();
    for field in all.iter().flat_map(|fields| fields.iter()) {
        if !names.contains(&field.name().as_str()) {
            names.push(field.name());
        }
    }
    let field = |name: &&str| {
        let own: Vec<&FieldRef> = all.iter().filter_map(|fields| fields.iter().find(|f| f.name() == name)).collect();
        let missing = own.len() < all.len();
        one(&own).map(|field| Arc::new(field.clone().with_nullable(field.is_nullable() || missing)))
    };
    names.iter().map(field).collect()
}

fn lists(types: &[&DataType]) -> Option<DataType> {
    use DataType::*;
    let element = |t: &&DataType| match t {
        List(f) | LargeList(f) | ListView(f) | LargeListView(f) | FixedSizeList(f, _) => Some(Arc::clone(f)),
        _ => None,
    };
    let elements: Vec<FieldRef> = types.iter().map(element).collect::<Option<_>>()?;
    let element = Arc::new(one(&elements.iter().collect::<Vec<_>>())?);
    let is_view = |t: &&DataType| matches!(t, ListView(_) | LargeListView(_));
    let large = types.iter().any(|t| matches!(t, LargeList(_) | LargeListView(_)));
    let lengths: Vec<Option<i32>> =
        types.iter().map(|t| if let FixedSizeList(_, n) = t { Some(*n) } else { None }).collect();
    Some(match lengths[0].filter(|_| lengths.iter().all(|n| *n == lengths[0])) {
        Some(length) => FixedSizeList(element, length),
        None if large && types.iter().all(is_view) => LargeListView(element),
        None if large => LargeList(element),
        None if types.iter().any(is_view) => ListView(element),
        None => List(element),
    })
}
