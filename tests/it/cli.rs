//! The command line and the pipeline file.

use std::path::Path;
use std::process::Command;

use crate::support::Project;

const MEDIA: &str = r#"
input.shards = ["SAMPLES/media"]

[columns]
identity = "person"
item = "clip"
label = "label"

[compose]
mode = "identity_grouped"
batch_size = 32

[compose.group]
classes = { real = 1, fake = 3 }

[output]
path = "out"
"#;

fn samples() -> String {
    format!("{}/data-samples", env!("CARGO_MANIFEST_DIR"))
}

fn media() -> String {
    MEDIA.replace("SAMPLES", &samples())
}

#[test]
fn a_wrong_key_names_its_line_and_the_nearest_right_one() {
    let text = media().replace("batch_size", "batchsize");
    Project::new(&text).fails(&["pipeline.toml, line 11", "unknown key `batchsize`", "did you mean `batch_size`"]);
    Project::new(&media()).arg("--set").arg("compose.sed=3").fails(&["--set", "`sed`", "`seed`"]);
    Project::new(&media().replace("[output]\npath = \"out\"", "")).fails(&["`output` is required"]);
    Project::new(&media().replace("= 32", "= -32")).fails(&["line 11", "u32"]);
    Project::new(&media().replace("identity_grouped", "grouped")).fails(&["line 10", "user_spread"]);
    Project::new("input = [").fails(&["pipeline.toml, line 1"]);
}

