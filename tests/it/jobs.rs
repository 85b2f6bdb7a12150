//! The stages as processes of their own give what one process gives, byte by byte.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use crate::determinism::files;
use crate::support::{Outcome, Project, rows_of, table, write_parquet};

/// A stage of the project's pipeline, over the work folder `work` and for the output `job`.
fn stage(project: &Project, sets: &[&str], stage: &[&str]) -> Outcome {
    let (name, more) = stage.split_first().unwrap();
    let fixed = ["job", name, "--quiet", "pipeline.toml", "--work", "work", "--output", "job"];
    project.binary(&[&fixed[..], sets, more].concat())
}

/// A stage that must succeed; its number on stdout, if it says one.
fn succeeds(project: &Project, sets: &[&str], name: &[&str]) -> usize {
    let outcome = stage(project, sets, name);
    assert_eq!(outcome.code, 0, "{name:?} with {sets:?}: {}", outcome.stderr);
    let said: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap_or_default();
    said["splits"].as_u64().or(said["parts"].as_u64()).unwrap_or(0) as usize
}

/// Some numbers in a random order, the first of them twice.
fn shuffled(number: usize, runner: &mut TestRunner) -> Vec<String> {
    let order = Just((0..number).collect::<Vec<_>>()).prop_shuffle().new_tree(runner).unwrap().current();
    order.iter().chain(order.first()).map(usize::to_string).collect()
}

/// Runs all stages, splits and parts in random order and some twice.
fn all_stages(project: &Project, sets: &[&str], start: &[&str], seed: u64) -> (usize, usize) {
    let mut runner = TestRunner::new(Config { rng_seed: RngSeed::Fixed(seed), ..Config::default() });
    let splits = succeeds(project, sets, &[&["start"], start].concat());
    for split in shuffled(splits, &mut runner) {
        succeeds(project, sets, &["scan", "--split", &split]);
    }
    let parts = succeeds(project, sets, &["compose"]);
    for split in shuffled(splits, &mut runner) {
        succeeds(project, sets, &["scatter", "--split", &split]);
    }
    for part in shuffled(parts, &mut runner) {
        succeeds(project, sets, &["write", "--part", &part]);
    }
    succeeds(project, sets, &["commit"]);
    (splits, parts)
}

fn feed() -> Project {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("data-samples/feed");
    let project = Project::new(&format!(
        r#"
        input.shards = ["{}"]
        columns = {{ identity = "user_id", request = "request_id", item = "item_id", time = "ts" }}
        requests.columns = ["user_history", "user_embedding"]
        compose.batch_size = 128
        mask = {{ rules = ["same:identity", "known_positive"], positive = "clicked" }}
        output = {{ path = "out", row_group_rows = 1000, shard_rows = 2000, positives = true }}
        "#,
        samples.display()
    ));
    std::fs::write(project.path("key"), [7; 32]).unwrap();
    std::fs::set_permissions(project.path("key"), std::fs::Permissions::from_mode(0o600)).unwrap();
    project
}

/// The clips of the sample, in files of a few row groups.
fn media() -> Project {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("data-samples/media");
    let project = Project::new(
        r#"
        input.shards = ["clips"]
        columns = { identity = "person", item = "clip", label = "label" }
        compose = { mode = "identity_grouped", batch_size = 40, group.classes = { real = 1, fake = 4 } }
        output = { path = "out", row_group_rows = 200, shard_rows = 600 }
        "#,
    );
    let clips = rows_of(&samples);
    for file in 0..2 {
        let groups = [0, 1, 2].map(|group| clips.slice((file * 3 + group) * 450, 450));
        write_parquet(&project.path(&format!("clips/{file}.parquet")), &groups);
    }
    project
}

#[test]
fn stages_in_processes_give_the_bytes_of_one_run() {
    let feeds = [
        "",
        "compose.mode=request_packed requests.layout=first compose.window=1h compose.window_ends=exact",
        "compose.remainder=pad output.ranks=4 mask.encoding=slots mask.rules=[\"same:identity\",\"same:item\"]",
        "compose.window=1h compose.remainder=drop identity.keep_raw=true requests.layout=first",
        "identity.hash=blake3 identity.key_file=key input.where=clicked dedup.keep=last",
        "dedup.key=[\"request\",\"item\"] columns.label=surface mask.rules=[\"same:identity+label\",\"same:clicked\"]",
    ];
    let medias = ["", "compose.group.scarce=rest", "compose.group.scarce=drop compose.remainder=pad output.ranks=2"];
    let all = feeds.iter().map(|sets| (feed(), sets)).chain(medias.iter().map(|sets| (media(), sets)));
    for (seed, (project, sets)) in (0..).zip(all) {
        let sets: Vec<&str> = sets.split_whitespace().flat_map(|set| ["--set", set]).collect();
        project.succeed(&sets);
        let expected = files(&project.path("out"));
        let start: &[&str] = if seed % 2 == 0 { &["--splits", "5"] } else { &["--splits", "3", "--parts", "2"] };
        let (splits, parts) = all_stages(&project, &sets, start, seed);
        assert!(splits > 1 && parts > 1, "{splits} splits and {parts} parts");
        let found = files(&project.path("job"));
        assert!(expected.keys().eq(found.keys()), "{sets:?}");
        let differ: Vec<&String> =
            expected.iter().filter(|(name, bytes)| found[*name] != **bytes).map(|f| f.0).collect();
        assert!(differ.is_empty(), "{sets:?}: {differ:?}");
    }
}

