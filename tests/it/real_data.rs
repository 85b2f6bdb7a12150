//! The figures that are claimed of real data.

use std::collections::HashMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type, Int64Type};

use crate::support::{Project, column, read_dataset, rows_of, shared};

fn on(name: &str, pipeline: &str) -> Project {
    let path = shared(name);
    Project::new(&format!("input.shards = [\"{}\"]\noutput.path = \"out\"\n{pipeline}", path.display()))
}

fn number(value: &serde_json::Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}

fn strings(batch: &RecordBatch, name: &str) -> Vec<String> {
    let array = cast(&batch[name], &DataType::Utf8).unwrap();
    array.as_string::<i32>().iter().map(|s| s.unwrap_or("").to_owned()).collect()
}

const SPEAKERS: &str =
    "columns = { identity = \"speaker\", item = \"utt\", label = \"label\" }\n[compose]\nmode = \"identity_grouped\"\n";

#[test]
#[ignore = "needs real logs, in the folder BATCHWRIGHT_DATA"]
fn spoofed_speech_is_paired_with_the_speaker_s_own() {
    let pipeline = format!("{SPEAKERS}batch_size = 24\n[compose.group]\nclasses = {{ bonafide = 1, spoof = 1 }}");
    let project = on("asvspoof2019_la_train.parquet", &pipeline);
    let outcome = project.command("plan", &["--format", "json"]);
    let plan: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(number(&plan["stats"]["match_rate"]), 1.0);
    // 1 − C(n−1−k, 23)/C(n−1, 23), by hand for this table: a sixth of the rows.
    let random = number(&plan["baselines"]["random_order"]["match_rate"]);
    assert!((0.16..0.18).contains(&random), "{random}");
    assert!(number(&plan["baselines"]["input_order"]["match_rate"]) < 0.05);
    let classes = plan["classes"].as_array().unwrap();
    assert_eq!((&classes[0]["label"], &classes[0]["after"]), (&"spoof".into(), &0.5.into()));
    assert!((number(&classes[0]["before"]) - 22_800.0 / 25_380.0).abs() < 1e-12);
    let labels = strings(&project.run(), "label");
    assert_eq!(labels.iter().filter(|l| *l == "bonafide").count() * 2, labels.len());
    assert_eq!(labels.len(), 2 * 22_800);
}

#[test]
#[ignore = "needs real logs, in the folder BATCHWRIGHT_DATA"]
fn whole_groups_of_speech_need_no_copies() {
    let pipeline = format!(
        "{SPEAKERS}batch_size = 40\n[compose.group]\nclasses = {{ bonafide = 1, spoof = 9 }}\nscarce = \"rest\""
    );
    let project = on("asvspoof2019_la_train.parquet", &pipeline);
    let out = project.run();
    let counts = project.manifest()["counts"].clone();
    assert_eq!((&counts["copies"], &counts["rows_out"]), (&0.into(), &25_380.into()));
    let (labels, users) = (strings(&out, "label"), column::<Int64Type>(&out, "bw_user"));
    let (groups, slots) = (column::<Int32Type>(&out, "bw_group_slot"), column::<Int32Type>(&out, "bw_slot"));
    let mut whole = 0;
    let mut at = 0;
    while at < out.num_rows() {
        if groups[at] < 0 {
            at += 1;
            continue;
        }
        assert_eq!(slots[at] % 10, 0);
        assert_eq!(labels[at], "bonafide");
        assert!(labels[at + 1..at + 10].iter().all(|l| l == "spoof"));
        assert!(users[at..at + 10].iter().all(|u| *u == users[at]));
        (whole, at) = (whole + 1, at + 10);
    }
    assert!(whole > 2_000, "{whole}");
}

const BASKETS: &str = "columns = { identity = \"household_id\", request = \"basket_id\", item = \"product_id\", time = \"transaction_timestamp\" }\ncompose.batch_size = 1024\n";

#[test]
#[ignore = "needs real logs, in the folder BATCHWRIGHT_DATA"]
fn no_household_passes_its_cap() {
    let project = on("complete_journey_transactions", BASKETS);
    let out = project.run();
    let (users, batches) = (column::<Int64Type>(&out, "bw_user"), column::<Int32Type>(&out, "bw_batch"));
    let full = users.len() / 1024;
    let mut total: HashMap<i64, usize> = HashMap::new();
    let mut within: HashMap<(i32, i64), usize> = HashMap::new();
    for (user, batch) in users.iter().zip(&batches) {
        *total.entry(*user).or_default() += 1;
        *within.entry((*batch, *user)).or_default() += 1;
    }
    assert_eq!((users.len(), total.len(), full), (75_000, 2_377, 73));
    for ((_, user), rows) in within {
        assert!(rows <= total[&user].div_ceil(full));
    }
    let plan: serde_json::Value = serde_json::from_str(&project.command("plan", &["--format", "json"]).stdout).unwrap();
    let rate = |v: &serde_json::Value| number(&v["same_user_rate"]);
    assert!(rate(&plan["stats"]) < 0.3 * rate(&plan["baselines"]["input_order"]));
    assert!((0.95..1.1).contains(&number(&plan["stats"]["co_user_ratio"])));
    // Every row once.
    let key = |batch: &RecordBatch| {
        let columns = ["basket_id", "product_id", "transaction_timestamp", "sales_value"].map(|c| strings(batch, c));
        let mut rows: Vec<String> =
            (0..batch.num_rows()).map(|r| columns.each_ref().map(|c| c[r].clone()).join("|")).collect();
        rows.sort_unstable();
        rows
    };
    assert!(key(&out) == key(&rows_of(&shared("complete_journey_transactions"))));
}

