//! Time zones that a file declares in words where it stores instants in another unit.
//!
//! Writers put the Arrow schema beside the Parquet one. Where both have the same unit, the reader takes the zone from it;
//! where a writer coerced nanoseconds to microseconds or seconds to milliseconds, the reader knows but UTC.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, TimeUnit};
use arrow::ipc::convert::try_schema_from_ipc_buffer;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use parquet::arrow::ARROW_SCHEMA_META_KEY;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::Type as Physical;

/// The footer, with the zones that the file declares.
pub fn with_declared_zones(footer: ArrowReaderMetadata) -> ArrowReaderMetadata {
    let own = footer.schema().fields();
    let zoned = own.iter().any(|field| has_zone(field.data_type()));
    let declared = zoned.then(|| declared(&footer)).flatten();
    let zones = declared.and_then(|declared| fields_with_zones(own, declared.fields()));
    let stored = footer.parquet_schema();
    let int96 = (0..stored.num_columns()).any(|leaf| stored.column(leaf).physical_type() == Physical::INT96);
    let finer = int96.then(|| without_seconds(zones.as_ref().unwrap_or(own))).flatten();
    let Some(fields) = finer.or(zones) else { return footer };
    let schema = Schema::new_with_metadata(fields, footer.schema().metadata().clone());
    let options = ArrowReaderOptions::new().with_schema(Arc::new(schema));
    ArrowReaderMetadata::try_new(Arc::clone(footer.metadata()), options).unwrap_or(footer)
}

/// The fields with milliseconds for seconds, which timestamps of 12 bytes may be declared as and no other stored form has; `None`
/// where nothing changes.
fn without_seconds(fields: &Fields) -> Option<Fields> {
    let own: Vec<Option<FieldRef>> = fields.iter().map(field_without_seconds).collect();
    let changed = own.iter().any(Option::is_some);
    changed.then(|| fields.iter().zip(own).map(|(field, own)| own.unwrap_or_else(|| Arc::clone(field))).collect())
}

fn field_without_seconds(field: &FieldRef) -> Option<FieldRef> {
    use DataType::*;
    let data_type = match field.data_type() {
        Timestamp(TimeUnit::Second, zone) => Timestamp(TimeUnit::Millisecond, zone.clone()),
        List(f) => List(field_without_seconds(f)?),
        LargeList(f) => LargeList(field_without_seconds(f)?),
        FixedSizeList(f, n) => FixedSizeList(field_without_seconds(f)?, *n),
        ListView(f) => ListView(field_without_seconds(f)?),
        LargeListView(f) => LargeListView(field_without_seconds(f)?),
        Map(f, sorted) => Map(field_without_seconds(f)?, *sorted),
        Struct(fields) => Struct(without_seconds(fields)?),
        _ => return None,
    };
    Some(Arc::new(Field::clone(field).with_data_type(data_type)))
}

/// The Arrow schema beside the Parquet one, if there is one that can be read.
fn declared(footer: &ArrowReaderMetadata) -> Option<Schema> {
    let pairs = footer.metadata().file_metadata().key_value_metadata()?;
    let text = pairs.iter().find(|pair| pair.key == ARROW_SCHEMA_META_KEY)?.value.as_ref()?;
    try_schema_from_ipc_buffer(&BASE64_STANDARD.decode(text).ok()?).ok()
}

fn has_zone(t: &DataType) -> bool {
    use DataType::*;
    match t {
        Timestamp(_, zone) => zone.is_some(),
        List(f) | LargeList(f) | FixedSizeList(f, _) | ListView(f) | LargeListView(f) | Map(f, _) => {
            has_zone(f.data_type())
        }
        Struct(fields) => fields.iter().any(|field| has_zone(field.data_type())),
        Dictionary(_, value) => has_zone(value),
        _ => false,
    }
}

/// The fields with the other's zones; `None` where nothing changes.
fn fields_with_zones(read: &Fields, declared: &Fields) -> Option<Fields> {
    if read.len() != declared.len() {
        return None;
    }
    let own: Vec<Option<Field>> =
        read.iter().zip(declared).map(|(read, declared)| field_with_zones(read, declared)).collect();
    let changed = own.iter().any(Option::is_some);
    let field = |(field, own): (&FieldRef, Option<Field>)| own.map_or_else(|| Arc::clone(field), Arc::new);
    changed.then(|| read.iter().zip(own).map(field).collect())
}

fn field_with_zones(read: &FieldRef, declared: &Field) -> Option<Field> {
    use DataType::*;
    let child = |f: &FieldRef, declared: &FieldRef| field_with_zones(f, declared).map(Arc::new);
    let data_type = match (read.data_type(), declared.data_type()) {
        (Timestamp(unit, Some(zone)), Timestamp(_, Some(meant))) if zone != meant => {
            Timestamp(*unit, Some(Arc::clone(meant)))
        }
        (List(f), List(d)) => List(child(f, d)?),
        (LargeList(f), LargeList(d)) => LargeList(child(f, d)?),
        (FixedSizeList(f, n), FixedSizeList(d, _)) => FixedSizeList(child(f, d)?, *n),
        (ListView(f), ListView(d)) => ListView(child(f, d)?),
        (LargeListView(f), LargeListView(d)) => LargeListView(child(f, d)?),
        (Map(f, sorted), Map(d, _)) => Map(child(f, d)?, *sorted),
        (Struct(fields), Struct(declared)) => Struct(fields_with_zones(fields, declared)?),
        _ => return None,
    };
    Some(Field::clone(read).with_data_type(data_type))
}
