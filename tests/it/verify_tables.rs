//! `verify` and `check`: tables beside the shards, rows that look alike, shards that lack what every check needs.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, FixedSizeBinaryArray, Float32Array, Int32Array, Int64Array, ListArray,
    RecordBatch, StringArray,
};
use arrow::datatypes::{DataType, Float32Type, Int32Type, Int64Type, TimeUnit};
use serde_json::Value;

use crate::support::{Project, column, rows_of, table, write_parquet};
use crate::verify::{change_int, edit, findings, project, replace, seal, shard};

fn problems(findings: &[Value]) -> Vec<&str> {
    findings.iter().map(|f| f["problem"].as_str().unwrap()).collect()
}

/// Findings against the input, after a table of the dataset was changed and sealed.
fn with_table(name: &str, change: impl FnOnce(RecordBatch) -> RecordBatch) -> Vec<Value> {
    let project = project();
    project.succeed(&[]);
    let path = project.path(&format!("out/_batchwright/{name}.parquet"));
    write_parquet(&path, &[change(rows_of(&path))]);
    seal(&project, &path);
    findings(&project, &["--against", "pipeline.toml"])
}

#[test]
fn tables_of_items_and_positives_are_held_against_the_input() {
    for (name, array) in [
        (
            "rows_before_dedup",
            &(|rows| Arc::new(Int64Array::from(vec![0; rows])) as ArrayRef) as &dyn Fn(usize) -> ArrayRef,
        ),
        ("item_id", &|rows| Arc::new(Int64Array::from(vec![7; rows]))),
        ("log_q", &|rows| Arc::new(Float32Array::from(vec![0.0; rows]))),
    ] {
        let found = with_table("items", |rows| {
            let array = array(rows.num_rows());
            let array = arrow::compute::cast(&array, rows[name].data_type()).unwrap();
            replace(&rows, name, array)
        });
        assert!(found.iter().any(|f| f["column"] == name), "{name}: {found:#?}");
    }
    let found = with_table("positives", |rows| rows.slice(0, 3));
    assert!(problems(&found).iter().any(|p| p.contains("a known positive of the input is missing")), "{found:#?}");
}

#[test]
fn examples_that_look_alike_are_no_findings() {
    let ints = |values: [i64; 5]| Arc::new(Int64Array::from(values.to_vec())) as ArrayRef;
    let labels = ["real", "real", "real", "fake", "fake"];
    let rows = table(vec![
        ("user", ints([1; 5])),
        ("label", Arc::new(StringArray::from(labels.to_vec()))),
        ("value", ints([0, 1, 2, 7, 7])),
    ]);
    let project = Project::new(
        "input.shards = [\"in.parquet\"]\ncolumns = { identity = \"user\", label = \"label\" }\noutput.path = \"out\"\n\
         compose = { mode = \"identity_grouped\", batch_size = 6, group.classes = { real = 1, fake = 1 } }",
    )
    .file("in.parquet", &rows);
    // Of the two fakes, one comes twice.
    assert_eq!(project.run().num_rows(), 6);
    assert_eq!(findings(&project, &[]), Vec::<Value>::new());
    assert_eq!(findings(&project, &["--against", "pipeline.toml"]), Vec::<Value>::new());
}

#[test]
fn the_default_partition_is_null_on_both_sides() {
    let rows = |from: i64| {
        let ints = |values: Vec<i64>| Arc::new(Int64Array::from(values)) as ArrayRef;
        table(vec![("user", ints(vec![1, 2])), ("value", ints(vec![from, from + 1]))])
    };
    let project = Project::new(
        "input = { shards = [\"in\"], hive = true }\ncolumns.identity = \"user\"\ncompose.batch_size = 2\noutput.path = \"out\"",
    )
    .file("in/day=1/a.parquet", &rows(0))
    .file("in/day=__HIVE_DEFAULT_PARTITION__/a.parquet", &rows(10));
    assert_eq!(project.run()["day"].null_count(), 2);
    assert_eq!(findings(&project, &["--against", "pipeline.toml"]), Vec::<Value>::new());
}