#[test]
#[ignore = "needs real logs, in the folder BATCHWRIGHT_DATA"]
fn monthly_windows_keep_batches_in_time_order() {
    let project = on("complete_journey_transactions", &format!("{BASKETS}compose.window = \"720h\""));
    project.succeed(&[]);
    let stats = rows_of(&project.path("out/_batchwright/stats.parquet"));
    let times =
        |name: &str| cast(&stats[name], &DataType::Int64).unwrap().as_primitive::<Int64Type>().values().to_vec();
    let (first, last) = (times("time_min"), times("time_max"));
    let month = 30 * 86_400_000_000i64;
    // A batch spans at most its own month and the few rows that the month before could not place.
    for k in 1..first.len() {
        assert!(
            first[k] >= first[k - 1] || first[k] / month == first[k - 1] / month || first[k] > last[k - 1] - month,
            "batch {k}"
        );
        assert!(last[k] - first[k] < 2 * month);
    }
    let pools: std::collections::BTreeSet<i64> = last.iter().map(|t| t / month).collect();
    assert!(pools.len() >= 12);
    assert!(last.windows(2).all(|w| w[1] / month >= w[0] / month));
}

#[test]
#[ignore = "needs real logs, in the folder BATCHWRIGHT_DATA"]
fn promotions_lose_their_duplicates_and_nothing_else() {
    let pipeline = "columns = { identity = \"product_id\", item = \"store_id\", time = \"week\" }\ndedup.key = [\"store_id\", \"week\", \"product_id\"]\ncompose.batch_size = 4096\nidentity.keep_raw = true";
    let project = on("complete_journey_promotions.parquet", pipeline);
    let out = project.run();
    let counts = project.manifest()["counts"].clone();
    assert_eq!((&counts["duplicates"], &counts["rows_out"]), (&1_108.into(), &1_947_489.into()));
    assert!(matches!(out["display_location"].data_type(), DataType::Dictionary(..)));
    assert!(matches!(out["mailer_location"].data_type(), DataType::Dictionary(..)));
    let rows = |batch: &RecordBatch| -> std::collections::HashSet<(u64, u64, i32)> {
        let hash = |name: &str| -> Vec<u64> {
            cast(&batch[name], &DataType::Utf8)
                .unwrap()
                .as_string::<i32>()
                .iter()
                .map(|s| s.unwrap().parse().unwrap())
                .collect()
        };
        let weeks = batch["week"].as_primitive::<Int32Type>().values().to_vec();
        hash("product_id").into_iter().zip(hash("store_id")).zip(weeks).map(|((p, s), w)| (p, s, w)).collect()
    };
    let found = rows(&out);
    assert_eq!(found.len(), out.num_rows());
    assert!(found == rows(&rows_of(&shared("complete_journey_promotions.parquet"))));
}

#[test]
#[ignore = "needs real logs, in the folder BATCHWRIGHT_DATA"]
fn one_session_with_a_third_of_the_rows_is_spread() {
    let pipeline = "columns = { identity = \"session\", item = \"aid\", label = \"type\", time = \"ts\" }\ncompose.batch_size = 64";
    let project = on("otto_sessions.parquet", pipeline);
    let out = project.run();
    assert_eq!(out.num_rows(), 862);
    let most = project.manifest()["stats"]["max_rows_per_user"]["max"].clone();
    // 276 rows in 13 full batches and a short one.
    assert!((20..=276_u64.div_ceil(13)).contains(&most.as_u64().unwrap()), "{most}");
    assert_eq!(read_dataset(&project.path("out"))["type"].null_count(), 0);
}

#[test]
#[ignore = "needs real logs, in the folder BATCHWRIGHT_DATA, and torch, of the interpreter BATCHWRIGHT_PYTHON"]
fn an_epoch_is_trained_on_a_log_from_init_to_loss() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let work = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(crate::readers::python())
        .env("PYTHONPATH", root.join("src/python"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(root.join("tests/python/epoch.py"))
        .args([root, std::path::Path::new(env!("CARGO_BIN_EXE_batchwright")), work.path()])
        .arg(shared("complete_journey_transactions"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    print!("{}", String::from_utf8_lossy(&output.stdout));
}
