//! Every cell of the masks in the files, against sets over the raw input: real data, and tables full of nulls.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Int32Type};

use crate::support::{Project, rows_of, shared, table, write_parquet};

type Text = Option<String>;

fn texts(batch: &RecordBatch, name: &str) -> Vec<Text> {
    let array = cast(&batch[name], &DataType::Utf8).unwrap();
    array.as_string::<i32>().iter().map(|s| s.map(str::to_owned)).collect()
}

/// The rows of each batch, all ranks' slices joined.
fn batches(out: &Path, ranks: usize) -> BTreeMap<i32, RecordBatch> {
    let mut parts: BTreeMap<i32, Vec<RecordBatch>> = BTreeMap::new();
    for rank in 0..ranks {
        let folder = if ranks == 1 { out.join("batches") } else { out.join(format!("batches/rank-{rank:03}")) };
        let rows = rows_of(&folder);
        let numbers = rows["bw_batch"].as_primitive::<Int32Type>().values().to_vec();
        let mut start = 0;
        for run in numbers.chunk_by(|a, b| a == b) {
            parts.entry(run[0]).or_default().push(rows.slice(start, run.len()));
            start += run.len();
        }
    }
    parts.into_iter().map(|(b, parts)| (b, concat_batches(&parts[0].schema(), &parts).unwrap())).collect()
}

/// Columns of the roles: identity, item, label; and of the row's own number, for telling copies.
struct Names<'a> {
    identity: &'a str,
    item: &'a str,
    row: Option<&'a str>,
}

/// Checks the rules `same:identity` and `known_positive` together; `positive` says which raw rows are positives.
fn assert_cells(
    project: &Project,
    input: &RecordBatch,
    names: &Names,
    positive: impl Fn(usize) -> bool,
    ranks: usize,
    slots: bool,
) {
    let (users, items) = (texts(input, names.identity), texts(input, names.item));
    let mut known: HashMap<&str, HashSet<&str>> = HashMap::new();
    for row in (0..input.num_rows()).filter(|r| positive(*r)) {
        if let (Some(user), Some(item)) = (&users[row], &items[row]) {
            known.entry(user).or_default().insert(item);
        }
    }
    let mut cells = 0;
    for (number, batch) in batches(&project.path("out"), ranks) {
        let (users, items) = (texts(&batch, names.identity), texts(&batch, names.item));
        let own: Option<Vec<Text>> = names.row.map(|row| texts(&batch, row));
        let n = batch.num_rows();
        assert_eq!(batch["bw_slot"].as_primitive::<Int32Type>().values().to_vec(), (0..n as i32).collect::<Vec<_>>());
        for i in 0..n {
            let mine = users[i].as_deref().and_then(|u| known.get(u));
            let listed: Vec<i32> = match slots {
                true => batch["bw_excluded"].as_list::<i32>().value(i).as_primitive::<Int32Type>().values().to_vec(),
                false => Vec::new(),
            };
            let mut next = listed.iter().peekable();
            for j in 0..n {
                let same_example = own.as_ref().is_some_and(|own| own[i] == own[j]);
                let shut = i == j
                    || same_example
                    || (users[i].is_some() && users[i] == users[j])
                    || (items[i].is_some() && items[i] == items[j])
                    || items[j].as_deref().is_some_and(|item| mine.is_some_and(|known| known.contains(item)));
                let found = if slots {
                    next.next_if(|s| **s == j as i32).is_none() && i != j
                } else {
                    let bytes = batch["bw_negatives"].as_fixed_size_binary().value(i);
                    bytes[j / 8] >> (j % 8) & 1 == 1
                };
                assert_eq!(found, !shut, "batch {number}, {i} × {j}");
                cells += 1;
            }
        }
    }
    assert!(cells > 0);
}

const RULES: &str =
    "mask.rules = [\"same:identity\", \"known_positive\"]\nidentity.keep_raw = true\noutput.path = \"out\"\n";

