//! The same input gives the same bytes.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::support::Project;

pub fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut out = BTreeMap::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                out.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    out
}

const VARIANTS: &[&str] = &[
    "",
    "compose.mode=request_packed requests.layout=first compose.window=1h",
    "compose.remainder=pad output.ranks=4 mask.encoding=slots output.positives=true",
];

#[test]
fn threads_memory_folders_and_runs_do_not_matter() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("data-samples/feed");
    for variant in VARIANTS {
        let project = Project::new(&format!(
            r#"
            input.shards = ["{}"]
            columns = {{ identity = "user_id", request = "request_id", item = "item_id", time = "ts" }}
            requests.columns = ["user_history"]
            compose.batch_size = 128
            mask.rules = ["same:identity", "known_positive"]
            output = {{ path = "out", row_group_rows = 1000, shard_rows = 4000 }}
            "#,
            samples.display()
        ));
        let sets: Vec<&str> = variant.split_whitespace().flat_map(|v| ["--set", v]).collect();
        let run = |more: &[&str]| {
            project.succeed(&[&sets[..], &["--overwrite"], more].concat());
            files(&project.path("out"))
        };
        let first = run(&["--threads", "1"]);
        assert!(first.len() > 3);
        let glob = format!("{}/*.parquet", samples.display());
        for other in [run(&["--threads", "2"]), run(&[]), run(&["--input", &glob]), run(&["--memory", "1MiB"])] {
            assert!(first == other, "{variant}");
        }
        let spilled: serde_json::Value = serde_json::from_str(
            &project.succeed(&[&sets[..], &["--overwrite", "--memory", "1MiB", "--format", "json"]].concat()).stdout,
        )
        .unwrap();
        assert!(spilled["spilled_bytes"].as_u64().unwrap() > 10_000, "the small run did not spill");
        let left: Vec<_> = std::fs::read_dir(project.path("")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "scratch files were left: {left:?}");
        // From another working directory, with relative paths.
        let output = Command::new(env!("CARGO_BIN_EXE_batchwright"))
            .current_dir(samples.parent().unwrap())
            .arg("run")
            .arg(project.path("pipeline.toml"))
            .args(["--input", "feed", "--output"])
            .arg(project.path("elsewhere"))
            .args(&sets)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(first == files(&project.path("elsewhere")), "{variant}");
    }
}

#[test]
fn nothing_in_a_dataset_names_the_machine() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("data-samples/media");
    let project = Project::new(&format!(
        "input.shards = [\"{}\"]\ncolumns = {{ identity = \"person\", item = \"clip\" }}\noutput.path = \"out\"",
        samples.display()
    ));
    project.succeed(&[]);
    for (name, bytes) in files(&project.path("out")) {
        for word in [env!("CARGO_MANIFEST_DIR"), project.path("").to_str().unwrap()] {
            assert!(!bytes.windows(word.len()).any(|w| w == word.as_bytes()), "{name} holds {word}");
        }
    }
}
