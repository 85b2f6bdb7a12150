//! Ordered dictionaries and intervals are kept whole, and the judge sees where they are not.

use std::path::Path;
use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::*;
use parquet::arrow::ArrowWriter;
use parquet::data_type::{ByteArray, FixedLenByteArray, FixedLenByteArrayType, Int64Type as StoredInt64};
use parquet::file::writer::SerializedFileWriter;

use crate::support::{Project, read_dataset, write_parquet};

const PIPELINE: &str = "input.shards = [\"in\"]\ncolumns.identity = \"u\"\nidentity.keep_raw = true\ncompose.batch_size = 8\noutput = { path = \"out\", row_group_rows = 8, shard_rows = 16 }";

fn grades(values: &[&str], keys: &[Option<i8>], ordered: bool) -> RecordBatch {
    let dictionary = DictionaryArray::new(Int8Array::from(keys.to_vec()), Arc::new(StringArray::from(values.to_vec())));
    let n = Int64Array::from_iter_values(0..keys.len() as i64);
    let grade = Field::new("grade", dictionary.data_type().clone(), true).with_dict_is_ordered(ordered);
    let schema = Schema::new(vec![Field::new("u", DataType::Int64, false), grade]);
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(n), Arc::new(dictionary)]).unwrap()
}

/// As pyarrow writes dictionaries: the page holds them whole, in their order. The general writer numbers values as they come,
/// so a first row of each is written, and filtered out again by its number.
fn write_ordered(path: &Path, values: &[&str], keys: &[Option<i8>]) {
    let all = (0..values.len() as i8).map(Some).chain(keys.iter().copied()).collect::<Vec<_>>();
    write_parquet(path, &[grades(values, &all, true)]);
}

fn dictionaries(project: &Project) -> Vec<Vec<String>> {
    let mut files: Vec<_> =
        std::fs::read_dir(project.path("out/batches")).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let mut found = Vec::new();
    for file in files {
        let builder =
            parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(&file).unwrap())
                .unwrap();
        let groups = builder.metadata().num_row_groups();
        for group in 0..groups {
            let file = std::fs::File::open(&file).unwrap();
            let builder = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
            assert_eq!(builder.schema().field_with_name("grade").unwrap().dict_is_ordered(), Some(true));
            let rows = builder.with_row_groups(vec![group]).build().unwrap().next().unwrap().unwrap();
            let values = rows["grade"].as_any_dictionary().values().as_string::<i32>().clone();
            found.push(values.iter().flatten().map(str::to_owned).collect());
        }
    }
    found
}

fn texts(batch: &RecordBatch) -> Vec<(i64, Option<String>)> {
    let plain = arrow::compute::cast(&batch["grade"], &DataType::Utf8).unwrap();
    let users = batch["u"].as_primitive::<Int64Type>();
    let mut rows: Vec<(i64, Option<String>)> = (0..batch.num_rows())
        .map(|row| (users.value(row), plain.as_string::<i32>().iter().nth(row).unwrap().map(str::to_owned)))
        .collect();
    rows.sort();
    rows
}

const LEVELS: [&str; 4] = ["low", "mid", "high", "never"];

fn ordered_project() -> Project {
    let project = Project::new(&format!("{PIPELINE}\ninput.where = 'u >= 4'"));
    let keys: Vec<Option<i8>> = (0..40).map(|k| (k % 7 != 3).then_some([2, 0, 1][k as usize % 3])).collect();
    write_ordered(&project.path("in/a.parquet"), &LEVELS, &keys);
    project
}

