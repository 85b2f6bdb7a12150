//! `check`, `inspect` and `report`.

use std::process::{Command, Output};

use crate::support::Project;

fn project(more: &str) -> Project {
    Project::new(&format!(
        "[input]\nshards = [\"{}/data-samples/feed\"]\n{more}\n[columns]\nidentity = \"user_id\"\nrequest = \"request_id\"\nitem = \"item_id\"\n\
         time = \"ts\"\n[compose]\nbatch_size = 128\n[output]\npath = \"out\"",
        env!("CARGO_MANIFEST_DIR")
    ))
}

fn batchwright(project: &Project, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_batchwright")).current_dir(project.path("")).args(args).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

const EXPECT: &str = r#"
[[expect]]
metric = "counts.users"
max_change = 0.05

[[expect]]
metric = "duplicate_rate"
max_change = 0.3

[[expect]]
metric = "same_user_rate"
max = 0.03

[[expect]]
metric = "valid_negatives.min"
min = 1
level = "warn"
"#;

#[test]
fn a_good_night_passes_and_a_drifted_one_says_what_drifted() {
    let good = project("");
    good.succeed(&["--output", "monday"]);
    good.succeed(&["--output", "tuesday", "--seed", "5"]);
    std::fs::write(good.path("expect.toml"), EXPECT).unwrap();
    // A tenth of the users is gone; without them, replayed rows weigh more.
    good.succeed(&[
        "--output",
        "drifted",
        "--set",
        "input.where=user_id < 'user-00230'",
        "--set",
        "dedup.key=[\"user_id\", \"item_id\"]",
    ]);
    let check = |dataset: &str, more: &[&str]| {
        batchwright(&good, &[&["check", dataset, "--expect", "expect.toml", "--baseline", "monday"][..], more].concat())
    };
    for more in [&[][..], &["--from-manifest"]] {
        let passed = check("tuesday", more);
        assert_eq!(passed.status.code(), Some(0), "{}", stdout(&passed));
        let text = stdout(&passed);
        assert!(text.contains("4 of 4 expectations are met") && text.lines().count() == 5, "{text}");
        assert!(text.contains("ok: counts.users: it is 297, was 297"), "{text}");
        let drifted = check("drifted", more);
        assert_eq!(drifted.status.code(), Some(1));
        let text = stdout(&drifted);
        assert!(text.contains("error: counts.users: it is") && text.contains("was 297 in the baseline"), "{text}");
        assert!(text.contains("error: duplicate_rate: it is"), "{text}");
    }
    let junit = stdout(&check("drifted", &["--format", "junit"]));
    assert!(junit.contains("tests=\"4\" failures=\"2\"") && junit.contains("<failure message="), "{junit}");
    let github = stdout(&check("drifted", &["--format", "github"]));
    assert!(
        github.lines().count() == 2 && github.starts_with("::error title=batchwright counts.users::drifted: "),
        "{github}"
    );
    let json: serde_json::Value = serde_json::from_str(&stdout(&check("drifted", &["--format", "json"]))).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 4);
    assert_eq!(json[0]["baseline"], 297.0);
}

#[test]
fn what_cannot_be_evaluated_never_passes() {
    let project = project("");
    project.succeed(&[]);
    let check = |text: &str| {
        std::fs::write(project.path("expect.toml"), text).unwrap();
        let output = batchwright(&project, &["check", "out", "--expect", "expect.toml"]);
        (output.status.code().unwrap(), stdout(&output) + &String::from_utf8_lossy(&output.stderr))
    };
    let (code, text) = check("[[expect]]\nmetric = \"same_user_rte\"\nmax = 1.0");
    assert!(code == 2 && text.contains("did you mean `same_user_rate`"), "{text}");
    let (code, text) = check("[[expect]]\nmetric = \"valid_negatives\"\nmax = 1.0");
    assert!(code == 2 && text.contains("valid_negatives.m"), "{text}");
    let (code, text) = check("[[expect]]\nmetric = \"match_rate\"\nmin = 0.0");
    assert!(code == 1 && text.contains("not mapped"), "{text}");
    let (code, text) = check("[[expect]]\nmetric = \"same_user_rate\"\nmax_change = 0.1");
    assert!(code == 1 && text.contains("--baseline"), "{text}");
    let (code, _) = check("[[expect]]\nmetric = \"same_user_rate\"\nmax = 0.0\nlevel = \"warn\"");
    assert_eq!(code, 0);
    let (code, text) = check("[[expect]]\nmetric = \"same_user_rate\"\nmax_change = nan");
    assert!(code == 2 && text.contains("a bound is not a number"), "{text}");
    for nothing in ["", "[[expect]]\nmetric = \"same_user_rate\"", "[[expect]]\nmetric = \"x\"\nmaximum = 3", "]"] {
        assert_eq!(check(nothing).0, 2, "{nothing}");
    }
    // A shard that can't be read is a finding of a check that recomputes.
    std::fs::write(project.path("out/batches/part-00000.parquet"), "damage").unwrap();
    let (code, text) = check("[[expect]]\nmetric = \"counts.rows_in\"\nmin = 1");
    assert!(code == 1 && text.contains("can't be read"), "{text}");
}

