//! Types that older readers know: pyarrow before 26 and Hugging Face datasets before 5.1 don't read those of a fixed size.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};

/// What names a logical type that its storage must have.
const EXTENSION: &str = "ARROW:extension:";

/// The field with fixed-size binaries as binaries and fixed-size lists as lists, at any depth.
pub fn portable(field: &Field) -> Field {
    let data_type = portable_type(field.data_type());
    let mut metadata = field.metadata().clone();
    if data_type != *field.data_type() {
        // An extension type is one of its own storage alone.
        metadata.retain(|key, _| !key.starts_with(EXTENSION));
    }
    field.clone().with_data_type(data_type).with_metadata(metadata)
}

fn portable_type(data_type: &DataType) -> DataType {
    use DataType::*;
    let of = |field: &FieldRef| Arc::new(portable(field));
    match data_type {
        FixedSizeBinary(_) => Binary,
        FixedSizeList(field, _) | List(field) => List(of(field)),
        LargeList(field) => LargeList(of(field)),
        ListView(field) => ListView(of(field)),
        LargeListView(field) => LargeListView(of(field)),
        Map(field, sorted) => Map(of(field), *sorted),
        Struct(fields) => Struct(fields.iter().map(of).collect()),
        Dictionary(key, value) => Dictionary(key.clone(), Box::new(portable_type(value))),
        same => same.clone(),
    }
}
