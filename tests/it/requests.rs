//! request_packed, and layout "first" in all modes.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeListArray, Int64Array, ListArray, RecordBatch};
use arrow::datatypes::{Float32Type, Int32Type, Int64Type};
use proptest::prelude::*;

use crate::spread::assert_exactly_once;
use crate::support::{Project, Shape, column, compose, pipeline, plane, rows_of, table};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn requests_stay_whole_and_batches_full(
        shape in Shape::any(300),
        remainder in prop::sample::select(vec!["short", "drop", "pad"]),
        window in prop::sample::select(vec!["none", "40", "\"9ns\""]),
        exact in any::<bool>(),
    ) {
        let plane = plane(&shape);
        let mut more = vec![("compose.mode", "request_packed"), ("compose.remainder", remainder)];
        if window != "none" {
            more.push(("compose.window", window));
        }
        let exact = exact && window != "none";
        if exact {
            more.push(("compose.window_ends", "exact"));
        }
        let p = pipeline(&shape, &more);
        let (b, rows) = (p.batch_size, plane.len());
        let Ok(plan) = compose(&plane, &p) else {
            prop_assert!(remainder != "short" && (exact || rows < b));
            return Ok(());
        };
        assert_exactly_once(&plane, &plan);
        let requests = &plane.request.as_ref().expect("requests").rows;
        if exact {
            // A request is whole within each window.
            for pool in plan.pools() {
                let places = pool.first_position..pool.first_position + pool.rows;
                let own: Vec<u32> = places.filter(|at| !plan.is_padding(*at)).map(|at| requests[plan.order[at] as usize]).collect();
                let mut runs: Vec<u32> = own.chunk_by(|a, b| a == b).map(|run| run[0]).collect();
                let number = runs.len();
                runs.sort_unstable();
                runs.dedup();
                prop_assert_eq!(runs.len(), number);
            }
            return Ok(());
        }
        // All batches but the dataset's last are full, in every window.
        let expected = match remainder {
            "short" => rows,
            "drop" => rows / b * b,
            _ => rows.div_ceil(b) * b,
        };
        prop_assert_eq!(plan.order.len(), expected);
        let mut next = 0;
        for pool in plan.pools() {
            prop_assert_eq!(pool.first_batch, next);
            next += pool.batches;
        }
        prop_assert_eq!(next, plan.batches());
        let mut runs: HashMap<u32, usize> = HashMap::new();
        let own: Vec<u32> = (0..plan.order.len())
            .filter(|at| !plan.is_padding(*at))
            .map(|at| requests[plan.order[at] as usize])
            .collect();
        for run in own.chunk_by(|a, b| a == b) {
            *runs.entry(run[0]).or_default() += 1;
        }
        prop_assert!(runs.values().all(|n| *n == 1), "a request's rows are not consecutive");
    }

    /// Requests follow one another in as many columns as there are batches, and no column holds more of an identity's q requests
    /// than ⌈q/columns⌉.
    #[test]
    fn requests_of_one_identity_are_kept_apart(shape in Shape::any(300)) {
        let plane = plane(&shape);
        let p = pipeline(&shape, &[("compose.mode", "request_packed")]);
        let plan = compose(&plane, &p).unwrap();
        let requests = &plane.request.as_ref().expect("requests").rows;
        let of_request: HashMap<u32, u32> =
            requests.iter().copied().zip(plane.identity.rows.iter().copied()).collect();
        let mut order: Vec<u32> = plan.order.iter().map(|row| requests[*row as usize]).collect();
        order.dedup();
        let mut own: HashMap<u32, usize> = HashMap::new();
        order.iter().for_each(|request| *own.entry(of_request[request]).or_default() += 1);
        let columns = (plane.len() / p.batch_size).max(1);
        let height = order.len() / columns;
        for column in order[..height * columns].chunks(height.max(1)) {
            let mut here: HashMap<u32, usize> = HashMap::new();
            column.iter().for_each(|request| *here.entry(of_request[request]).or_default() += 1);
            for (identity, number) in here {
                prop_assert!(number <= own[&identity].div_ceil(columns), "{} of {}", number, own[&identity]);
            }
        }
    }
}

const FEED: &str = r#"
    input.shards = ["data"]
    columns = { identity = "user_id", request = "request_id", item = "item_id", time = "ts" }
    [requests]
    columns = ["user_history", "user_embedding"]
    [compose]
    batch_size = 96
    [output]
    path = "out"
    row_group_rows = 500
"#;

fn feed() -> Project {
    let project = Project::new(FEED).arg("--overwrite");
    std::fs::create_dir_all(project.path("data")).unwrap();
    let samples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("data-samples/feed");
    for entry in std::fs::read_dir(samples).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, project.path("data").join(path.file_name().unwrap())).unwrap();
    }
    project
}

/// A user tower: any function of the request's columns, row by row.
fn tower(batch: &RecordBatch, row: usize) -> Vec<u32> {
    let history = batch["user_history"].as_list::<i32>().value(row);
    let history = history.as_primitive::<Int64Type>().values().iter().fold(1u32, |h, v| h.wrapping_mul(31) ^ *v as u32);
    let embedding: &FixedSizeListArray = batch["user_embedding"].as_fixed_size_list();
    let vector = embedding.value(row);
    vector.as_primitive::<Float32Type>().values().iter().map(|x| (x * 1.25).to_bits() ^ history).collect()
}

