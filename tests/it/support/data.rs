//! Small Parquet files, and datasets read back.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{ArrowPrimitiveType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// A table of nullable columns.
pub fn table(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields: Vec<Field> = columns.iter().map(|(n, a)| Field::new(*n, a.data_type().clone(), true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|c| c.1).collect()).expect("columns")
}

/// Writes batches as row groups of one file.
pub fn write_parquet(path: &Path, batches: &[RecordBatch]) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    let file = std::fs::File::create(path).expect("a file");
    let mut writer = ArrowWriter::try_new(file, batches[0].schema(), None).expect("a writer");
    for batch in batches {
        writer.write(batch).expect("rows");
        writer.flush().expect("a row group");
    }
    writer.close().expect("a footer");
}

/// All rows of a Parquet file, or of a folder's files in lexical order.
pub fn rows_of(path: &Path) -> RecordBatch {
    let mut files: Vec<PathBuf> = if path.is_dir() {
        std::fs::read_dir(path).expect("a folder").map(|e| e.expect("an entry").path()).collect()
    } else {
        vec![path.to_path_buf()]
    };
    files.sort();
    let mut batches = Vec::new();
    for file in files {
        let file = std::fs::File::open(file).expect("a file");
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet");
        let schema = Arc::clone(builder.schema());
        let own: Vec<RecordBatch> = builder.build().expect("a reader").map(|b| b.expect("rows")).collect();
        batches.push(concat_batches(&schema, &own).expect("one schema"));
    }
    concat_batches(&batches[0].schema(), &batches).expect("one schema")
}

/// All rows of a dataset of one rank.
pub fn read_dataset(path: &Path) -> RecordBatch {
    rows_of(&path.join("batches"))
}

/// A column's values.
pub fn column<T: ArrowPrimitiveType>(batch: &RecordBatch, name: &str) -> Vec<T::Native> {
    let array = batch.column_by_name(name).unwrap_or_else(|| panic!("no column {name}"));
    assert_eq!(array.null_count(), 0, "{name} has nulls");
    array.as_primitive::<T>().values().to_vec()
}
