//! Stock readers and the Python of README and guide; with the interpreter that `BATCHWRIGHT_PYTHON` names.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::Project;

/// The interpreter that `BATCHWRIGHT_PYTHON` names.
pub fn python() -> PathBuf {
    std::env::var_os("BATCHWRIGHT_PYTHON").map(PathBuf::from).expect("BATCHWRIGHT_PYTHON names an interpreter")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Composes a ready pipeline as it is, but for where it goes and `sets`.
fn compose(pipeline: &str, out: &Path, sets: &[&str]) {
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    let output = Command::new(env!("CARGO_BIN_EXE_batchwright"))
        .current_dir(root())
        .args(["run", pipeline, "--output"])
        .arg(out)
        .args(sets)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn run(python: &Path, script: &str, args: &[&Path], folder: &Path) {
    let output = Command::new(python)
        .current_dir(folder)
        .env("HF_HOME", folder.join("cache"))
        .env("HF_HUB_OFFLINE", "1")
        .env("PYTHONPATH", root().join("src/python"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(root().join("tests/readers").join(script))
        .args(args)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    print!("{}", text(&output.stdout));
}

/// The datasets that README and guide read, as the ready pipelines make them.
fn samples(project: &Project) {
    compose("pipelines/media_identity_grouped.toml", &project.path("out/media_identity_grouped"), &[]);
    compose("pipelines/feed_user_spread.toml", &project.path("out/feed_user_spread"), &[]);
    compose("pipelines/feed_ranks_packed.toml", &project.path("out/feed_ranks_packed"), &[]);
}

#[test]
#[ignore = "needs pyarrow, polars, duckdb, datasets and torch, of the interpreter BATCHWRIGHT_PYTHON"]
fn stock_readers_find_whole_batches_and_what_the_identities_say() {
    let python = python();
    let project = Project::new("");
    let several = ["output.row_group_rows=600", "output.shard_rows=3000"];
    compose("pipelines/feed_user_spread.toml", &project.path("out"), &several);
    run(&python, "stock.py", &[&project.path("out")], &project.path(""));
}

#[test]
#[ignore = "needs pyarrow, polars, duckdb, datasets and torch, of the interpreter BATCHWRIGHT_PYTHON"]
fn stock_pyarrow_tells_what_each_generated_column_means() {
    let python = python();
    let project = Project::new("");
    samples(&project);
    for dataset in ["out/feed_user_spread", "out/feed_ranks_packed"] {
        run(&python, "meanings.py", &[&project.path(dataset)], &project.path(""));
    }
}

#[test]
#[ignore = "needs pyarrow, polars, duckdb, datasets and torch, of the interpreter BATCHWRIGHT_PYTHON"]
fn the_python_that_reads_samples_runs() {
    let python = python();
    let project = Project::new("");
    samples(&project);
    for page in ["README.md", "src/guide/training.md", "src/guide/reading.md"] {
        run(&python, "readme.py", &[&root().join(page)], &project.path(""));
    }
}

#[test]
#[ignore = "needs pyarrow, polars, duckdb, datasets and torch, of the interpreter BATCHWRIGHT_PYTHON"]
fn the_guide_s_trainers_agree_with_sets_over_the_log() {
    let python = python();
    let project = Project::new("");
    samples(&project);
    let binary = Path::new(env!("CARGO_BIN_EXE_batchwright"));
    run(&python, "trainers.py", &[&root().join("src/guide/reading.md"), root(), binary], &project.path(""));
}

#[test]
#[ignore = "needs pyarrow, polars, duckdb, datasets and torch, of the interpreter BATCHWRIGHT_PYTHON"]
fn the_python_that_composes_runs() {
    let python = python();
    let project = Project::new("");
    let binaries = Path::new(env!("CARGO_BIN_EXE_batchwright")).parent().unwrap();
    let path = std::env::join_paths(
        [binaries.into()].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let path = path.unwrap();
    for page in ["src/guide/folders.md", "src/guide/stages.md"] {
        let output = Command::new(&python)
            .current_dir(project.path(""))
            .env("PATH", &path)
            .arg(root().join("tests/readers/readme.py"))
            .arg(root().join(page))
            .output()
            .unwrap();
        assert!(output.status.success(), "{page}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
