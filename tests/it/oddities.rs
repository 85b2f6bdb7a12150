//! Inputs that are legal and unlike the usual: each runs, and verifies against its own input.

use std::process::Command;
use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Float16Type, Int8Type};

use crate::support::{Project, table, write_parquet};

fn sound(columns: Vec<(&str, ArrayRef)>, row_group: usize, sets: &[&str]) -> Project {
    let text =
        "input.shards = [\"in.parquet\"]\ncolumns.identity = \"u\"\ncompose.batch_size = 2\noutput.path = \"out\"";
    let project = Project::new(text);
    let rows = table(columns);
    let groups: Vec<RecordBatch> = (0..rows.num_rows())
        .step_by(row_group)
        .map(|start| rows.slice(start, row_group.min(rows.num_rows() - start)))
        .collect();
    write_parquet(&project.path("in.parquet"), &groups);
    let sets: Vec<&str> = sets.iter().flat_map(|s| ["--set", s]).collect();
    project.succeed(&sets);
    for more in [&[][..], &[&["--against", "pipeline.toml"][..], &sets].concat()] {
        let output = Command::new(env!("CARGO_BIN_EXE_batchwright"))
            .current_dir(project.path(""))
            .args([&["verify", "out"][..], more].concat())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{sets:?} {more:?}: {text}");
    }
    project
}

fn users(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn letters() -> ArrayRef {
    Arc::new(["a", "b", "c", "d"].into_iter().collect::<DictionaryArray<Int8Type>>())
}

#[test]
fn a_row_group_that_a_filter_empties_may_hold_dictionaries() {
    let columns = || vec![("u", Arc::new(Int64Array::from(vec![1, 2, 3, 4])) as ArrayRef), ("x", letters())];
    sound(columns(), 2, &["input.where=u > 2", "columns.item=x"]);
    sound(columns(), 2, &["input.where=u > 2", "mask.rules=[\"same:x\"]"]);
    sound(columns(), 2, &["input.where=u > 2", "columns.identity=x"]);
}

#[test]
fn predicates_take_lists_constants_and_texts_of_dictionaries() {
    let rows = |sql: &str| {
        let columns = vec![("u", Arc::new(Int64Array::from(vec![1, 2, 3, 4])) as ArrayRef), ("x", letters())];
        sound(columns, 4, &[&format!("input.where={sql}")]).manifest()["counts"]["rows_out"].as_u64().unwrap()
    };
    assert_eq!(rows("u IN (1, 2)"), 2);
    assert_eq!(rows("u NOT IN (1)"), 3);
    assert_eq!(rows("x IN ('a', 'b', 'z')"), 2);
    assert_eq!(rows("x LIKE 'a%'"), 1);
    assert_eq!(rows("1 = 1"), 4);
}

#[test]
fn identities_with_the_same_payload_are_told_apart() {
    let same = |n: usize| users(&vec!["s"; n]);
    sound(vec![("u", users(&["a", "b", "c", "a"])), ("x", same(4))], 4, &[]);
    sound(vec![("u", users(&["a", "b", "c", "a", "b"])), ("x", same(5))], 5, &["compose.remainder=drop"]);
    let with_null: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some("b"), None, Some("a"), Some("b")]));
    sound(vec![("u", with_null), ("x", same(5))], 5, &["identity.nulls=distinct"]);
}

#[test]
fn nulls_in_every_role_verify() {
    let null: ArrayRef = Arc::new(Int64Array::from(vec![None]));
    let one: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let sets = ["columns.request=r", "columns.item=i", "compose.batch_size=4", "compose.remainder=pad"];
    sound(vec![("u", Arc::clone(&one)), ("r", null), ("i", Arc::clone(&one))], 1, &sets);
    let items: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
    let users: ArrayRef = Arc::new(Int64Array::from(vec![1, 1]));
    sound(vec![("u", users), ("i", items)], 2, &["columns.item=i", "mask.rules=[\"known_positive\"]"]);
}

#[test]
fn structs_half_floats_and_zoned_labels_verify() {
    let field = Arc::new(arrow::datatypes::Field::new("a", DataType::Int64, true));
    let structs =
        StructArray::from(vec![(field, Arc::new(Int64Array::from(vec![Some(1), None, Some(3)])) as ArrayRef)]);
    let halves: Float16Array = PrimitiveArray::<Float16Type>::from_iter_values([1.5, 2.5, 3.5].map(half_of));
    let times = TimestampMicrosecondArray::from(vec![1, -2, 3]).with_timezone("UTC");
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("u", Arc::new(Int64Array::from(vec![1, 2, 3]))),
        ("s", Arc::new(structs)),
        ("h", Arc::new(halves)),
        ("t", Arc::new(times)),
    ];
    sound(columns, 3, &["columns.label=t"]);
}

fn half_of(x: f32) -> <Float16Type as arrow::datatypes::ArrowPrimitiveType>::Native {
    <Float16Type as arrow::datatypes::ArrowPrimitiveType>::Native::from_f32(x)
}