/// Composes by a pipeline in all modes, encodings and ranks, and checks what was written; `input` is its input, if that is not a real log.
fn all_ways(
    pipeline: &str,
    modes: &[&str],
    (classes, input): (&str, Option<&RecordBatch>),
    check: impl Fn(&Project, usize, bool),
) {
    for mode in modes {
        for (ranks, encoding) in [(1, "bitmap"), (4, "slots"), (2, "bitmap"), (1, "slots")] {
            let project = Project::new(&format!("{RULES}{pipeline}"));
            if let Some(input) = input {
                write_parquet(&project.path("in.parquet"), std::slice::from_ref(input));
            }
            let set = |k: &str, v: &str| format!("{k}={v}");
            let mut sets = vec![
                set("compose.mode", mode),
                set("mask.encoding", encoding),
                set("output.ranks", &ranks.to_string()),
            ];
            if ranks > 1 {
                sets.push(set("compose.remainder", "pad"));
            }
            if *mode == "identity_grouped" {
                sets.push(set("compose.group.classes", classes));
            }
            let sets: Vec<&str> = sets.iter().flat_map(|s| ["--set", s.as_str()]).collect();
            project.succeed(&sets);
            check(&project, ranks, encoding == "slots");
        }
    }
}

#[test]
#[ignore = "needs real logs, in the folder BATCHWRIGHT_DATA"]
fn otto_agrees_with_sets() {
    let path = shared("otto_sessions.parquet");
    let input = rows_of(&path);
    let types = texts(&input, "type");
    let pipeline = format!(
        "input.shards = [\"{}\"]\ncolumns = {{ identity = \"session\", item = \"aid\", label = \"type\", request = \"ts\" }}\ndedup.key = []\ncompose.batch_size = 64\nmask.positive = \"type <> 'clicks'\"",
        path.display()
    );
    all_ways(
        &pipeline,
        &["user_spread", "request_packed", "identity_grouped"],
        ("{ clicks = 1, carts = 1 }", None),
        |project, ranks, slots| {
            let names = Names { identity: "session", item: "aid", row: None };
            // No two rows of one session and item differ in more than time: they are excluded as the same identity's.
            assert_cells(project, &input, &names, |row| types[row].as_deref() != Some("clicks"), ranks, slots);
        },
    );
}

#[test]
#[ignore = "needs real logs, in the folder BATCHWRIGHT_DATA"]
fn transactions_agree_with_sets() {
    let path = shared("complete_journey_transactions");
    let input = rows_of(&path);
    let pipeline = format!(
        "input.shards = [\"{}\"]\ncolumns = {{ identity = \"household_id\", item = \"product_id\", request = \"basket_id\" }}\ncompose.batch_size = 1024",
        path.display()
    );
    all_ways(&pipeline, &["user_spread", "request_packed"], ("", None), |project, ranks, slots| {
        let names = Names { identity: "household_id", item: "product_id", row: None };
        assert_cells(project, &input, &names, |_| true, ranks, slots);
    });
}

#[test]
fn tables_full_of_nulls_agree_with_sets() {
    let n = 700i64;
    let some = |k: i64, every: i64, text: String| (k % every != 0).then_some(text);
    let users: StringArray = (0..n).map(|k| some(k * 7, 6, format!("u{}", k * k % 23))).collect();
    let items: StringArray = (0..n).map(|k| some(k, 5, format!("i{}", k * 31 % 57))).collect();
    let requests: StringArray = (0..n).map(|k| some(k, 9, format!("r{}", k / 4))).collect();
    let labels: StringArray = (0..n).map(|k| some(k, 8, ["a", "b", "c"][(k % 3) as usize].to_owned())).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("who", Arc::new(users)),
        ("item", Arc::new(items)),
        ("request", Arc::new(requests)),
        ("label", Arc::new(labels)),
        ("row", Arc::new(Int64Array::from_iter_values(0..n))),
    ];
    let input = table(columns);
    let pipeline = "input.shards = [\"in.parquet\"]\ncolumns = { identity = \"who\", item = \"item\", request = \"request\", label = \"label\" }\nidentity.nulls = \"distinct\"\ndedup.key = []\ncompose.batch_size = 48\nmask.positive = \"label = 'a' OR label = 'b'\"";
    let labels = texts(&input, "label");
    all_ways(
        pipeline,
        &["user_spread", "request_packed", "identity_grouped"],
        ("{ a = 1, b = 1 }", Some(&input)),
        |project, ranks, slots| {
            let names = Names { identity: "who", item: "item", row: Some("row") };
            let positive = |row: usize| matches!(labels[row].as_deref(), Some("a" | "b"));
            assert_cells(project, &input, &names, positive, ranks, slots);
        },
    );
}
