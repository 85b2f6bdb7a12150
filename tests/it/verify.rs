//! `verify`: nothing on a correct dataset, the expected findings on each kind of damage.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use arrow::array::*;
use arrow::compute::{cast, concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_128;

use crate::support::{Project, column, rows_of, table, write_parquet};

const PIPELINE: &str = r#"
    input.shards = ["SAMPLES/feed"]
    columns = { identity = "user_id", request = "request_id", item = "item_id", label = "surface", time = "ts" }
    requests.columns = ["user_history"]
    compose.batch_size = 120
    compose.seed = 3
    mask.rules = ["same:identity", "known_positive"]
    output = { path = "out", row_group_rows = 960, shard_rows = 2400, positives = true }
"#;

pub fn project() -> Project {
    Project::new(&PIPELINE.replace("SAMPLES", &format!("{}/data-samples", env!("CARGO_MANIFEST_DIR"))))
}

/// Findings of `verify`, after checking that the exit code fits.
pub fn findings(project: &Project, more: &[&str]) -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_batchwright"))
        .current_dir(project.path(""))
        .args(["verify", "out", "--format", "json"])
        .args(more)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.is_empty(), "{stderr}");
    let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = verdict["findings"].as_array().unwrap().clone();
    assert_eq!(output.status.code(), Some(i32::from(!findings.is_empty())));
    findings
}

/// The distinct (file, column) of findings.
fn places(findings: &[Value]) -> Vec<(String, String)> {
    let text = |v: &Value| v.as_str().unwrap_or("").to_owned();
    let mut places: Vec<_> = findings.iter().map(|f| (text(&f["file"]), text(&f["column"]))).collect();
    places.sort();
    places.dedup();
    places
}

pub fn shard(project: &Project, k: usize) -> PathBuf {
    project.path(&format!("out/batches/part-{k:05}.parquet"))
}

/// Rewrites a shard's rows, keeping its row groups and footer, and seals it anew.
pub fn edit(project: &Project, path: &Path, change: impl FnOnce(RecordBatch) -> RecordBatch) {
    let file = std::fs::File::open(path).unwrap();
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let facts = builder.metadata().file_metadata().key_value_metadata().cloned();
    let facts = facts.map(|f| f.into_iter().filter(|k| k.key != "ARROW:schema").collect());
    let groups: Vec<usize> = builder.metadata().row_groups().iter().map(|g| g.num_rows() as usize).collect();
    let schema = Arc::clone(builder.schema());
    let rows: Vec<RecordBatch> = builder.build().unwrap().map(|b| b.unwrap()).collect();
    let rows = change(concat_batches(&schema, &rows).unwrap());
    let properties = WriterProperties::builder().set_key_value_metadata(facts).build();
    let mut writer =
        ArrowWriter::try_new(std::fs::File::create(path).unwrap(), rows.schema(), Some(properties)).unwrap();
    let mut start = 0;
    for group in groups {
        writer.write(&rows.slice(start, group)).unwrap();
        writer.flush().unwrap();
        start += group;
    }
    writer.close().unwrap();
    seal(project, path);
}

/// Records a file's bytes and digest in the manifest, as if they were what was written.
pub fn seal(project: &Project, path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    manifest(project, |m| {
        for list in ["shards", "tables"] {
            for file in m[list].as_array_mut().unwrap() {
                if path.ends_with(file["path"].as_str().unwrap()) {
                    file["bytes"] = bytes.len().into();
                    file["xxh3_128"] = format!("{:032x}", xxh3_128(&bytes)).into();
                }
            }
        }
    });
}

fn manifest(project: &Project, change: impl FnOnce(&mut Value)) {
    let path = project.path("out/_batchwright/manifest.json");
    let mut value: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut value);
    std::fs::write(path, value.to_string()).unwrap();
}

pub fn replace(rows: &RecordBatch, name: &str, array: ArrayRef) -> RecordBatch {
    let at = rows.schema().index_of(name).unwrap();
    let mut columns = rows.columns().to_vec();
    columns[at] = array;
    RecordBatch::try_new(rows.schema(), columns).unwrap()
}