#[test]
fn batches_that_can_t_be_checked_are_findings() {
    for encoding in ["mask.encoding=bitmap", "mask.encoding=slots"] {
        for against in [&[][..], &["--against", "pipeline.toml", "--set", encoding]] {
            let project = project();
            project.succeed(&["--set", encoding]);
            edit(&project, &shard(&project, 0), |rows| change_int(&rows, "bw_batch", 120, -1));
            let found = findings(&project, against);
            assert!(problems(&found).contains(&"the batch has 121 rows, more than 120"), "{found:#?}");
            for name in ["bw_user", "bw_item"] {
                edit(&project, &shard(&project, 0), |mut rows| {
                    if let Ok(at) = rows.schema().index_of(name) {
                        rows.remove_column(at);
                    }
                    rows
                });
                let found = findings(&project, against);
                assert!(problems(&found).iter().any(|p| p.contains("can be read")), "{name}: {found:#?}");
            }
        }
    }
}

#[test]
fn known_positives_offered_as_negatives_fail_a_check() {
    let project = project();
    project.succeed(&[]);
    edit(&project, &shard(&project, 0), |rows| {
        let slots = column::<Int32Type>(&rows, "bw_slot");
        let width = rows["bw_negatives"].data_type().primitive_width().unwrap_or(15);
        let mut bytes = vec![u8::MAX; slots.len() * width];
        slots.iter().enumerate().for_each(|(row, slot)| bytes[row * width + *slot as usize / 8] &= !(1 << (slot % 8)));
        let rows = replace(&rows, "bw_valid_negatives", Arc::new(Int32Array::from(vec![119; slots.len()])));
        replace(
            &rows,
            "bw_negatives",
            Arc::new(FixedSizeBinaryArray::try_new(width as i32, bytes.into(), None).unwrap()),
        )
    });
    let found = findings(&project, &[]);
    assert!(found.iter().any(|f| f["column"] == "bw_negatives"), "{found:#?}");
    std::fs::write(project.path("expect.toml"), "[[expect]]\nmetric = \"unmasked_rate\"\nmax = 0.0\n").unwrap();
    let check = std::process::Command::new(env!("CARGO_BIN_EXE_batchwright"))
        .current_dir(project.path(""))
        .args(["check", "out", "--expect", "expect.toml"])
        .output()
        .unwrap();
    assert_eq!(check.status.code(), Some(1), "{}", String::from_utf8_lossy(&check.stdout));
}

/// Findings against the input, after the rows of the first shard were changed.
fn with_shard(sets: &[&str], change: impl FnOnce(RecordBatch) -> RecordBatch) -> Vec<Value> {
    let project = project();
    project.succeed(sets);
    edit(&project, &shard(&project, 0), change);
    findings(&project, &[&["--against", "pipeline.toml"][..], sets].concat())
}

fn columns(findings: &[Value]) -> Vec<&str> {
    findings.iter().filter_map(|f| f["column"].as_str()).collect()
}

#[test]
fn values_of_request_columns_are_held_against_the_input() {
    let found = with_shard(&["--set", "requests.layout=first"], |rows| {
        let lists = rows["user_history"].as_list::<i32>();
        let values = lists.values().as_primitive::<Int64Type>().unary::<_, Int64Type>(|v| v + 1);
        let DataType::List(element) = rows["user_history"].data_type() else { unreachable!("a list") };
        let offsets = lists.offsets().clone();
        let changed = ListArray::new(Arc::clone(element), offsets, Arc::new(values), lists.nulls().cloned());
        replace(&rows, "user_history", Arc::new(changed))
    });
    assert!(problems(&found).contains(&"the request columns are not those of the input"), "{found:#?}");
}