#[test]
fn all_metrics_are_listed_with_what_they_are() {
    let project = project("");
    let text = stdout(&batchwright(&project, &["check", "--list"]));
    for name in ["same_user_rate", "valid_negatives.min", "counts.rows_out"] {
        assert!(text.contains(name), "{text}");
    }
    let json = stdout(&batchwright(&project, &["check", "--list", "--format", "json"]));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(
        json.as_array().unwrap().iter().all(|metric| metric["meaning"].as_str().is_some_and(|text| text.len() > 5))
    );
    assert_eq!(batchwright(&project, &["check", "out"]).status.code(), Some(2));
}

#[test]
fn figures_recomputed_from_shards_are_those_of_the_manifest() {
    let project = project("");
    project.succeed(&[]);
    let manifest = project.manifest();
    let mut text = String::new();
    for (name, value) in manifest["stats"].as_object().unwrap() {
        let mut expect = |metric: String, value: f64| {
            text.push_str(&format!("[[expect]]\nmetric = \"{metric}\"\nmin = {value:?}\nmax = {value:?}\n"));
        };
        match value.as_object() {
            Some(parts) => parts.iter().for_each(|(p, v)| expect(format!("{name}.{p}"), v.as_f64().unwrap())),
            None => {
                if let Some(value) = value.as_f64() {
                    expect(name.clone(), value);
                }
            }
        }
    }
    std::fs::write(project.path("expect.toml"), text).unwrap();
    let output = batchwright(&project, &["check", "out", "--expect", "expect.toml"]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
}

#[test]
fn inspect_shows_the_whole_and_one_batch() {
    let project = project("");
    project.succeed(&[]);
    let whole = stdout(&batchwright(&project, &["inspect", "out"]));
    for word in ["user_spread, batches of 128", "random order", "input order", "largest identities", "valid negatives"]
    {
        assert!(whole.contains(word), "no {word} in {whole}");
    }
    assert!(!whole.contains("user-0") && !whole.contains('\u{1b}'));
    let batch = stdout(&batchwright(&project, &["inspect", "out", "--batch", "3"]));
    assert!(batch.starts_with("batch 3: 128 rows of ") && batch.contains('░'), "{batch}");
    assert!(batch.lines().all(|l| l.chars().count() <= 80), "{batch}");
    let missing = batchwright(&project, &["inspect", "out", "--batch", "9999"]);
    assert_eq!(missing.status.code(), Some(2));
}

#[test]
fn a_report_is_one_page_without_scripts_or_links() {
    let project = project("");
    project.succeed(&[]);
    let output = batchwright(&project, &["report", "out", "--output", "report.html"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let page = std::fs::read_to_string(project.path("report.html")).unwrap();
    for word in [
        "<!doctype html>",
        "Distributions over batches",
        "In reading order",
        "Masks",
        "Facts",
        "prefers-color-scheme: dark",
        "@media print",
    ] {
        assert!(page.contains(word), "no {word}");
    }
    for word in ["<script", "<link", "src=", "url(", "@import", "user-0"] {
        assert!(!page.contains(word), "{word}");
    }
    assert!(page.matches("<svg").count() >= 11 && page.contains("var(--random)"));
}