#[test]
fn an_ordered_dictionary_is_whole_and_in_order_in_every_row_group() {
    let project = ordered_project();
    project.succeed(&[]);
    project.verified();
    let found = dictionaries(&project);
    assert!(found.len() == 5 && found.iter().all(|values| values == &LEVELS), "{found:?}");
    let rows: Vec<_> = texts(&crate::support::rows_of(&project.path("in"))).split_off(4);
    assert_eq!(texts(&read_dataset(&project.path("out"))), rows);
    // Through scratch files, as an item, and as a column of requests.
    let bytes = std::fs::read(project.path("out/batches/part-00000.parquet")).unwrap();
    project.succeed(&["--memory", "1", "--overwrite"]);
    assert_eq!(std::fs::read(project.path("out/batches/part-00000.parquet")).unwrap(), bytes);
    let sets = [
        "--set",
        "columns.item=grade",
        "--set",
        "columns.request=u",
        "--set",
        "requests.columns=[\"grade\"]",
        "--set",
        "requests.layout=first",
    ];
    project.succeed(&[&sets[..], &["--overwrite"]].concat());
    let judged = project.against(&sets);
    assert_eq!(judged.code, 0, "{}", judged.stdout);
    assert!(dictionaries(&project).iter().all(|values| values == &LEVELS));
}

#[test]
fn orders_that_agree_are_one_and_others_are_an_error() {
    let of = |some: &[&str], other: &[&str]| {
        let project = Project::new(PIPELINE);
        write_ordered(&project.path("in/a.parquet"), some, &[Some(0), Some(1)]);
        write_ordered(&project.path("in/b.parquet"), other, &[Some(1), Some(0)]);
        project
    };
    let longer = of(&["low", "high"], &LEVELS);
    longer.succeed(&[]);
    longer.verified();
    assert!(dictionaries(&longer).iter().all(|values| values == &LEVELS));
    of(&["low", "high"], &["high", "low"]).fails(&["b.parquet", "column `grade`", "not in the order"]);
    let project = Project::new(PIPELINE);
    write_ordered(&project.path("in/a.parquet"), &LEVELS, &[Some(0)]);
    write_parquet(&project.path("in/b.parquet"), &[grades(&LEVELS, &[Some(0)], false)]);
    project.fails(&["b.parquet, column `grade`", "order would be lost"]);
}

/// A shard rewritten, and the manifest with it, as another writer would have done it.
pub fn rewrite(project: &Project, change: impl Fn(RecordBatch) -> RecordBatch) {
    let manifest = project.path("out/_batchwright/manifest.json");
    let mut text = std::fs::read_to_string(&manifest).unwrap();
    let recorded: serde_json::Value = serde_json::from_str(&text).unwrap();
    for shard in recorded["shards"].as_array().unwrap() {
        let path = project.path("out").join(shard["path"].as_str().unwrap());
        let builder =
            parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(&path).unwrap())
                .unwrap();
        let facts = builder.metadata().file_metadata().key_value_metadata().cloned();
        let facts =
            facts.map(|facts| facts.into_iter().filter(|pair| pair.key.starts_with("batchwright")).collect::<Vec<_>>());
        let groups = builder.metadata().num_row_groups();
        let rows: Vec<RecordBatch> = (0..groups)
            .map(|group| {
                let file = std::fs::File::open(&path).unwrap();
                let builder = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
                let rows: Vec<_> = builder.with_row_groups(vec![group]).build().unwrap().map(Result::unwrap).collect();
                change(arrow::compute::concat_batches(&rows[0].schema(), &rows).unwrap())
            })
            .collect();
        let properties = parquet::file::properties::WriterProperties::builder().set_key_value_metadata(facts).build();
        let mut writer =
            ArrowWriter::try_new(std::fs::File::create(&path).unwrap(), rows[0].schema(), Some(properties)).unwrap();
        for rows in rows {
            writer.write(&rows).unwrap();
            writer.flush().unwrap();
        }
        writer.close().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let digest = format!("{:032x}", xxhash_rust::xxh3::xxh3_128(&bytes));
        text = text.replace(shard["xxh3_128"].as_str().unwrap(), &digest);
        text = text.replace(&format!("\"bytes\": {},", shard["bytes"]), &format!("\"bytes\": {},", bytes.len()));
    }
    std::fs::write(&manifest, text).unwrap();
}

#[test]
fn the_judge_sees_an_order_that_was_lost() {
    let project = ordered_project();
    project.succeed(&[]);
    // The general writer numbers values by first appearance, and leaves out those that no row has.
    rewrite(&project, |rows| rows);
    let judged = project.against(&[]);
    assert_eq!(judged.code, 1, "{}", judged.stdout);
    assert!(judged.stdout.contains("grade: the ordered dictionary"), "{}", judged.stdout);
    assert!(!judged.stdout.contains("digest"), "{}", judged.stdout);
}