#[test]
fn one_row_s_log_q_and_the_anchors_of_copies_count() {
    let found = with_shard(&[], |rows| {
        let mut log_q = rows["bw_log_q"].as_primitive::<Float32Type>().values().to_vec();
        log_q[17] += 1.0;
        replace(&rows, "bw_log_q", Arc::new(Float32Array::from(log_q)))
    });
    assert!(columns(&found).contains(&"bw_log_q"), "{found:#?}");
    let grouped = ["--set", "compose.mode=identity_grouped", "--set", "compose.group.classes={home=1,search=2}"];
    let found = with_shard(&grouped, |rows| {
        let copies = column::<Int32Type>(&rows, "bw_copy");
        let at = copies.iter().position(|copy| *copy > 0).expect("a copy");
        let anchors = rows["bw_anchor"].as_boolean().iter().enumerate();
        let flipped: BooleanArray = anchors.map(|(row, anchor)| anchor.map(|a| a != (row == at))).collect();
        replace(&rows, "bw_anchor", Arc::new(flipped))
    });
    assert_eq!(columns(&found), ["bw_anchor"], "{found:#?}");
}

#[test]
fn a_short_last_batch_is_found_where_none_may_be() {
    let rows = table(vec![("user", Arc::new(Int64Array::from_iter_values(0..5)) as ArrayRef)]);
    let project = Project::new(
        "input.shards = [\"in.parquet\"]\ncolumns.identity = \"user\"\ncompose.batch_size = 2\noutput.path = \"out\"",
    )
    .file("in.parquet", &rows);
    project.succeed(&[]);
    assert_eq!(findings(&project, &[]), Vec::<Value>::new());
    let path = project.path("out/_batchwright/manifest.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"remainder\": \"short\"", "\"remainder\": \"drop\"")).unwrap();
    assert_eq!(problems(&findings(&project, &[])), ["1 rows in a row, not 2"]);
}

#[test]
fn copies_of_rows_without_a_request_are_of_their_originals() {
    let ints = |values: Vec<i64>| Arc::new(Int64Array::from(values)) as ArrayRef;
    let rows = table(vec![("user", ints(vec![1, 2, 3])), ("request", Arc::new(Int64Array::new_null(3)))]);
    let project = Project::new(
        "input.shards = [\"in.parquet\"]\ncolumns = { identity = \"user\", request = \"request\" }\n\
         compose = { batch_size = 2, remainder = \"pad\" }\noutput.path = \"out\"",
    )
    .file("in.parquet", &rows);
    assert_eq!(project.run().num_rows(), 4);
    assert_eq!(project.manifest()["counts"]["requests"], 3);
    assert_eq!(findings(&project, &["--against", "pipeline.toml"]), Vec::<Value>::new());
}

#[test]
fn the_input_must_be_the_one_that_was_composed() {
    let ints = |values: Vec<i64>| Arc::new(Int64Array::from(values)) as ArrayRef;
    let rows = |last: i64| table(vec![("user", ints(vec![1, 2, 3])), ("hidden", ints(vec![1, 2, last]))]);
    let project = Project::new(
        "input = { shards = [\"in.parquet\"], drop = [\"hidden\"] }\ncolumns.identity = \"user\"\n\
         compose.batch_size = 3\noutput.path = \"out\"",
    )
    .file("in.parquet", &rows(3));
    project.succeed(&[]);
    assert_eq!(findings(&project, &["--against", "pipeline.toml"]), Vec::<Value>::new());
    write_parquet(&project.path("in.parquet"), &[rows(4)]);
    let found = findings(&project, &["--against", "pipeline.toml"]);
    assert!(
        problems(&found)[0].starts_with("the input \"in.parquet\" is not the file that was composed"),
        "{found:#?}"
    );
    // The same file by another name.
    write_parquet(&project.path("in.parquet"), &[rows(3)]);
    std::fs::rename(project.path("in.parquet"), project.path("other.parquet")).unwrap();
    let found = findings(&project, &["--against", "pipeline.toml", "--set", "input.shards=[\"other.parquet\"]"]);
    assert!(problems(&found)[0].ends_with("path was \"in.parquet\", and is \"other.parquet\""), "{found:#?}");
}