pub fn change_int(rows: &RecordBatch, name: &str, row: usize, by: i32) -> RecordBatch {
    let mut values = column::<Int32Type>(rows, name);
    values[row] += by;
    replace(rows, name, Arc::new(Int32Array::from(values)))
}

const VARIANTS: &[&str] = &[
    "",
    "mask.encoding=slots",
    "compose.mode=request_packed",
    "compose.mode=request_packed requests.layout=first output.ranks=4 compose.remainder=pad",
    "requests.layout=first compose.remainder=drop output.ranks=2",
    "compose.mode=identity_grouped compose.group.classes={home=1,search=2}",
    "compose.mode=identity_grouped compose.group.classes={home=1,search=1} compose.group.scarce=rest output.ranks=3 compose.remainder=pad",
    "compose.window=1h dedup.keep=last",
    "mask.rules=[\"same:label+item\",\"same:request\"] mask.positive=clicked",
    "mask.positive=clicked input.where=item_id<1500",
    "mask.encoding=none mask.rules=[\"same:identity\",\"same:item\"]",
    "mask.encoding=none mask.rules=[\"same:identity\"] compose.mode=identity_grouped compose.group.classes={home=1,search=2}",
    "identity.share=[0.2,0.7] dedup.keep=last",
    "compose.mode=identity_grouped compose.group.classes={home=1,search=1} compose.group.max_groups=2",
    "output.types=portable",
    "output.types=portable mask.positives=[\"same:label\"] requests.layout=first compose.mode=request_packed output.ranks=4 compose.remainder=pad",
    "mask.positives=[\"same:label\"] mask.rules=[\"same:identity\"] compose.remainder=pad",
    "mask.positives=[\"same:label+identity\",\"same:item\"] mask.encoding=slots compose.mode=identity_grouped compose.group.classes={home=1,search=2}",
];

fn sets(variant: &str) -> Vec<&str> {
    variant.split_whitespace().flat_map(|s| ["--set", s]).collect()
}

#[test]
fn a_correct_dataset_has_no_findings_in_any_mode_layout_or_encoding() {
    for variant in VARIANTS {
        let project = project();
        let sets = sets(variant);
        project.succeed(&sets);
        assert_eq!(findings(&project, &[]), Vec::<Value>::new(), "{variant}");
        let against = [&["--against", "pipeline.toml"][..], &sets].concat();
        assert_eq!(findings(&project, &against), Vec::<Value>::new(), "{variant}");
        assert_eq!(findings(&project, &["--sample", "20%"]), Vec::<Value>::new(), "{variant}");
    }
}

#[test]
fn a_sample_has_a_batch_at_least() {
    let project = project();
    project.succeed(&[]);
    let mut verify = Command::new(env!("CARGO_BIN_EXE_batchwright"));
    verify.current_dir(project.path("")).args(["verify", "out", "--format", "json", "--sample", "0.001%"]);
    let verdict: Value = serde_json::from_slice(&verify.output().unwrap().stdout).unwrap();
    assert_eq!(verdict["batches"], 1);
}

#[test]
fn a_column_with_the_name_of_a_role_is_a_column() {
    let rows = crate::support::table(vec![
        ("user_id", Arc::new(arrow::array::Int64Array::from_iter_values(0..4)) as ArrayRef),
        ("item", Arc::new(arrow::array::Int64Array::from(vec![1, 1, 2, 2]))),
    ]);
    let project = Project::new(
        r#"
        input.shards = ["in.parquet"]
        columns.identity = "user_id"
        compose.batch_size = 4
        mask.rules = ["same:item"]
        output.path = "out"
        "#,
    )
    .file("in.parquet", &rows);
    project.succeed(&[]);
    assert_eq!(project.manifest()["stats"]["excluded_rate"], 4.0 / 12.0);
    assert_eq!(findings(&project, &["--against", "pipeline.toml"]), Vec::<Value>::new());
}