/// A file with intervals of 12 bytes: months, days, milliseconds.
fn write_intervals(path: &Path, values: &[[u32; 3]]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let message = "message rows { required int64 u; optional fixed_len_byte_array(12) span (INTERVAL); }";
    let schema = Arc::new(parquet::schema::parser::parse_message_type(message).unwrap());
    let mut writer =
        SerializedFileWriter::new(std::fs::File::create(path).unwrap(), schema, Default::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut users = group.next_column().unwrap().unwrap();
    let ids: Vec<i64> = (0..=values.len() as i64).collect();
    users.typed::<StoredInt64>().write_batch(&ids, None, None).unwrap();
    users.close().unwrap();
    let mut spans = group.next_column().unwrap().unwrap();
    let bytes = values.iter().map(|v| v.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>());
    let bytes: Vec<FixedLenByteArray> = bytes.map(|v| FixedLenByteArray::from(ByteArray::from(v))).collect();
    // The last is null.
    let levels: Vec<i16> = values.iter().map(|_| 1).chain([0]).collect();
    spans.typed::<FixedLenByteArrayType>().write_batch(&bytes, Some(&levels), None).unwrap();
    spans.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
}

#[test]
fn intervals_keep_all_their_bytes_or_are_refused() {
    let project = Project::new(PIPELINE);
    write_intervals(&project.path("in/a.parquet"), &[[0, 3, 5], [0, 0, 86_400_000], [0, 9, 0]]);
    project.succeed(&[]);
    project.verified();
    let months = Project::new(PIPELINE);
    write_intervals(&months.path("in/a.parquet"), &[[0, 3, 5], [14, 3, 5]]);
    months.fails(&["in/a.parquet", "column `span`", "months", "input.drop"]);
    months.arg("--set").arg("input.drop=[\"span\"]").succeed(&[]);
}

#[test]
fn the_judge_sees_an_interval_that_lost_its_months() {
    let project = Project::new(PIPELINE);
    write_intervals(&project.path("in/a.parquet"), &[[0, 3, 5], [0, 7, 7]]);
    project.succeed(&[]);
    // The input as it was before months were lost; the manifest knows it by its digest.
    let before = std::fs::read(project.path("in/a.parquet")).unwrap();
    write_intervals(&project.path("in/a.parquet"), &[[14, 3, 5], [0, 7, 7]]);
    let after = std::fs::read(project.path("in/a.parquet")).unwrap();
    let digest = |bytes: &[u8]| format!("{:032x}", xxhash_rust::xxh3::xxh3_128(bytes));
    let manifest = project.path("out/_batchwright/manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let text = text.replace(&digest(&before), &digest(&after));
    std::fs::write(
        &manifest,
        text.replace(&format!("\"bytes\": {},", before.len()), &format!("\"bytes\": {},", after.len())),
    )
    .unwrap();
    let judged = project.against(&[]);
    assert_eq!(judged.code, 1, "{}", judged.stdout);
    assert!(judged.stdout.contains("no example of the input has this payload"), "{}", judged.stdout);
}

/// A file whose Arrow schema declares nanoseconds of a zone and whose columns are microseconds, as writers that coerce leave it.
fn write_coerced(path: &Path, zone: &str) {
    let declared = Schema::new(vec![
        Field::new("u", DataType::Int64, true),
        Field::new("t", DataType::Timestamp(TimeUnit::Nanosecond, Some(zone.into())), true),
    ]);
    let stored = Schema::new(vec![
        Field::new("u", DataType::Int64, true),
        Field::new("t", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
    ]);
    let times = TimestampMicrosecondArray::from(vec![Some(1_706_659_200_000_001), None, Some(-1)]).with_timezone("UTC");
    let rows = RecordBatch::try_new(Arc::new(stored), vec![Arc::new(Int64Array::from(vec![1, 2, 3])), Arc::new(times)])
        .unwrap();
    let options = parquet::arrow::arrow_writer::ArrowWriterOptions::new().with_skip_arrow_metadata(true);
    let pair =
        parquet::file::metadata::KeyValue::new("ARROW:schema".into(), parquet::arrow::encode_arrow_schema(&declared));
    let properties =
        parquet::file::properties::WriterProperties::builder().set_key_value_metadata(Some(vec![pair])).build();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = std::fs::File::create(path).unwrap();
    let mut writer =
        ArrowWriter::try_new_with_options(file, rows.schema(), options.with_properties(properties)).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
}

#[test]
fn timestamps_have_the_unit_that_is_stored_and_the_zone_that_is_declared() {
    let project = Project::new(PIPELINE);
    write_coerced(&project.path("in/a.parquet"), "Europe/Zurich");
    project.succeed(&[]);
    project.verified();
    let out = read_dataset(&project.path("out"));
    assert_eq!(out["t"].data_type(), &DataType::Timestamp(TimeUnit::Microsecond, Some("Europe/Zurich".into())));
    let mut ticks: Vec<Option<i64>> = out["t"].as_primitive::<TimestampMicrosecondType>().iter().collect();
    ticks.sort();
    assert_eq!(ticks, [None, Some(-1), Some(1_706_659_200_000_001)]);
    // A dataset whose zone became UTC is not the input's.
    rewrite(&project, |rows| {
        let at = rows.schema().index_of("t").unwrap();
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let mut columns = rows.columns().to_vec();
        columns[at] = arrow::compute::cast(&columns[at], &utc).unwrap();
        let field = |(k, f): (usize, &FieldRef)| {
            if k == at { Arc::new(Field::clone(f).with_data_type(utc.clone())) } else { Arc::clone(f) }
        };
        let fields: Fields = rows.schema().fields().iter().enumerate().map(field).collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
    });
    let judged = project.against(&[]);
    assert_eq!(judged.code, 1, "{}", judged.stdout);
    assert!(judged.stdout.contains("Europe/Zurich"), "{}", judged.stdout);
}

#[test]
fn the_judge_decodes_folders_itself() {
    let text = "input = { shards = [\"in\"], hive = true }\ncolumns.identity = \"n\"\nidentity.keep_raw = true\ncompose.batch_size = 2\noutput.path = \"out\"";
    let project = Project::new(text);
    let rows = crate::support::table(vec![("n", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef)]);
    write_parquet(&project.path("in/who=ann%20lee/a.parquet"), &[rows]);
    project.succeed(&[]);
    project.verified();
    // A dataset that carries the folder's name as it stands on the disk.
    rewrite(&project, |rows| {
        let at = rows.schema().index_of("who").unwrap();
        let mut columns = rows.columns().to_vec();
        columns[at] = Arc::new(StringArray::from(vec!["ann%20lee"; rows.num_rows()]));
        RecordBatch::try_new(rows.schema(), columns).unwrap()
    });
    let judged = project.against(&[]);
    assert_eq!(judged.code, 1, "{}", judged.stdout);
    assert!(judged.stdout.contains("no example of the input has this payload"), "{}", judged.stdout);
}

#[test]
fn the_judge_sees_the_fraction_of_a_decimal() {
    let project = Project::new(PIPELINE);
    let price = Decimal128Array::from(vec![125, 250]).with_precision_and_scale(10, 2).unwrap();
    let rows = |price: Decimal128Array| {
        crate::support::table(vec![
            ("u", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef),
            ("price", Arc::new(price)),
        ])
    };
    write_parquet(&project.path("in/a.parquet"), &[rows(price)]);
    project.succeed(&[]);
    project.verified();
    rewrite(&project, |rows| {
        let at = rows.schema().index_of("price").unwrap();
        let mut columns = rows.columns().to_vec();
        columns[at] = Arc::new(Decimal128Array::from(vec![175, 299]).with_precision_and_scale(10, 2).unwrap());
        RecordBatch::try_new(rows.schema(), columns).unwrap()
    });
    let judged = project.against(&[]);
    assert_eq!(judged.code, 1, "{}", judged.stdout);
}
