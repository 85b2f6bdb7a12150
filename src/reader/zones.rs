//! What a file's writer declares of types beside what it stores: zones, where the reader knows but UTC, and integers, which
//! Polars takes as declared.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, TimeUnit};
use arrow::ipc::convert::try_schema_from_ipc_buffer;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use parquet::file::metadata::FileMetaData;

/// The Arrow schema beside the Parquet one, if there is one that can be read.
fn declared(file: &FileMetaData) -> Option<Schema> {
    let told = file.key_value_metadata()?.iter().find(|pair| pair.key == "ARROW:schema")?;
    try_schema_from_ipc_buffer(&BASE64_STANDARD.decode(told.value.as_ref()?).ok()?).ok()
}

/// The columns whose integers are declared of another type than they are stored, as older Parquet has it of unsigned ones.
pub fn disputed(schema: &Schema, file: &FileMetaData) -> Vec<String> {
    let Some(declared) = declared(file) else { return Vec::new() };
    let pairs = schema.fields().iter().zip(declared.fields());
    let differ = pairs.filter(|(read, declared)| integers_differ(read.data_type(), declared.data_type()));
    differ.map(|(read, _)| read.name().clone()).collect()
}

fn integers_differ(read: &DataType, declared: &DataType) -> bool {
    use DataType::*;
    match (read, declared) {
        (List(f) | LargeList(f) | FixedSizeList(f, _), List(d) | LargeList(d) | FixedSizeList(d, _))
        | (Map(f, _), Map(d, _)) => integers_differ(f.data_type(), d.data_type()),
        (Struct(fields), Struct(declared)) => {
            fields.iter().zip(declared).any(|(f, d)| integers_differ(f.data_type(), d.data_type()))
        }
        _ => read != declared && read.is_integer() && declared.is_integer(),
    }
}

/// A file's schema in the zones that it declares.
pub fn zoned(schema: &Arc<Schema>, file: &FileMetaData) -> Arc<Schema> {
    let stored = file.schema_descr().columns();
    let int96 = stored.iter().any(|leaf| leaf.physical_type() == parquet::basic::Type::INT96);
    let schema = if int96 {
        &Arc::new(Schema::new_with_metadata(fine(schema.fields()), schema.metadata().clone()))
    } else {
        schema
    };
    match declared(file) {
        Some(declared) => {
            let fields = of_fields(schema.fields(), declared.fields());
            Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
        }
        None => Arc::clone(schema),
    }
}

/// Timestamps of 12 bytes may be declared as seconds, which Parquet does not have: a dataset has milliseconds of them.
fn fine(fields: &Fields) -> Fields {
    use DataType::*;
    fn of(field: &FieldRef) -> FieldRef {
        let data_type = match field.data_type() {
            Timestamp(TimeUnit::Second, zone) => Timestamp(TimeUnit::Millisecond, zone.clone()),
            List(f) => List(of(f)),
            LargeList(f) => LargeList(of(f)),
            FixedSizeList(f, n) => FixedSizeList(of(f), *n),
            Map(f, sorted) => Map(of(f), *sorted),
            Struct(fields) => Struct(fine(fields)),
            _ => return Arc::clone(field),
        };
        Arc::new(Field::clone(field).with_data_type(data_type))
    }
    fields.iter().map(of).collect()
}

/// By position; what does not match stays.
fn of_fields(read: &Fields, declared: &Fields) -> Fields {
    if read.len() != declared.len() {
        return read.clone();
    }
    read.iter().zip(declared).map(|(read, declared)| of_field(read, declared)).collect()
}

fn of_field(read: &FieldRef, declared: &FieldRef) -> FieldRef {
    use DataType::*;
    let data_type = match (read.data_type(), declared.data_type()) {
        (Timestamp(unit, Some(_)), Timestamp(_, Some(zone))) => Timestamp(*unit, Some(Arc::clone(zone))),
        (List(f), List(d)) => List(of_field(f, d)),
        (LargeList(f), LargeList(d)) => LargeList(of_field(f, d)),
        (FixedSizeList(f, n), FixedSizeList(d, _)) => FixedSizeList(of_field(f, d), *n),
        (ListView(f), ListView(d)) => ListView(of_field(f, d)),
        (LargeListView(f), LargeListView(d)) => LargeListView(of_field(f, d)),
        (Map(f, sorted), Map(d, _)) => Map(of_field(f, d), *sorted),
        (Struct(fields), Struct(declared)) => Struct(of_fields(fields, declared)),
        _ => return Arc::clone(read),
    };
    Arc::new(Field::clone(read).with_data_type(data_type))
}