#[test]
fn flags_are_short_for_keys() {
    let project = Project::new(&media().replace("SAMPLES/media", "nowhere"));
    let input = format!("{}/media", samples());
    project.succeed(&["--input", &input, "--output", "there", "--seed", "9", "--set", "compose.batch_size=64"]);
    let text = std::fs::read_to_string(project.path("there/_batchwright/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(manifest["pipeline"]["compose"]["seed"], 9);
    assert_eq!(manifest["pipeline"]["compose"]["batch_size"], 64);
    assert!(manifest["pipeline"]["output"].get("path").is_none());
    for bad in [["--threads", "0"], ["--threads", "5000"], ["--seed", "9223372036854775808"]] {
        assert_eq!(project.command("run", &bad).code, 2, "{bad:?}");
    }
    assert_eq!(project.command("run", &["--memory", "lots"]).code, 2);
}

#[test]
fn plan_writes_nothing_and_shows_the_figures_beside_both_baselines() {
    let project = Project::new(&media());
    let outcome = project.command("plan", &["--format", "json"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(!project.path("out").exists());
    let plan: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    project.succeed(&[]);
    let manifest = project.manifest();
    assert_eq!(plan["counts"], manifest["counts"]);
    assert_eq!(plan["stats"], manifest["stats"]);
    let rate = |v: &serde_json::Value| v["match_rate"].as_f64().unwrap();
    assert!(rate(&plan["stats"]) > 0.9);
    assert!(rate(&plan["baselines"]["random_order"]) < 0.1);
    assert!(plan["baselines"]["input_order"]["same_user_rate"].as_f64().unwrap() > 0.5);
    let text = project.command("plan", &[]).stdout;
    assert!(text.contains("random order") && text.contains("input order"), "{text}");
}

#[test]
fn plan_says_what_cannot_be_reached_and_which_setting_would_do() {
    let feed = format!(
        "input.shards = [\"{}/feed\"]\ncolumns.identity = \"user_id\"\ncompose.batch_size = 256\noutput.path = \"out\"",
        samples()
    );
    let text = Project::new(&feed).command("plan", &[]).stdout;
    assert!(text.contains("more rows than there are full batches") && text.contains("batch_size up to"), "{text}");
    let rare = Project::new(
        &media().replace("\"label\"", "\"generator\"").replace("{ real = 1, fake = 3 }", "{ swap = 1, avatar = 1 }"),
    );
    let only = rare.command("plan", &["--set", "input.where=generator <> 'avatar' OR person < 'person-010'"]).stdout;
    assert!(only.contains("identities have class `avatar`"), "{only}");
}

#[test]
fn the_schema_knows_every_key_that_the_manifest_records() {
    let output = Command::new(env!("CARGO_BIN_EXE_batchwright")).arg("schema").output().unwrap();
    assert!(output.status.success());
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let project = Project::new(&media());
    project.succeed(&[]);
    for (section, keys) in project.manifest()["pipeline"].as_object().unwrap() {
        let reference = schema["properties"][section]["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
        for key in keys.as_object().unwrap().keys() {
            assert!(schema["definitions"][reference]["properties"].get(key).is_some(), "{section}.{key}");
        }
    }
}

#[test]
fn run_prints_json_when_asked() {
    let outcome = Project::new(&media()).succeed(&["--format", "json"]);
    let result: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(result["counts"]["rows_in"], 2945);
    // No rule of the pipeline looks at clips.
    assert!(result["stats"]["unmasked_rate"].as_f64().unwrap() > 0.0);
}

#[test]
fn every_ready_pipeline_runs_on_its_sample() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut number = 0;
    for entry in std::fs::read_dir(root.join("pipelines")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "toml") || path.to_string_lossy().contains(".expect.") {
            continue;
        }
        let out = tempfile::tempdir().unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_batchwright"))
            .current_dir(root)
            .arg("run")
            .arg(&path)
            .arg("--output")
            .arg(out.path().join("dataset"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
        number += 1;
    }
    assert!(number >= 3);
}

#[test]
fn a_dead_run_s_staging_folder_is_swept_and_a_live_one_s_is_not() {
    let project = Project::new(&media());
    let dead = project.path(".out.batchwright-dead01");
    std::fs::create_dir(&dead).unwrap();
    std::fs::write(dead.join("leftover"), "x").unwrap();
    std::fs::write(dead.join("lock"), "").unwrap();
    let foreign = project.path(".out.batchwright-notes");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("notes"), "x").unwrap();
    let live = project.path(".out.batchwright-live01");
    std::fs::create_dir(&live).unwrap();
    let lock = std::fs::File::create(live.join("lock")).unwrap();
    lock.lock().unwrap();
    project.succeed(&[]);
    assert!(!dead.exists());
    assert!(live.exists() && foreign.join("notes").exists());
}

#[test]
fn placeholders_are_filled_from_the_command_line() {
    let text = media().replace("path = \"out\"", "path = \"{NAME}/{DAY}\"").replace(&samples(), "{WHERE}");
    let project = Project::new(&text);
    let params =
        ["NAME=night", "DAY=2024-01-02", &format!("WHERE={}", samples())].map(|param| format!("--param={param}"));
    let args: Vec<&str> = params.iter().map(String::as_str).collect();
    project.succeed(&args);
    assert!(project.path("night/2024-01-02/_batchwright/manifest.json").exists());
    // A dataset is the same, whoever filled in its pipeline.
    let plain = Project::new(&media());
    plain.succeed(&[]);
    let manifest = |path| std::fs::read_to_string(path).unwrap();
    assert_eq!(
        manifest(project.path("night/2024-01-02/_batchwright/manifest.json")),
        manifest(plain.path("out/_batchwright/manifest.json"))
    );
    let verify = ["verify", "night/2024-01-02", "--against", "pipeline.toml"].into_iter().chain(args.iter().copied());
    let judged = Command::new(env!("CARGO_BIN_EXE_batchwright")).current_dir(project.path("")).args(verify).output();
    assert!(judged.unwrap().status.success());
    project.fails(&["nothing fills {WHERE}", "--param WHERE=VALUE"]);
    let unused = plain.command("run", &["--overwrite", "--param", "DAY=1"]);
    assert!(unused.code == 2 && unused.stderr.contains("no string of the pipeline has {DAY}"), "{}", unused.stderr);
}

#[test]
fn a_run_tells_programs_what_it_took_and_why_it_failed() {
    let project = Project::new(&media());
    let told: serde_json::Value = serde_json::from_str(&project.succeed(&["--format", "json"]).stdout).unwrap();
    assert!(told["bytes"].as_u64().unwrap() > 1_000 && told["usage"]["seconds"].as_f64().unwrap() > 0.0);
    assert!(told["usage"]["cpu_seconds"].as_f64().unwrap() >= 0.0);
    assert!(told["usage"]["peak_bytes"].as_u64().unwrap() > 1 << 20);
    let failed = project.command("run", &["--format", "json"]);
    let error: serde_json::Value = serde_json::from_str(&failed.stderr).unwrap();
    assert!(failed.code == 2 && error["kind"] == "output", "{error}");
    assert!(error["error"].as_str().unwrap().contains("--overwrite"));
}

#[test]
fn shells_and_manuals_know_every_command() {
    let project = Project::new("");
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_batchwright")).current_dir(project.path("")).args(args).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell]);
        assert!(["verify", "inspect", "overwrite"].iter().all(|word| script.contains(word)), "{shell}");
    }
    run(&["man", "pages"]);
    for page in ["batchwright.1", "batchwright-run.1", "batchwright-verify.1"] {
        let page = std::fs::read_to_string(project.path("pages").join(page)).unwrap();
        assert!(page.contains("batchwright"));
    }
}

#[test]
fn a_run_says_what_it_does_in_lines_that_programs_read() {
    let project = Project::new(&media());
    std::fs::write(project.path("pipeline.toml"), media()).unwrap();
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_batchwright"))
            .current_dir(project.path(""))
            .args(["run", "pipeline.toml", "--overwrite"])
            .args(args)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, text) = run(&[]);
    assert!(code == Some(0) && text.lines().any(|line| line.starts_with("writing batches: ")), "{text}");
    assert!(text.lines().all(|line| line.ends_with(" s")), "{text}");
    let (_, verbose) = run(&["-v"]);
    assert_eq!(verbose.lines().count(), 2 * text.lines().count());
    assert_eq!(run(&["-q"]), (Some(0), String::new()));
    let stages = |text: &str| -> Vec<serde_json::Value> {
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let (_, text) = run(&["--log-format", "json"]);
    let lines = stages(&text);
    assert!(lines.iter().all(|line| line["stage"].is_string() && line["seconds"].is_number()), "{text}");
    let written = lines.iter().find(|line| line["stage"] == "writing batches").unwrap();
    assert!(written["rows"].as_u64().unwrap() > 2_000);
    // What failed is the last line; the stage in which it did is none that is done.
    let (code, text) = run(&["--log-format", "json", "--set", "input.where='label = 3'"]);
    let lines = stages(&text);
    assert!(code == Some(2) && lines.last().unwrap()["error"].is_string(), "{text}");
}

#[test]
fn the_help_of_each_command_has_an_example_that_is_understood() {
    use clap::{CommandFactory, Parser};
    fn examples(command: &clap::Command, found: &mut Vec<String>) {
        for own in command.get_subcommands().filter(|own| own.get_name() != "help") {
            if own.has_subcommands() {
                examples(own, found);
                continue;
            }
            let help = own.get_after_help().map(|help| help.to_string()).unwrap_or_default();
            let lines: Vec<&str> = help.lines().filter(|line| line.starts_with("  batchwright ")).collect();
            assert!(!lines.is_empty(), "{} has no example", own.get_name());
            found.extend(lines.into_iter().map(str::to_owned));
        }
    }
    let mut found = Vec::new();
    examples(&batchwright::cli::Args::command(), &mut found);
    for example in found {
        let words = example.split(" > ").next().unwrap().split_whitespace();
        let parsed = batchwright::cli::Args::try_parse_from(words);
        assert!(parsed.is_ok(), "{example}: {}", parsed.unwrap_err());
    }
}

#[test]
fn the_schema_is_of_a_draft_that_editors_take_and_ready_pipelines_name_it() {
    let printed = Command::new(env!("CARGO_BIN_EXE_batchwright")).arg("schema").output().unwrap().stdout;
    let schema: serde_json::Value = serde_json::from_slice(&printed).unwrap();
    assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
    let kept = std::fs::read(folder.join("batchwright.schema.json")).unwrap();
    assert!(kept == printed, "pipelines/batchwright.schema.json is not what `batchwright schema` prints");
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".toml") && !name.ends_with(".expect.toml") {
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.starts_with("#:schema batchwright.schema.json\n"), "{name}");
        }
    }
}

#[test]
fn run_and_plan_say_that_raw_identities_are_left_out() {
    for (keep, told) in [("false", true), ("true", false)] {
        let project = Project::new(&media()).arg("--set").arg(&format!("identity.keep_raw={keep}"));
        for command in ["plan", "run"] {
            let outcome = project.command(command, &[]);
            assert!(outcome.code == 0 && outcome.stdout.contains("left out: person") == told, "{}", outcome.stdout);
        }
    }
}
