//! Every Arrow type comes back as it went in.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::OffsetBuffer;
use arrow::compute::{cast, sort_to_indices, take};
use arrow::datatypes::*;

use crate::support::{Project, read_dataset, rows_of, table, write_parquet};

const ROWS: i64 = 300;

fn ints(null_every: i64) -> Int64Array {
    (0..ROWS).map(|k| (k % null_every != 1).then_some(k * 7 % 101)).collect()
}

fn with_type(data_type: &DataType) -> ArrayRef {
    let narrow = matches!(data_type, DataType::Time32(_) | DataType::Date32);
    let ints: ArrayRef = Arc::new(ints(11));
    let ints = if narrow { cast(&ints, &DataType::Int32).unwrap() } else { ints };
    cast(&ints, data_type).unwrap_or_else(|e| panic!("{data_type}: {e}"))
}

fn words() -> StringArray {
    (0..ROWS).map(|k| (k % 13 != 2).then(|| format!("word {}", k * 5 % 77))).collect()
}

fn columns() -> Vec<(String, ArrayRef)> {
    use DataType::*;
    let utc: Option<Arc<str>> = Some("UTC".into());
    let casts = vec![
        Int8,
        Int16,
        Int32,
        Int64,
        UInt8,
        UInt16,
        UInt32,
        UInt64,
        Float16,
        Float32,
        Float64,
        Boolean,
        Decimal128(20, 3),
        Decimal256(50, 7),
        Decimal32(9, 2),
        Decimal64(18, 4),
        Date32,
        Date64,
        Time32(TimeUnit::Second),
        Time32(TimeUnit::Millisecond),
        Time64(TimeUnit::Microsecond),
        Time64(TimeUnit::Nanosecond),
        Timestamp(TimeUnit::Second, None),
        Timestamp(TimeUnit::Millisecond, utc),
        Timestamp(TimeUnit::Microsecond, None),
        Timestamp(TimeUnit::Nanosecond, Some("Europe/Zurich".into())),
        Duration(TimeUnit::Millisecond),
    ];
    let mut out: Vec<(String, ArrayRef)> = casts.iter().map(|t| (format!("{t}"), with_type(t))).collect();
    for t in [
        Utf8,
        LargeUtf8,
        Utf8View,
        Binary,
        LargeBinary,
        BinaryView,
        Dictionary(Box::new(Int8), Box::new(Utf8)),
        Dictionary(Box::new(Int32), Box::new(LargeUtf8)),
    ] {
        out.push((format!("{t}"), cast(&words(), &t).unwrap()));
    }
    let mut fixed = FixedSizeBinaryBuilder::new(5);
    for k in 0..ROWS {
        if k % 9 == 0 { fixed.append_null() } else { fixed.append_value([k as u8; 5]).unwrap() }
    }
    out.push(("fixed binary".into(), Arc::new(fixed.finish())));
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>(
        (0..ROWS)
            .map(|k| (k % 7 != 3).then(|| (0..k % 5).map(|i| (i != 2).then_some((k * i) as i32)).collect::<Vec<_>>())),
    );
    out.push(("list".into(), Arc::new(list.clone())));
    let vectors = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(
        (0..ROWS).map(|k| (k % 6 != 5).then(|| (0..4).map(|i| Some((k * i) as f32)).collect::<Vec<_>>())),
        4,
    );
    out.push(("vector".into(), Arc::new(vectors)));
    let structs = StructArray::from(vec![
        (Arc::new(Field::new("a", Int64, true)), Arc::new(ints(5)) as ArrayRef),
        (Arc::new(Field::new("b", list.data_type().clone(), true)), Arc::new(list.clone()) as ArrayRef),
    ]);
    let ends: Vec<i64> = (0..=ROWS).map(|k| k * ROWS / ROWS).collect();
    let nested = LargeListArray::new(
        Arc::new(Field::new("item", structs.data_type().clone(), true)),
        OffsetBuffer::new(ends.into()),
        Arc::new(structs.clone()),
        None,
    );
    out.push(("struct".into(), Arc::new(structs)));
    out.push(("list of structs".into(), Arc::new(nested)));
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    for k in 0..ROWS {
        for i in 0..k % 4 {
            map.keys().append_value(format!("key {i}"));
            map.values().append_option((i != 1).then_some((k * i) as i32));
        }
        map.append(k % 8 != 6).unwrap();
    }
    out.push(("map".into(), Arc::new(map.finish())));
    out.push(("null".into(), Arc::new(NullArray::new(ROWS as usize))));
    out
}