#[test]
fn the_tower_run_once_per_request_equals_the_tower_run_on_each_row() {
    for mode in ["user_spread", "request_packed"] {
        for ranks in ["1", "4"] {
            let project = feed();
            let set = |k: &str, v: &str| format!("{k}={v}");
            let more = [set("compose.mode", mode), set("output.ranks", ranks), set("compose.remainder", "pad")];
            let mut args: Vec<&str> = more.iter().flat_map(|m| ["--set", m.as_str()]).collect();
            project.succeed(&args);
            let folder = |rank: usize| match ranks {
                "1" => project.path("out/batches"),
                _ => project.path(&format!("out/batches/rank-{rank:03}")),
            };
            let ranks: usize = ranks.parse().unwrap();
            let inline: Vec<RecordBatch> = (0..ranks).map(|r| rows_of(&folder(r))).collect();
            args.extend(["--set", "requests.layout=first"]);
            project.succeed(&args);
            let mut most = 0;
            for (rank, inline) in inline.iter().enumerate() {
                let first = rows_of(&folder(rank));
                assert_eq!(first.num_rows(), inline.num_rows());
                let (slots, carries) =
                    (column::<Int32Type>(&first, "bw_request_slot"), first["bw_request_first"].as_boolean());
                let batches = column::<Int32Type>(&first, "bw_batch");
                let mut start = 0;
                for batch in batches.chunk_by(|a, b| a == b) {
                    let rows = start..start + batch.len();
                    start = rows.end;
                    // What a trainer does: drop the nulls, run the tower on the dense rest, gather by slot.
                    let dense: Vec<Vec<u32>> =
                        rows.clone().filter(|r| carries.value(*r)).map(|r| tower(&first, r)).collect();
                    for row in rows {
                        assert_eq!(first["user_history"].is_valid(row), carries.value(row));
                        assert_eq!(dense[slots[row] as usize], tower(inline, row));
                    }
                    most = most.max(dense.len());
                }
                for name in ["item_id", "surface", "bw_user", "bw_same_user", "bw_negatives", "bw_slot", "bw_log_q"] {
                    assert_eq!(&first[name], &inline[name], "{name}");
                }
            }
            assert_eq!(project.manifest()["counts"]["max_requests_per_batch"], most);
        }
    }
}

#[test]
fn lists_are_the_same_whatever_else_a_row_group_holds() {
    let lists = |rows: Vec<Vec<Option<i32>>>| {
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(rows.into_iter().map(Some));
        Arc::new(lists) as ArrayRef
    };
    let ints = |values: Vec<i64>| Arc::new(Int64Array::from(values)) as ArrayRef;
    let one = || vec![Some(1), Some(2)];
    let project = Project::new(
        "input.shards = [\"in\"]\ncolumns = { identity = \"user\", request = \"request\" }\n\
         requests.columns = [\"history\"]\ncompose.batch_size = 3\noutput.path = \"out\"",
    );
    let table = |requests: Vec<i64>, rows| {
        table(vec![("user", ints(requests.clone())), ("request", ints(requests)), ("history", lists(rows))])
    };
    let project = project
        .file("in/a.parquet", &table(vec![1], vec![one()]))
        .file("in/b.parquet", &table(vec![1, 2], vec![one(), vec![None, Some(3)]]));
    assert_eq!(project.run().num_rows(), 3);
}

#[test]
fn a_request_column_that_varies_is_named_with_its_rows() {
    let mut project = feed();
    project = project.arg("--set").arg("requests.columns=[\"surface\", \"item_id\"]");
    let error = project.fails(&["part-00000.parquet", "`item_id`", "input rows 0 and ", "requests.columns"]);
    assert!(!error.contains("user-"));
}

#[test]
fn a_request_column_that_varies_between_files_is_found_in_any_memory() {
    let rows = |context: i64| {
        let numbers = |of: fn(i64) -> i64| Arc::new((0..200).map(of).collect::<Int64Array>()) as ArrayRef;
        table(vec![
            ("user", numbers(|row| row / 5)),
            ("request", numbers(|row| row)),
            ("context", Arc::new(Int64Array::from(vec![context; 200]))),
        ])
    };
    // The second file has none of the first rows of requests.
    let project = Project::new(
        r#"
        input.shards = ["a.parquet", "b.parquet"]
        columns = { identity = "user", request = "request" }
        requests.columns = ["context"]
        compose.batch_size = 8
        output = { path = "out", row_group_rows = 8 }
        "#,
    )
    .file("a.parquet", &rows(1))
    .file("b.parquet", &rows(2));
    let words = ["b.parquet", "`context`", "are of one request but differ"];
    project.fails(&words);
    project.arg("--memory").arg("1").fails(&words);
}

#[test]
fn packed_requests_are_used_more_often_than_spread_ones() {
    let project = feed();
    project.succeed(&[]);
    let spread = project.manifest()["stats"]["request_reuse"].as_f64().unwrap();
    project.succeed(&["--set", "compose.mode=request_packed"]);
    let packed = project.manifest()["stats"]["request_reuse"].as_f64().unwrap();
    assert!(spread < 1.1 && packed > 4.5, "{spread} {packed}");
}
