//! A draft for somebody's own log: roles as people would say them, and a plan that takes it as it is.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};

use crate::support::{Project, shared, write_parquet};

fn batchwright(project: &Project, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_batchwright")).current_dir(project.path("")).args(args).output().unwrap()
}

/// The draft for an input, which `plan` must take unedited.
fn draft(input: &Path) -> toml::Table {
    let project = Project::new("");
    let output = batchwright(&project, &["init", &input.display().to_string()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    std::fs::write(project.path("pipeline.toml"), &text).unwrap();
    let plan = batchwright(&project, &["plan", "pipeline.toml"]);
    assert!(plan.status.success(), "{text}\n{}", String::from_utf8_lossy(&plan.stderr));
    // Each guess says why.
    let roles = text.lines().filter(|line| ["identity =", "item =", "request ="].iter().any(|r| line.starts_with(r)));
    assert_eq!(roles.count(), text.lines().filter(|line| line.contains(". By its")).count() - extra(&text), "{text}");
    toml::from_str(&text).unwrap()
}

/// Guesses beside identity, item and request.
fn extra(text: &str) -> usize {
    text.lines().filter(|line| ["time =", "label =", "positive ="].iter().any(|role| line.starts_with(role))).count()
}

fn roles(draft: &toml::Table) -> Vec<(String, String)> {
    let columns = draft["columns"].as_table().unwrap();
    columns.iter().map(|(role, name)| (role.clone(), name.as_str().unwrap().to_owned())).collect()
}

fn expect(draft: &toml::Table, expected: &[(&str, &str)]) {
    let expected: Vec<_> = expected.iter().map(|(role, name)| ((*role).to_owned(), (*name).to_owned())).collect();
    let mut found = roles(draft);
    found.sort();
    assert_eq!(found, expected);
}

fn samples(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data-samples").join(name)
}

#[test]
fn samples_get_the_pipelines_that_people_would_write() {
    let feed = draft(&samples("feed"));
    expect(&feed, &[("identity", "user_id"), ("item", "item_id"), ("request", "request_id"), ("time", "ts")]);
    assert_eq!(feed["mask"]["positive"].as_str(), Some("\"clicked\""));
    let media = draft(&samples("media"));
    expect(&media, &[("identity", "person"), ("item", "clip"), ("label", "label")]);
    assert_eq!(media["compose"]["mode"].as_str(), Some("identity_grouped"));
    assert!(media["compose"]["group"]["classes"]["real"].is_integer());
}

#[test]
#[ignore = "needs real logs, in the folder BATCHWRIGHT_DATA"]
fn real_logs_get_plans_unedited() {
    let known: [(&str, &[(&str, &str)]); 4] = [
        (
            "complete_journey_transactions",
            &[
                ("identity", "household_id"),
                ("item", "product_id"),
                ("request", "basket_id"),
                ("time", "transaction_timestamp"),
            ],
        ),
        ("complete_journey_promotions.parquet", &[("identity", "store_id"), ("item", "product_id"), ("time", "week")]),
        ("otto_sessions.parquet", &[("identity", "session"), ("item", "aid"), ("time", "ts"), ("time_unit", "ms")]),
        ("asvspoof2019_la_train.parquet", &[("identity", "speaker"), ("item", "utt"), ("label", "label")]),
    ];
    for (name, expected) in known {
        expect(&draft(&shared(name)), expected);
    }
}

#[test]
fn odd_names_and_classes_make_no_odd_pipelines() {
    let project = Project::new("");
    let rows = 600i64;
    let texts =
        |of: &dyn Fn(i64) -> String| Arc::new((0..rows).map(|k| Some(of(k))).collect::<StringArray>()) as ArrayRef;
    let batch = RecordBatch::try_from_iter([
        ("user \"x\"\n", Arc::new((0..rows).map(|k| k % 40).collect::<Int64Array>()) as ArrayRef),
        ("item'id", texts(&|k| format!("i{}", k % 90))),
        ("label", texts(&|k| ["Genuine", "replay\u{7}", "voice \"clone\""][k as usize % 3].to_owned())),
    ])
    .unwrap();
    write_parquet(&project.path("in.parquet"), &[batch]);
    let found = draft(&project.path("in.parquet"));
    expect(&found, &[("identity", "user \"x\"\n"), ("item", "item'id"), ("label", "label")]);
    assert_eq!(found["compose"]["batch_size"].as_integer(), Some(30));
    let lone = RecordBatch::try_from_iter([("a", Arc::new((0..9).collect::<Int64Array>()) as ArrayRef)]).unwrap();
    write_parquet(&project.path("lone.parquet"), &[lone]);
    let refused = batchwright(&project, &["init", "lone.parquet"]);
    assert!(refused.status.code() == Some(2) && String::from_utf8_lossy(&refused.stderr).contains("columns.identity"));
}
