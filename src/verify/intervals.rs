//! Intervals, whose 12 bytes Polars does not read, as the bytes that they are.

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{AsBytes, FixedLenByteArrayType};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::serialized_reader::SerializedPageReader;
use polars::prelude::Column;

use crate::reader::schema_of;
use crate::source::unless_panic;
use crate::store;

/// Whether a column is read here.
pub fn is_one(schema: &Schema, name: &str) -> bool {
    schema.field_with_name(name).is_ok_and(|field| matches!(field.data_type(), DataType::Interval(_)))
}

/// The wanted ones of the interval columns of a row group, as binaries; `None` where they can't be read.
pub fn columns(path: &Path, row_group: usize, wanted: impl Fn(&str) -> bool) -> Option<Vec<Column>> {
    let schema = schema_of(path)?;
    let names: Vec<&String> = schema
        .fields()
        .iter()
        .filter(|field| matches!(field.data_type(), DataType::Interval(_)))
        .map(|field| field.name())
        .filter(|name| wanted(name))
        .collect();
    if names.is_empty() {
        return Some(Vec::new());
    }
    let file = Arc::new(store::open(path).ok()?);
    unless_panic(|| {
        let reader = SerializedFileReader::new(store::open(path).ok()?).ok()?;
        let group = reader.metadata().row_groups().get(row_group)?;
        let rows = usize::try_from(group.num_rows()).ok()?;
        let mut all = Vec::new();
        for name in names {
            let leaf = group.columns().iter().position(|chunk| chunk.column_path().parts() == [name.as_str()])?;
            let descriptor = group.column(leaf).column_descr_ptr();
            let nullable = descriptor.max_def_level();
            let pages = SerializedPageReader::new(Arc::clone(&file), group.column(leaf), rows, None).ok()?;
            let mut reader = ColumnReaderImpl::<FixedLenByteArrayType>::new(descriptor, Box::new(pages));
            let (mut levels, mut values) = (Vec::new(), Vec::new());
            reader.read_records(rows, Some(&mut levels), None, &mut values).ok()?;
            let mut values = values.into_iter();
            let bytes: Vec<Option<Vec<u8>>> = match nullable {
                0 => values.map(|value| Some(value.as_bytes().to_vec())).collect(),
                most => levels
                    .iter()
                    .map(|level| if *level == most { values.next().map(|v| v.as_bytes().to_vec()) } else { None })
                    .collect(),
            };
            (bytes.len() == rows).then_some(())?;
            all.push(Column::new(name.as_str().into(), bytes));
        }
        Some(all)
    })?
}
