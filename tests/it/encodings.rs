//! How the shards are stored: what the data is worth, no more.

use std::fs::File;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float32Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray, TimestampMillisecondArray,
};
use arrow::datatypes::Int64Type;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding};
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};

use crate::support::{Project, table};

const ROWS: i64 = 6000;

fn noise(row: i64) -> i64 {
    row.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64) >> 8
}

/// Noise of which neighbours have no steady difference either.
fn mixed(row: i64) -> i64 {
    noise(noise(row) ^ noise(row) >> 17)
}

/// 300 users, requests of two rows; `wide` overflows its dictionary, as does `age`, of which the values are near one another;
/// `profile` repeats within requests; `history` has 32 numbers below 200,000.
fn input() -> RecordBatch {
    let ints = |f: &dyn Fn(i64) -> i64| Arc::new(Int64Array::from_iter_values((0..ROWS).map(f))) as ArrayRef;
    let request = |row: i64| row / 2;
    let history = |row: i64| Some((0..32).map(move |k| Some(mixed(row * 32 + k).rem_euclid(200_000))));
    table(vec![
        ("user", ints(&|row| request(row) % 300)),
        ("request", ints(&request)),
        ("item", ints(&|row| row % 500)),
        ("wide", ints(&|row| noise(row) << 8 ^ row)),
        ("age", ints(&|row| 1_700_000_000_000 + noise(row) % 100_000)),
        ("profile", Arc::new(Int32Array::from_iter_values((0..ROWS).map(|row| noise(request(row)) as i32)))),
        ("history", Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>((0..ROWS).map(history)))),
        ("surface", Arc::new(StringArray::from_iter_values((0..ROWS).map(|row| ["home", "search"][row as usize % 2])))),
        ("score", Arc::new(Float32Array::from_iter_values((0..ROWS).map(|row| (noise(row) as f32).sin() + 2.0)))),
    ])
}

/// By column: whether it has a dictionary, its encodings, and how it is compressed, in the first row group of a shard.
fn encodings(project: &Project, part: usize) -> impl Fn(&str) -> (bool, Vec<Encoding>, Compression) {
    let file = File::open(project.path(&format!("out/batches/part-{part:05}.parquet"))).expect("a shard");
    let group = SerializedFileReader::new(file).expect("Parquet").metadata().row_group(0).clone();
    move |name| {
        let chunk = group.columns().iter().find(|c| c.column_path().string() == name).expect("a column");
        (chunk.dictionary_page_offset().is_some(), chunk.encodings().collect(), chunk.compression())
    }
}

fn project(mask: &str) -> Project {
    let project = Project::new(&format!(
        r#"
        input.shards = ["in.parquet"]
        columns = {{ identity = "user", request = "request", item = "item" }}
        requests.columns = ["profile"]
        compose.batch_size = 64
        mask.rules = {mask}
        output = {{ path = "out", row_group_rows = 640 }}
        "#
    ));
    write_input(&project, &input());
    project
}

fn write_input(project: &Project, batch: &RecordBatch) {
    let file = File::create(project.path("in.parquet")).expect("a file");
    let properties =
        WriterProperties::builder().set_dictionary_page_size_limit(16 << 10).set_data_page_size_limit(4096);
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties.build())).expect("a writer");
    writer.write(batch).expect("rows");
    writer.close().expect("a footer");
}

#[test]
fn payload_keeps_only_dictionaries_that_serve_and_floats_and_integers_are_stored_as_they_compress() {
    let project = project(r#"["same:identity"]"#);
    project.succeed(&[]);
    let of = encodings(&project, 0);
    assert!(of("surface").0, "two values");
    assert!(!of("wide").0, "the input's dictionary overflowed");
    assert!(!of("profile").0, "repeats side by side in the input, not in batches of other users");
    assert!(of("score").1.contains(&Encoding::BYTE_STREAM_SPLIT), "{:?}", of("score"));
    assert!(of("age").1.contains(&Encoding::DELTA_BINARY_PACKED), "near one another: {:?}", of("age"));
    assert!(!of("wide").1.contains(&Encoding::DELTA_BINARY_PACKED), "noise: {:?}", of("wide"));
    assert!(!of("bw_slot").0);
    let history = of("history.list.item");
    assert!(history.1.contains(&Encoding::DELTA_BINARY_PACKED), "18 bits of 64: {:?}", history.1);
    assert_eq!(history.2, Compression::UNCOMPRESSED, "nothing is left to compress");
    for other in ["surface", "profile", "score", "age", "wide", "bw_same_user"] {
        assert!(matches!(of(other).2, Compression::ZSTD(_)), "{other}");
    }
}

#[test]
fn bitmaps_have_a_dictionary_where_rows_share_them() {
    let project = project(r#"["same:identity"]"#);
    project.succeed(&[]);
    let of = encodings(&project, 0);
    assert!(of("bw_same_user").0 && of("bw_negatives").0);
    // Whose positives are whose is different for each user and batch.
    let project = self::project(r#"["same:identity", "known_positive"]"#);
    project.succeed(&[]);
    let of = encodings(&project, 0);
    assert!(of("bw_same_user").0 && !of("bw_negatives").0);
}

#[test]
fn each_shard_is_encoded_as_its_own_rows_ask() {
    let project = Project::new(
        r#"
        input.shards = ["in.parquet"]
        columns = { identity = "user", time = "ts" }
        compose = { batch_size = 64, window = "1h" }
        mask.rules = ["same:identity"]
        output = { path = "out", row_group_rows = 640, shard_rows = 1280 }
        "#,
    );
    let ints = |f: &dyn Fn(i64) -> i64| Arc::new(Int64Array::from_iter_values((0..ROWS).map(f))) as ArrayRef;
    let later = |row: i64| row / (ROWS / 2);
    let hours = (0..ROWS).map(|row| later(row) * 3_600_000);
    let rows = table(vec![
        ("user", ints(&|row| row % 300)),
        ("ts", Arc::new(TimestampMillisecondArray::from_iter_values(hours))),
        // Near one another in the first hour, noise in the second.
        (
            "value",
            ints(&|row| if later(row) == 0 { 1_700_000_000_000 + noise(row) % 100_000 } else { noise(row) << 8 ^ row }),
        ),
    ]);
    write_input(&project, &rows);
    project.succeed(&[]);
    let last = project.manifest()["shards"].as_array().expect("shards").len() - 1;
    let (first, last) = (encodings(&project, 0)("value").1, encodings(&project, last)("value").1);
    assert!(first.contains(&Encoding::DELTA_BINARY_PACKED), "{first:?}");
    assert!(!last.contains(&Encoding::DELTA_BINARY_PACKED), "{last:?}");
}