#[test]
fn rows_that_look_alike_are_not_held_against_one_another() {
    use arrow::array::Int64Array;
    let ints = |values: Vec<Option<i64>>| Arc::new(Int64Array::from(values)) as ArrayRef;
    type Case = (&'static [&'static str], Vec<(&'static str, ArrayRef)>);
    let alike: [Case; 3] = [
        // Whose copy a row is of a null request.
        (
            &["columns.request=request", "compose.remainder=pad"],
            vec![("user", ints(vec![Some(1); 3])), ("request", ints(vec![None; 3]))],
        ),
        // Whose rows were dropped.
        (
            &["compose.remainder=drop"],
            vec![("user", ints((0..10).map(Some).collect())), ("item", ints((0..10).map(|k| Some(k % 3)).collect()))],
        ),
        // Which item a row shows.
        (
            &["columns.item=item", "input.drop=[\"item\"]", "mask.rules=[\"known_positive\"]"],
            vec![("user", ints(vec![Some(1); 4])), ("item", ints((0..4).map(Some).collect()))],
        ),
    ];
    for (sets, columns) in alike {
        let project = Project::new(
            r#"
            input.shards = ["in.parquet"]
            columns.identity = "user"
            compose.batch_size = 4
            output.path = "out"
            "#,
        )
        .file("in.parquet", &crate::support::table(columns));
        let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
        project.succeed(&sets);
        assert_eq!(findings(&project, &[]), Vec::<Value>::new(), "{sets:?}");
        let against = [&["--against", "pipeline.toml"][..], &sets].concat();
        assert_eq!(findings(&project, &against), Vec::<Value>::new(), "{sets:?}");
    }
}

const PART: &str = "batches/part-00000.parquet";
const STATS: &str = "_batchwright/stats.parquet";
const MANIFEST: &str = "_batchwright/manifest.json";

fn damaged(sets: &[&str], damage: impl FnOnce(&Project)) -> Vec<Value> {
    let project = project();
    project.succeed(sets);
    damage(&project);
    findings(&project, &[&["--against", "pipeline.toml"][..], sets].concat())
}

fn assert_places(findings: &[Value], expected: &[(&str, &str)]) {
    let mut expected: Vec<_> = expected.iter().map(|(f, c)| ((*f).to_owned(), (*c).to_owned())).collect();
    expected.sort();
    assert_eq!(places(findings), expected, "{findings:#?}");
}

#[test]
fn a_flipped_payload_value_has_no_example() {
    let found = damaged(&[], |p| {
        edit(p, &shard(p, 0), |rows| {
            let mut values = rows["dwell"].as_primitive::<arrow::datatypes::Float32Type>().values().to_vec();
            values[7] = 1e9;
            replace(&rows, "dwell", Arc::new(Float32Array::from(values)))
        });
    });
    let slots: Vec<&Value> = found.iter().filter(|f| f["file"] == PART).map(|f| &f["slot"]).collect();
    assert!(slots.contains(&&7.into()), "{found:#?}");
    assert!(found.iter().any(|f| f["problem"].as_str().unwrap().contains("no example of the input")));
}

#[test]
fn a_changed_type_or_field_metadata_is_found() {
    let change = |p: &Project, change: &dyn Fn(Field) -> Field| {
        for k in (0..9).filter(|k| shard(p, *k).exists()) {
            edit(p, &shard(p, k), |rows| {
                let fields: Vec<Field> = rows.schema().fields().iter().map(|f| change(f.as_ref().clone())).collect();
                let schema = Arc::new(Schema::new(fields));
                let columns = rows.columns().iter().zip(schema.fields()).map(|(c, f)| cast(c, f.data_type()).unwrap());
                RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap()
            });
        }
    };
    let is = |f: &Field| f.name() == "item_id";
    let found = damaged(&[], |p| change(p, &|f| if is(&f) { f.with_data_type(DataType::Int32) } else { f }));
    assert!(found.iter().any(|f| f["problem"] == "it is Int32, and the input has Int64"), "{found:#?}");
    let note = || HashMap::from([("note".to_owned(), "ours".to_owned())]);
    let found = damaged(&[], |p| change(p, &|f| if is(&f) { f.with_metadata(note()) } else { f }));
    assert_places(&found, &[(PART, "item_id")]);
}

#[test]
fn a_flipped_mask_bit_is_found_at_its_slot() {
    let found = damaged(&[], |p| {
        edit(p, &shard(p, 0), |rows| {
            let mask = rows["bw_negatives"].as_fixed_size_binary();
            let width = mask.value_length() as usize;
            let mut bytes: Vec<u8> = mask.iter().flat_map(|row| row.unwrap().to_vec()).collect();
            bytes[5 * width + 9] ^= 1 << 3;
            let array = FixedSizeBinaryArray::try_new(width as i32, bytes.into(), None).unwrap();
            replace(&rows, "bw_negatives", Arc::new(array))
        });
    });
    let first = &found[0];
    assert_eq!((&first["batch"], &first["slot"], &first["column"]), (&0.into(), &5.into(), &"bw_negatives".into()));
    assert!(first["problem"].as_str().unwrap().contains("bit 75"));
    let columns: Vec<String> = places(&found).into_iter().filter(|(f, _)| f == PART).map(|(_, c)| c).collect();
    assert_eq!(columns, ["bw_negatives", "bw_valid_negatives"]);
}

#[test]
fn swapped_rows_are_out_of_order() {
    let found = damaged(&[], |p| {
        edit(p, &shard(p, 0), |rows| {
            let mut order: Vec<u32> = (0..rows.num_rows() as u32).collect();
            order.swap(3, 4);
            take_record_batch(&rows, &UInt32Array::from(order)).unwrap()
        });
    });
    let slots: Vec<(&Value, &Value)> =
        found.iter().filter(|f| f["column"] == "bw_slot").map(|f| (&f["slot"], &f["problem"])).collect();
    assert_eq!(slots.len(), 2, "{found:#?}");
    assert_eq!((slots[0].0, slots[1].0), (&3.into(), &4.into()));
}

#[test]
fn a_dropped_shard_is_missed() {
    let found = damaged(&[], |p| std::fs::remove_file(shard(p, 1)).unwrap());
    let places = places(&found);
    assert!(places.contains(&("batches/part-00001.parquet".into(), String::new())), "{places:?}");
    assert!(found.iter().any(|f| f["problem"].as_str().unwrap().contains("comes where batch")));
    // Gone from the manifest too.
    let found = damaged(&[], |p| {
        std::fs::remove_file(shard(p, 1)).unwrap();
        manifest(p, |m| {
            m["shards"].as_array_mut().unwrap().remove(1);
        });
    });
    assert!(
        found.iter().any(|f| f["problem"].as_str().unwrap().contains("it should start with batch 20")),
        "{found:#?}"
    );
    assert!(found.iter().any(|f| f["problem"].as_str().unwrap().contains("counts.dropped")), "{found:#?}");
}

#[test]
fn a_repeated_shard_is_found() {
    let found = damaged(&[], |p| {
        std::fs::copy(shard(p, 0), shard(p, 9)).unwrap();
    });
    assert_places(&found, &[("batches/part-00009.parquet", "")]);
    let found = damaged(&[], |p| {
        std::fs::copy(shard(p, 0), shard(p, 1)).unwrap();
        seal(p, &shard(p, 1));
    });
    assert!(
        found.iter().any(|f| f["problem"].as_str().unwrap().contains("batchwright.first_batch = 0, not 20")),
        "{found:#?}"
    );
    assert!(found.iter().any(|f| f["problem"].as_str().unwrap().contains("there twice")), "{found:#?}");
}

#[test]
fn wrong_counts_and_stale_statistics_are_found() {
    let found = damaged(&[], |p| manifest(p, |m| m["counts"]["users"] = 7.into()));
    assert_places(&found, &[(MANIFEST, "")]);
    assert_eq!(found.len(), 1);
    assert!(found[0]["problem"].as_str().unwrap().contains("counts.users is 7"));
    let found = damaged(&[], |p| manifest(p, |m| m["stats"]["same_user_rate"] = 0.5.into()));
    assert_eq!(found.len(), 1);
    assert!(found[0]["problem"].as_str().unwrap().contains("stats.same_user_rate is 0.5"));
    let found = damaged(&[], |p| {
        let path = p.path("out/_batchwright/stats.parquet");
        let rows = rows_of(&path);
        let mut users = column::<Int64Type>(&rows, "users");
        users[2] += 1;
        write_parquet(&path, &[replace(&rows, "users", Arc::new(Int64Array::from(users)))]);
        seal(p, &path);
    });
    assert_places(&found, &[(STATS, "users")]);
    assert_eq!((found.len(), &found[0]["batch"]), (1, &2.into()));
}

#[test]
fn a_row_in_another_batch_tears_both() {
    let found = damaged(&[], |p| edit(p, &shard(p, 0), |rows| change_int(&rows, "bw_batch", 119, 1)));
    let torn: Vec<&Value> = found.iter().filter(|f| f["column"] == "bw_batch").map(|f| &f["problem"]).collect();
    assert_eq!(torn, [&Value::from("119 rows in a row, not 120"), &Value::from("121 rows in a row, not 120")]);
}

#[test]
fn a_request_slot_off_by_one_is_found() {
    let found = damaged(&["--set", "requests.layout=first"], |p| {
        edit(p, &shard(p, 0), |rows| change_int(&rows, "bw_request_slot", 50, 1));
    });
    assert_places(&found, &[(PART, "bw_request_slot")]);
    assert_eq!((found.len(), &found[0]["slot"]), (1, &50.into()));
}

#[test]
fn a_positive_too_many_or_too_few_is_found() {
    let sets = ["--set", "mask.positives=[\"same:label\"]", "--set", "mask.rules=[\"same:identity\"]"];
    let found = damaged(&sets, |p| edit(p, &shard(p, 0), |rows| change_int(&rows, "bw_valid_positives", 7, 1)));
    assert_places(&found, &[(PART, "bw_valid_positives")]);
    let flipped = |mut bits: Vec<u8>| {
        bits[3] ^= 4;
        bits
    };
    let found = damaged(&sets, |p| {
        edit(p, &shard(p, 0), |rows| {
            let column = rows["bw_positives"].as_fixed_size_binary();
            let bits = (0..rows.num_rows()).map(|row| match row {
                9 => flipped(column.value(row).to_vec()),
                _ => column.value(row).to_vec(),
            });
            let bits = arrow::array::FixedSizeBinaryArray::try_from_iter(bits).unwrap();
            replace(&rows, "bw_positives", Arc::new(bits))
        });
    });
    assert_places(&found, &[(PART, "bw_positives"), (PART, "bw_valid_positives")]);
    assert_eq!(found[0]["slot"], 9);
}

#[test]
fn a_copy_without_its_original_is_found() {
    let pad = ["--set", "compose.remainder=pad"];
    let project = project();
    project.succeed(&pad);
    let last = (0..9).map(|k| shard(&project, k)).rfind(|p| p.exists()).unwrap();
    edit(&project, &last, |rows| {
        let copies = column::<Int32Type>(&rows, "bw_copy");
        let at = copies.iter().position(|c| *c == 1).expect("padding");
        change_int(&rows, "bw_copy", at, 1)
    });
    let found = findings(&project, &[]);
    assert!(
        found
            .iter()
            .any(|f| f["column"] == "bw_copy" && f["problem"].as_str().unwrap().contains("copy 2 comes without")),
        "{found:#?}"
    );
}

#[test]
fn padding_that_is_an_anchor_is_found() {
    let project = project();
    project.succeed(&["--set", "compose.remainder=pad"]);
    let last = (0..9).map(|k| shard(&project, k)).rfind(|p| p.exists()).unwrap();
    edit(&project, &last, |rows| {
        let anchors = arrow::array::BooleanArray::from(vec![true; rows.num_rows()]);
        replace(&rows, "bw_anchor", Arc::new(anchors))
    });
    let found = findings(&project, &[]);
    assert!(found.iter().any(|f| f["problem"].as_str().unwrap().contains("never an anchor")), "{found:#?}");
}

#[test]
fn figures_of_roles_that_nobody_mapped_are_found() {
    let users: ArrayRef = Arc::new(Int64Array::from_iter_values(0..20));
    let text =
        "input.shards = [\"in.parquet\"]\ncolumns.identity = \"u\"\ncompose.batch_size = 4\noutput.path = \"out\"";
    let project = Project::new(text).file("in.parquet", &table(vec![("u", users)]));
    project.succeed(&[]);
    manifest(&project, |m| {
        m["stats"]["request_reuse"] = 3.into();
        m["counts"]["requests"] = 5.into();
    });
    let found = findings(&project, &[]);
    let problems: Vec<&str> = found.iter().map(|f| f["problem"].as_str().unwrap()).collect();
    assert!(problems.iter().any(|p| p.contains("stats.request_reuse is 3, and no request is mapped")), "{problems:#?}");
    assert!(problems.iter().any(|p| p.contains("counts.requests is 5")), "{problems:#?}");
}

/// Twenty thousand rows that look alike: looking through them for each would take minutes.
#[test]
fn many_rows_that_look_alike_are_proven_too() {
    let rows = 20_000i64;
    let users: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
    let same: ArrayRef = Arc::new(Int64Array::from(vec![7; rows as usize]));
    let text =
        "input.shards = [\"in.parquet\"]\ncolumns.identity = \"u\"\ncompose.batch_size = 700\noutput.path = \"out\"";
    let project = Project::new(text).file("in.parquet", &table(vec![("u", users), ("x", same)]));
    for remainder in ["short", "drop"] {
        let set = format!("compose.remainder={remainder}");
        project.succeed(&["--overwrite", "--set", &set]);
        assert_eq!(findings(&project, &["--against", "pipeline.toml", "--set", &set]), Vec::<Value>::new());
    }
}

#[test]
fn damaged_bytes_are_found_and_the_rest_is_still_checked() {
    let found = damaged(&[], |p| {
        let path = shard(p, 0);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(path, &bytes[..bytes.len() - 9]).unwrap();
        manifest(p, |m| m["counts"]["copies"] = 3.into());
    });
    let problems: Vec<&str> = found.iter().map(|f| f["problem"].as_str().unwrap()).collect();
    assert!(problems.iter().any(|p| p.contains("can't be read as Parquet")), "{problems:#?}");
    assert!(problems.iter().any(|p| p.contains("counts do not balance")), "{problems:#?}");
    let found = damaged(&[], |p| {
        let path = shard(p, 0);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[100] ^= 1;
        std::fs::write(path, bytes).unwrap();
    });
    assert!(found[0]["problem"].as_str().unwrap().contains("digest"));
}

#[test]
fn a_rank_that_can_t_be_read_is_not_held_against_the_others() {
    for column in ["bw_negatives", "bw_same_user", "item_id"] {
        let found = damaged(&["--set", "output.ranks=4", "--set", "compose.remainder=drop"], |p| {
            let path = p.path("out/batches/rank-001/part-00000.parquet");
            let mut bytes = std::fs::read(&path).unwrap();
            let reader = SerializedFileReader::new(std::fs::File::open(&path).unwrap()).unwrap();
            let chunks = reader.metadata().row_group(0).columns().iter();
            let (start, len) = chunks.clone().find(|c| c.column_path().string() == column).unwrap().byte_range();
            bytes[start as usize..(start + len) as usize].fill(0xff);
            std::fs::write(path, bytes).unwrap();
        });
        let problems: Vec<&str> = found.iter().map(|f| f["problem"].as_str().unwrap()).collect();
        assert!(problems.iter().any(|p| p.contains("can't be read")), "{column}: {problems:#?}");
        let blamed =
            |p: &&str| ["another identity", "another item", "no example", "there twice"].iter().any(|b| p.contains(b));
        assert!(!problems.iter().any(blamed), "{column}: {problems:#?}");
    }
}

/// Puts all rows of a dataset in another order, with slots and masks made anew for `same:identity`.
fn recompose(project: &Project, order: impl FnOnce(&RecordBatch) -> Vec<u32>) {
    let path = shard(project, 0);
    edit(project, &path, |rows| {
        let order = order(&rows);
        let size = 120;
        let mut rows = take_record_batch(&rows, &UInt32Array::from(order)).unwrap();
        let users = column::<Int64Type>(&rows, "bw_user");
        let n = users.len();
        rows = replace(&rows, "bw_batch", Arc::new(Int32Array::from_iter_values((0..n).map(|k| (k / size) as i32))));
        rows = replace(&rows, "bw_slot", Arc::new(Int32Array::from_iter_values((0..n).map(|k| (k % size) as i32))));
        for (name, slot) in [("bw_user", "bw_user_slot"), ("bw_item", "bw_item_slot")] {
            let tokens = column::<Int64Type>(&rows, name);
            let slots = tokens.chunks(size).flat_map(|batch| {
                let mut seen = HashMap::new();
                batch
                    .iter()
                    .map(|t| {
                        let next = seen.len() as i32;
                        *seen.entry(*t).or_insert(next)
                    })
                    .collect::<Vec<_>>()
            });
            rows = replace(&rows, slot, Arc::new(Int32Array::from_iter_values(slots)));
        }
        let (mut same, mut negatives, mut valid) = (Vec::new(), Vec::new(), Vec::new());
        for batch in users.chunks(size) {
            for own in batch {
                let (mut s, mut v) = ([0u8; 15], [0u8; 15]);
                batch
                    .iter()
                    .enumerate()
                    .for_each(|(j, u)| if u == own { s[j / 8] |= 1 << (j % 8) } else { v[j / 8] |= 1 << (j % 8) });
                valid.push(v.iter().map(|b| b.count_ones()).sum::<u32>() as i32);
                same.extend(s);
                negatives.extend(v);
            }
        }
        let binary =
            |bytes: Vec<u8>| Arc::new(FixedSizeBinaryArray::try_new(15, bytes.into(), None).unwrap()) as ArrayRef;
        rows = replace(&rows, "bw_same_user", binary(same));
        rows = replace(&rows, "bw_negatives", binary(negatives));
        replace(&rows, "bw_valid_negatives", Arc::new(Int32Array::from(valid)))
    });
}

const PLAIN: &[&str] = &[
    "--set",
    "mask.rules=[\"same:identity\"]",
    "--set",
    "output.shard_rows=1000000",
    "--set",
    "compose.remainder=drop",
    "--set",
    "columns.label=item_id",
];

fn problems_of_wrong_composer(
    project: &Project,
    sets: &[&str],
    order: impl FnOnce(&RecordBatch) -> Vec<u32>,
) -> Vec<String> {
    project.succeed(sets);
    recompose(project, order);
    let found = findings(project, &[]);
    assert!(!found.iter().any(|f| f["column"] == "bw_negatives"), "the masks themselves are right: {found:#?}");
    found.iter().map(|f| f["problem"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_cap_off_by_one_is_caught() {
    let problems = problems_of_wrong_composer(&project(), PLAIN, |rows| {
        // One row of the heaviest identity changes places with a row of another batch that is at the cap already.
        let users = column::<Int64Type>(rows, "bw_user");
        let mut counts: HashMap<i64, usize> = HashMap::new();
        users.iter().for_each(|u| *counts.entry(*u).or_default() += 1);
        let (heavy, rows_of_heavy) = counts.into_iter().max_by_key(|(u, c)| (*c, *u)).unwrap();
        let cap = rows_of_heavy.div_ceil(users.len() / 120);
        let at_cap = users.chunks(120).position(|b| b.iter().filter(|u| **u == heavy).count() == cap).unwrap();
        let from = (0..users.len()).find(|k| k / 120 != at_cap && users[*k] == heavy).unwrap();
        let to = (at_cap * 120..at_cap * 120 + 120).find(|k| users[*k] != heavy).unwrap();
        let mut order: Vec<u32> = (0..users.len() as u32).collect();
        order.swap(from, to);
        order
    });
    assert!(problems.iter().any(|p| p.contains("rows in one batch") && p.contains("it may have")), "{problems:#?}");
}

#[test]
fn a_bare_stride_is_caught() {
    // 2,400 identities with five rows each, where who meets whom shows.
    let rows = crate::support::table(vec![
        ("user", Arc::new(Int64Array::from_iter_values((0..12_000).map(|k| k / 5))) as ArrayRef),
        ("item", Arc::new(Int64Array::from_iter_values(0..12_000))),
    ]);
    let text = "input.shards = [\"in.parquet\"]\ncolumns = { identity = \"user\", item = \"item\" }\ncompose.batch_size = 120\noutput.path = \"out\"";
    let project = Project::new(text).file("in.parquet", &rows);
    let problems = problems_of_wrong_composer(&project, &[], |rows| {
        let users = column::<Int64Type>(rows, "bw_user");
        let mut ranks: Vec<u32> = (0..users.len() as u32).collect();
        ranks.sort_by_key(|k| (users[*k as usize], *k));
        let n = users.len() / 120;
        (0..n).flat_map(|b| (0..120).map(move |j| j * n + b)).map(|rank| ranks[rank]).collect()
    });
    assert!(!problems.iter().any(|p| p.contains("it may have")), "a stride keeps the caps");
    assert!(problems.iter().any(|p| p.contains("not mixed")), "{problems:#?}");
}

#[test]
fn identities_by_their_first_letter_are_caught() {
    let rows = |by_letter: bool| {
        let name = |k: i64| format!("{}-{}", ["ana", "ben", "abe", "bob"][(k % 4) as usize], k % 37);
        let users = (0..900).map(|k| if by_letter { name(k)[..1].to_owned() } else { name(k) });
        crate::support::table(vec![
            ("user", Arc::new(StringArray::from_iter_values(users)) as ArrayRef),
            ("row", Arc::new(Int64Array::from_iter_values(0..900))),
        ])
    };
    let text =
        "input.shards = [\"in.parquet\"]\ncolumns.identity = \"user\"\ncompose.batch_size = 30\noutput.path = \"out\"";
    let project = Project::new(text).file("in.parquet", &rows(true));
    project.succeed(&[]);
    write_parquet(&project.path("in.parquet"), &[rows(false)]);
    assert!(findings(&project, &[]).is_empty(), "a dataset alone can't know");
    let found = findings(&project, &["--against", "pipeline.toml"]);
    assert!(
        found.iter().any(|f| f["column"] == "bw_user" && f["problem"].as_str().unwrap().contains("another identity")),
        "{found:#?}"
    );
}

#[test]
fn a_shard_of_another_run_is_found() {
    let found = damaged(&[], |p| {
        let run = p.manifest()["run_id"].as_str().unwrap().to_owned();
        let mut bytes = std::fs::read(shard(p, 1)).unwrap();
        let at = bytes.windows(run.len()).rposition(|text| text == run.as_bytes()).unwrap();
        bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
        std::fs::write(shard(p, 1), bytes).unwrap();
        seal(p, &shard(p, 1));
    });
    assert_places(&found, &[("batches/part-00001.parquet", "")]);
    assert!(found[0]["problem"].as_str().unwrap().starts_with("its footer says batchwright.run = "), "{found:#?}");
}

#[test]
fn rates_of_false_negatives_are_those_of_the_input() {
    for name in ["false_negative_rate", "unmasked_rate"] {
        let rate = |change: &dyn Fn(&mut Value)| {
            let found = damaged(&["--set", "mask.rules=[\"same:identity\"]"], |project| {
                manifest(project, |m| {
                    assert!(m["stats"][name].as_f64().unwrap() > 0.01);
                    change(&mut m["stats"][name]);
                });
            });
            assert!(
                found.iter().any(|f| f["problem"].as_str().unwrap().contains(&format!("stats.{name}"))),
                "{found:?}"
            );
        };
        rate(&|rate| *rate = (rate.as_f64().unwrap() - 1e-6).into());
        rate(&|rate| *rate = Value::Null);
    }
}

#[test]
fn an_input_that_is_another_file_is_found() {
    for (key, value) in
        [("footer_xxh3_128", "0".repeat(32).into()), ("bytes", Value::from(7)), ("use", "history".into())]
    {
        let found = damaged(&[], |project| manifest(project, |m| m["inputs"][1][key] = value.clone()));
        assert!(
            found
                .iter()
                .any(|finding| finding["problem"].as_str().unwrap().contains("is not the file that was composed")),
            "{key}: {found:?}"
        );
    }
}

#[test]
fn what_is_no_dataset_is_an_error() {
    let project = project();
    std::fs::create_dir(project.path("out")).unwrap();
    let output = |dir: &str| {
        Command::new(env!("CARGO_BIN_EXE_batchwright"))
            .current_dir(project.path(""))
            .args(["verify", dir])
            .output()
            .unwrap()
    };
    for dir in ["out", "nowhere"] {
        let output = output(dir);
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("no manifest"));
    }
    project.succeed(&["--output", "other"]);
    std::fs::rename(project.path("other"), project.path("next")).unwrap();
    let path = project.path("next/_batchwright/manifest.json");
    let text = std::fs::read_to_string(&path).unwrap().replace("batchwright/1", "batchwright/2");
    std::fs::write(path, text).unwrap();
    assert!(String::from_utf8_lossy(&output("next").stderr).contains("batchwright/2"));
}