#[test]
fn labels_of_any_type_are_read_as_they_are_written() {
    let ticks = |step: i64| Arc::new(Int64Array::from_iter_values((0..8).map(|row| row % 2 * step))) as ArrayRef;
    let zoned = DataType::Timestamp(TimeUnit::Millisecond, Some("Europe/Berlin".into()));
    let days = arrow::compute::cast(&ticks(1), &DataType::Int32).unwrap();
    for (labels, classes) in [
        (arrow::compute::cast(&days, &DataType::Date32).unwrap(), "{ 1970-01-01 = 1, 1970-01-02 = 1 }"),
        (
            arrow::compute::cast(&ticks(5), &DataType::Timestamp(TimeUnit::Microsecond, None)).unwrap(),
            "{ \"1970-01-01T00:00:00\" = 1, \"1970-01-01T00:00:00.000005\" = 1 }",
        ),
        (
            arrow::compute::cast(&ticks(1000), &zoned).unwrap(),
            "{ \"1970-01-01T00:00:00Z\" = 1, \"1970-01-01T00:00:01Z\" = 1 }",
        ),
    ] {
        let users = Arc::new(Int64Array::from_iter_values((0..8).map(|row| row / 4)));
        let rows = table(vec![("user", users), ("label", labels)]);
        let project = Project::new(&format!(
            "input.shards = [\"in.parquet\"]\ncolumns = {{ identity = \"user\", label = \"label\" }}\noutput.path = \"out\"\n\
             compose = {{ mode = \"identity_grouped\", batch_size = 4, group.classes = {classes} }}"
        ))
        .file("in.parquet", &rows);
        assert_eq!(column::<Int32Type>(&project.run(), "bw_group_slot"), [0, 0, 1, 1, 0, 0, 1, 1], "{classes}");
        assert_eq!(findings(&project, &["--against", "pipeline.toml"]), Vec::<Value>::new(), "{classes}");
    }
}

#[test]
fn what_the_payload_lacks_is_not_told_apart() {
    let ints = |f: &dyn Fn(i64) -> i64| Arc::new(Int64Array::from_iter_values((0..60).map(f))) as ArrayRef;
    let rows = table(vec![
        ("user", ints(&|row| row / 12)),
        ("request", ints(&|row| row / 3)),
        ("item", ints(&|row| row % 2)),
        ("clicked", ints(&|row| row / 6 % 2)),
        ("tower", ints(&|row| row / 3 * 7)),
    ]);
    let project = Project::new(
        "input = { shards = [\"in.parquet\"], drop = [\"request\", \"clicked\"] }\n\
         columns = { identity = \"user\", request = \"request\", item = \"item\" }\n\
         requests = { columns = [\"tower\"], layout = \"first\" }\ndedup.key = []\n\
         mask.positive = \"clicked = 1\"\ncompose.batch_size = 12\noutput.path = \"out\"",
    )
    .file("in.parquet", &rows);
    for mode in ["compose.mode=user_spread", "compose.mode=request_packed"] {
        let set = ["--set", mode, "--overwrite"];
        project.succeed(&set);
        assert_eq!(findings(&project, &["--against", "pipeline.toml", "--set", mode]), Vec::<Value>::new(), "{mode}");
    }
    // A value that no example has is found all the same.
    edit(&project, &shard(&project, 0), |rows| {
        let tower = rows["tower"].as_primitive::<Int64Type>().unary::<_, Int64Type>(|v| v + 1);
        replace(&rows, "tower", Arc::new(tower))
    });
    let found = findings(&project, &["--against", "pipeline.toml", "--set", "compose.mode=request_packed"]);
    assert!(problems(&found).contains(&"the request columns are not those of the input"), "{found:#?}");
}