/// Two files that hold rows of the same requests; `different`: with another value in the second.
fn across_files(different: bool) -> Project {
    let project = Project::new(
        r#"
        input.shards = ["a.parquet", "b.parquet"]
        columns = { identity = "user", request = "request", item = "item" }
        requests.columns = ["context"]
        compose.batch_size = 8
        output.path = "out"
        "#,
    );
    let batch = |context: i64| {
        let ids = |f: &dyn Fn(i64) -> i64| Arc::new((0..40).map(f).collect::<Int64Array>()) as ArrayRef;
        table(vec![
            ("user", ids(&|k| k % 10)),
            ("request", ids(&|k| k % 10)),
            ("item", ids(&|k| k + 100 * context)),
            ("context", ids(&|k| k % 10 * 10 + i64::from(different && k % 10 == 7) * context)),
        ])
    };
    write_parquet(&project.path("a.parquet"), &[batch(0)]);
    write_parquet(&project.path("b.parquet"), &[batch(1)]);
    project
}

#[test]
fn a_request_that_varies_between_splits_is_found_at_the_commit() {
    let same = across_files(false);
    assert_eq!(all_stages(&same, &[], &[], 1), (2, 2));
    let different = across_files(true);
    assert_eq!(succeeds(&different, &[], &["start"]), 2);
    for split in ["0", "1"] {
        succeeds(&different, &[], &["scan", "--split", split]);
    }
    let parts = succeeds(&different, &[], &["compose"]);
    for split in ["0", "1"] {
        succeeds(&different, &[], &["scatter", "--split", split]);
    }
    for part in 0..parts {
        succeeds(&different, &[], &["write", "--part", &part.to_string()]);
    }
    let outcome = stage(&different, &[], &["commit"]);
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.contains("b.parquet") && outcome.stderr.contains("`context`"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("input rows 7 and 47"), "{}", outcome.stderr);
    assert!(!different.path("job").exists());
}

#[test]
fn what_is_missing_or_of_another_run_is_said() {
    let project = across_files(false);
    let refused = |sets: &[&str], name: &[&str], word: &str| {
        let outcome = stage(&project, sets, name);
        assert_eq!(outcome.code, 2, "{name:?}");
        assert!(outcome.stderr.contains(word), "{name:?}: {}", outcome.stderr);
        assert_eq!(outcome.stderr.trim_end().lines().count(), 1);
    };
    refused(&[], &["scan", "--split", "0"], "job.json");
    std::fs::create_dir(project.path("job")).unwrap();
    std::fs::write(project.path("job/own"), "x").unwrap();
    refused(&[], &["start"], "it exists");
    std::fs::remove_dir_all(project.path("job")).unwrap();
    std::fs::create_dir(project.path("data")).unwrap();
    std::fs::copy(project.path("a.parquet"), project.path("data/a.parquet")).unwrap();
    let inside = ["--work", "data/work", "--set", "input.shards=[\"data\"]"];
    let inside = project.binary(&[&["job", "start", "pipeline.toml"][..], &inside].concat());
    assert!(inside.code == 2 && inside.stderr.contains("inside the input"), "{}", inside.stderr);
    assert!(!project.path("data/work").exists());
    succeeds(&project, &[], &["start"]);
    // The folder holds what the input holds.
    assert_eq!(std::fs::metadata(project.path("work")).unwrap().permissions().mode() & 0o777, 0o700);
    succeeds(&project, &[], &["start"]);
    refused(&["--seed", "9"], &["start"], "something else");
    refused(&["--seed", "9"], &["scan", "--split", "0"], "another pipeline or input");
    refused(&[], &["scan", "--split", "2"], "no split 2");
    succeeds(&project, &[], &["scan", "--split", "0"]);
    refused(&[], &["compose"], "keys/split-00001");
    succeeds(&project, &[], &["scan", "--split", "1"]);
    refused(&[], &["scatter", "--split", "0"], "routes/split-00000");
    succeeds(&project, &[], &["compose"]);
    succeeds(&project, &[], &["scatter", "--split", "0"]);
    refused(&[], &["write", "--part", "0"], "pieces/split-00001");
    refused(&[], &["commit"], "pieces/split-00001");
    succeeds(&project, &[], &["scatter", "--split", "1"]);
    refused(&[], &["write", "--part", "9"], "no part 9");
    succeeds(&project, &[], &["write", "--part", "0"]);
    refused(&[], &["commit"], "written/part-00001");
    // Rows of one split twice, and none of the other.
    for ending in ["bytes", "arrow"] {
        let path = |split: usize| project.path(&format!("work/pieces/split-0000{split}.{ending}"));
        std::fs::copy(path(0), path(1)).unwrap();
    }
    refused(&[], &["write", "--part", "0"], "some twice");
    succeeds(&project, &[], &["scatter", "--split", "1"]);
    succeeds(&project, &[], &["write", "--part", "1"]);
    // A file cut short on its way.
    let keys = project.path("work/keys/split-00000.arrow");
    let whole = std::fs::read(&keys).unwrap();
    std::fs::write(&keys, &whole[..whole.len() / 2]).unwrap();
    refused(&[], &["compose"], "damaged");
    std::fs::write(&keys, whole).unwrap();
    succeeds(&project, &[], &["compose"]);
    succeeds(&project, &[], &["commit"]);
    refused(&[], &["commit"], "it exists");
    succeeds(&project, &["--overwrite"], &["commit"]);
    project.succeed(&[]);
    assert!(files(&project.path("out")) == files(&project.path("job")));
}
