//! Stock readers and the README's Python; with the interpreter that `BATCHWRIGHT_PYTHON` names.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::Project;

fn python() -> Option<PathBuf> {
    let python = std::env::var_os("BATCHWRIGHT_PYTHON").map(PathBuf::from);
    if python.is_none() {
        eprintln!("skipped: BATCHWRIGHT_PYTHON names no interpreter with pyarrow, polars, duckdb and datasets");
    }
    python
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn compose(pipeline: &str, out: &Path) {
    let output = Command::new(env!("CARGO_BIN_EXE_batchwright"))
        .current_dir(root())
        .args(["run", pipeline, "--output"])
        .arg(out)
        .args([
            "--set",
            "output.positives=true",
            "--set",
            "output.row_group_rows=600",
            "--set",
            "output.shard_rows=3000",
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn run(python: &Path, script: &str, arg: &Path, folder: &Path) {
    let output = Command::new(python)
        .current_dir(folder)
        .env("HF_HOME", folder.join("cache"))
        .env("HF_HUB_OFFLINE", "1")
        .arg(root().join("tests/readers").join(script))
        .arg(arg)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    print!("{}", text(&output.stdout));
}

#[test]
fn stock_readers_find_whole_batches_and_what_the_identities_say() {
    let Some(python) = python() else { return };
    let project = Project::new("");
    compose("pipelines/feed_user_spread.toml", &project.path("out"));
    run(&python, "stock.py", &project.path("out"), &project.path(""));
}

#[test]
fn the_readme_s_python_runs() {
    let Some(python) = python() else { return };
    let project = Project::new("");
    compose("pipelines/feed_user_spread.toml", &project.path("out/feed_user_spread"));
    compose("pipelines/feed_ranks_packed.toml", &project.path("out/feed_ranks_packed"));
    run(&python, "readme.py", &root().join("README.md"), &project.path(""));
}