#[test]
fn dates_of_64_bits_stay_dates_to_every_reader() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    // As pyarrow writes them: stored as days, of the Arrow type date64.
    let dates: ArrayRef = Arc::new(Date64Array::from(vec![0, 86_400_000]));
    let element = Arc::new(Field::new("element", DataType::Date64, true));
    let lists = ListArray::new(element, OffsetBuffer::from_lengths([1, 1]), Arc::clone(&dates), None);
    let rows = table(vec![
        ("d", Arc::clone(&dates)),
        ("u", Arc::new(Int64Array::from(vec![1, 2]))),
        ("lists", Arc::new(lists)),
    ]);
    let project = Project::new(
        "input.shards = [\"in.parquet\"]\ncolumns.identity = \"u\"\ncompose.batch_size = 2\noutput.path = \"out\"",
    );
    let properties = parquet::file::properties::WriterProperties::builder().set_coerce_types(true).build();
    let file = std::fs::File::create(project.path("in.parquet")).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    project.succeed(&[]);
    assert_eq!(crate::support::read_dataset(&project.path("out"))["d"].data_type(), &DataType::Date64);
    let file = std::fs::File::open(project.path("out/batches/part-00000.parquet")).unwrap();
    let reader = SerializedFileReader::new(file).unwrap();
    let columns = reader.metadata().file_metadata().schema_descr();
    for leaf in columns.columns().iter().filter(|leaf| ["d", "lists"].contains(&leaf.path().parts()[0].as_str())) {
        assert_eq!(leaf.logical_type_ref(), Some(&parquet::basic::LogicalType::Date), "{}", leaf.path());
    }
}

/// A file that no Arrow writer wrote: `u`, and a column of this Parquet type.
fn without_arrow<T: parquet::data_type::DataType>(project: &Project, column: &str, values: &[T::T]) {
    use parquet::file::writer::SerializedFileWriter;
    let schema =
        parquet::schema::parser::parse_message_type(&format!("message rows {{ required int64 u; {column}; }}"));
    let file = std::fs::File::create(project.path("in.parquet")).unwrap();
    let mut writer = SerializedFileWriter::new(file, Arc::new(schema.unwrap()), Default::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut users = group.next_column().unwrap().unwrap();
    let ids: Vec<i64> = (0..values.len() as i64).collect();
    users.typed::<parquet::data_type::Int64Type>().write_batch(&ids, None, None).unwrap();
    users.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<T>().write_batch(values, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
}

const USERS: &str =
    "input.shards = [\"in.parquet\"]\ncolumns.identity = \"u\"\ncompose.batch_size = 2\noutput.path = \"out\"";

#[test]
fn timestamps_that_reach_further_than_nanoseconds_are_refused_not_wrapped() {
    use parquet::data_type::{Int96, Int96Type};
    let of = |year: u32| Int96::from(vec![0, 0, 2_440_588 + (year - 1970) * 365]);
    let project = Project::new(USERS);
    without_arrow::<Int96Type>(&project, "required int96 t", &[of(1970), of(2200)]);
    project.succeed(&[]);
    let project = Project::new(USERS);
    without_arrow::<Int96Type>(&project, "required int96 t", &[of(1970), of(9999)]);
    project.fails(&["column `t`", "1677 to 2262", "input.drop"]);
}

#[test]
fn uuids_stay_uuids_where_no_arrow_schema_tells_of_them() {
    use parquet::data_type::{FixedLenByteArray, FixedLenByteArrayType};
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let project = Project::new(USERS);
    let values = [FixedLenByteArray::from(vec![7; 16]), FixedLenByteArray::from(vec![9; 16])];
    without_arrow::<FixedLenByteArrayType>(&project, "required fixed_len_byte_array(16) x (UUID)", &values);
    project.succeed(&[]);
    let file = std::fs::File::open(project.path("out/batches/part-00000.parquet")).unwrap();
    let reader = SerializedFileReader::new(file).unwrap();
    let columns = reader.metadata().file_metadata().schema_descr();
    let column = columns.columns().iter().find(|column| column.name() == "x").unwrap();
    assert_eq!(column.logical_type_ref(), Some(&parquet::basic::LogicalType::Uuid));
}

#[test]
fn hidden_names_are_skipped_below_globs_as_below_folders() {
    let text =
        "input.shards = [\"in/**/*.parquet\"]\ncolumns.identity = \"u\"\ncompose.batch_size = 2\noutput.path = \"out\"";
    let project = Project::new(text);
    let rows = table(vec![("u", users(&["a", "b"]))]);
    for name in ["in/a/x.parquet", "in/_b/y.parquet", "in/.c/z.parquet", "in/a/_w.parquet"] {
        write_parquet(&project.path(name), std::slice::from_ref(&rows));
    }
    std::os::unix::fs::symlink(project.path("in"), project.path("in/a/loop")).unwrap();
    project.succeed(&[]);
    assert_eq!(project.manifest()["counts"]["rows_in"], 2);
    project.succeed(&["--input", "in", "--overwrite"]);
    assert_eq!(project.manifest()["counts"]["rows_in"], 2);
}