fn types_table() -> RecordBatch {
    let mut fields = vec![
        Field::new("user", DataType::Int64, false),
        Field::new("row", DataType::Int64, false)
            .with_metadata(HashMap::from([("unit".to_owned(), "rows".to_owned())])),
    ];
    let mut arrays: Vec<ArrayRef> =
        vec![Arc::new((0..ROWS).map(|k| k % 23).collect::<Int64Array>()), Arc::new((0..ROWS).collect::<Int64Array>())];
    for (name, array) in columns() {
        let note = HashMap::from([("note".to_owned(), format!("about {name}"))]);
        fields.push(Field::new(name, array.data_type().clone(), true).with_metadata(note));
        arrays.push(array);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

#[test]
fn every_type_is_unchanged() {
    let rows = types_table();
    let project = Project::new(
        "input.shards = [\"in.parquet\"]\ncolumns.identity = \"user\"\ncompose.batch_size = 32\noutput.path = \"out\"\noutput.row_group_rows = 64",
    );
    let parts: Vec<RecordBatch> = (0..3).map(|k| rows.slice(k * 100, 100)).collect();
    write_parquet(&project.path("in.parquet"), &parts);
    let out = project.run();
    // What Parquet itself keeps of a type is what a plain reader sees in the input.
    let input = rows_of(&project.path("in.parquet"));
    let order = sort_to_indices(&out["row"], None, None).unwrap();
    for field in input.schema().fields().iter().filter(|f| f.name() != "user") {
        let found = out.schema();
        let found = found.field_with_name(field.name()).unwrap();
        assert_eq!(
            (found.data_type(), found.is_nullable()),
            (field.data_type(), field.is_nullable()),
            "{}",
            field.name()
        );
        assert_eq!(found.metadata(), field.metadata(), "{}", field.name());
        let column = take(&out[field.name().as_str()], &order, None).unwrap();
        if let DataType::Dictionary(_, value) = field.data_type() {
            // Equal as values: dictionaries may number them differently.
            let plain = |a: &ArrayRef| cast(a, value).unwrap();
            assert_eq!(&plain(&column), &plain(&input[field.name().as_str()]), "{}", field.name());
        } else {
            assert_eq!(&column, &input[field.name().as_str()], "{}", field.name());
        }
    }
    let names: Vec<String> = out.schema().fields().iter().map(|f| f.name().clone()).collect();
    let carried: Vec<String> =
        input.schema().fields().iter().map(|f| f.name().clone()).filter(|n| n != "user").collect();
    assert_eq!(names[..carried.len()], carried, "payload comes first, in input order");
    assert!(names[carried.len()..].iter().all(|n| n.starts_with("bw_")));
}

#[test]
fn a_dictionary_with_more_values_than_its_keys_tell_apart_is_refused() {
    let rows = |from: i32| {
        let words: Vec<String> = (0..100).map(|k| format!("word {}", from + k)).collect();
        let words: DictionaryArray<Int8Type> = words.iter().map(|w| Some(w.as_str())).collect();
        let users = Int64Array::from_iter_values((0..100).map(|k| k % 7));
        table(vec![("user", Arc::new(users) as ArrayRef), ("word", Arc::new(words))])
    };
    let text = "input.shards = [\"in\"]\ncolumns.identity = \"user\"\ncompose.batch_size = 50\noutput.path = \"out\"";
    let same = Project::new(text).file("in/a.parquet", &rows(0)).file("in/b.parquet", &rows(0));
    assert_eq!(same.run()["word"].data_type(), &DataType::Dictionary(DataType::Int8.into(), DataType::Utf8.into()));
    let more = Project::new(text).file("in/a.parquet", &rows(0)).file("in/b.parquet", &rows(100));
    more.fails(&["column `word`", "more than 128 values", "32-bit keys"]);
    // A table of items may have as many as there are, each row group of the output few.
    let items = Project::new(&format!("{text}\ncolumns.item = \"word\"\ninput.drop = [\"word\"]"))
        .file("in/a.parquet", &rows(0))
        .file("in/b.parquet", &rows(100));
    items.run();
    assert_eq!(rows_of(&items.path("out/_batchwright/items.parquet")).num_rows(), 200);
}

#[test]
fn rows_of_a_megabyte_work() {
    let blob = |k: usize| vec![(k % 251) as u8; 1_200_000 + k];
    let rows = crate::support::table(vec![
        ("user", Arc::new((0..60).map(|k| k % 7).collect::<Int64Array>())),
        ("row", Arc::new((0..60).collect::<Int64Array>())),
        ("blob", Arc::new(BinaryArray::from_iter_values((0..60).map(blob)))),
    ]);
    let project = Project::new(
        "input.shards = [\"in.parquet\"]\ncolumns.identity = \"user\"\ncompose.batch_size = 16\noutput.path = \"out\"",
    )
    .file("in.parquet", &rows);
    let out = project.run();
    let (rows, blobs) = (out["row"].as_primitive::<Int64Type>(), out["blob"].as_binary::<i32>());
    for at in 0..60 {
        assert!(blobs.value(at) == blob(rows.value(at) as usize));
    }
}

#[test]
fn dropped_columns_are_gone_and_folders_become_columns() {
    let rows = types_table();
    let project = Project::new(
        "input = { shards = [\"in\"], drop = [\"map\"], hive = true, where = \"day = '2026-01-02'\" }\ncolumns.identity = \"user\"\ncompose.batch_size = 32\noutput.path = \"out\"",
    );
    write_parquet(&project.path("in/day=2026-01-01/a.parquet"), &[rows.slice(0, 100)]);
    write_parquet(&project.path("in/day=2026-01-02/b.parquet"), &[rows.slice(100, 200)]);
    project.succeed(&[]);
    let out = read_dataset(&project.path("out"));
    assert_eq!(out.num_rows(), 200);
    assert!(out.column_by_name("map").is_none());
    assert!(out["day"].as_string::<i32>().iter().all(|d| d == Some("2026-01-02")));
    let manifest = project.manifest();
    assert_eq!(manifest["counts"]["filtered"], 100);
    assert_eq!(manifest["inputs"][1]["path"], "day=2026-01-02/b.parquet");
}
