//! A folder with a pipeline file, and the real binary run in it.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use arrow::array::RecordBatch;

/// A real log, in the folder that `BATCHWRIGHT_DATA` names.
pub fn shared(name: &str) -> PathBuf {
    let folder = std::env::var_os("BATCHWRIGHT_DATA").expect("BATCHWRIGHT_DATA names a folder of real logs");
    let path = PathBuf::from(folder).join(name);
    assert!(path.exists(), "{} is not there", path.display());
    path
}

pub struct Project {
    dir: tempfile::TempDir,
    pipeline: String,
    args: Vec<String>,
}

pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

fn outcome(command: &mut Command) -> Outcome {
    let output = command.output().expect("the binary runs");
    Outcome {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Project {
    /// With a pipeline file of this text; `out` is where datasets go.
    pub fn new(pipeline: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        Project { dir, pipeline: pipeline.to_owned(), args: Vec::new() }
    }

    /// Adds a Parquet file.
    pub fn file(self, name: &str, batch: &RecordBatch) -> Self {
        super::write_parquet(&self.path(name), std::slice::from_ref(batch));
        self
    }

    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn command(&self, command: &str, more: &[&str]) -> Outcome {
        let file = self.path("pipeline.toml");
        std::fs::write(&file, &self.pipeline).expect("a pipeline file");
        let mut binary = Command::new(env!("CARGO_BIN_EXE_batchwright"));
        binary.current_dir(self.dir.path()).args([command, "--quiet", "pipeline.toml"]).args(&self.args).args(more);
        outcome(binary.stdin(Stdio::null()))
    }

    /// Runs the pipeline, which must succeed, and reads the dataset at `out`.
    pub fn run(&self) -> RecordBatch {
        self.succeed(&[]);
        super::read_dataset(&self.path("out"))
    }

    pub fn succeed(&self, more: &[&str]) -> Outcome {
        let outcome = self.command("run", more);
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        outcome
    }

    /// Runs the pipeline, which must fail with one line that holds all of `words`, and leave nothing behind.
    pub fn fails(&self, words: &[&str]) -> String {
        let before = self.entries();
        let outcome = self.command("run", &[]);
        assert_eq!(outcome.code, 2, "{}\n{}", outcome.stdout, outcome.stderr);
        assert_eq!(outcome.stderr.trim_end().lines().count(), 1, "{}", outcome.stderr);
        for word in words {
            assert!(outcome.stderr.contains(word), "no `{word}` in: {}", outcome.stderr);
        }
        assert_eq!(self.entries(), before, "something was left behind");
        outcome.stderr
    }

    /// The judge finds nothing wrong with `out`, neither alone nor against the input.
    pub fn verified(&self) {
        let alone = self.verify(&[]);
        assert_eq!(alone.code, 0, "{}{}", alone.stdout, alone.stderr);
        let against = self.against(&[]);
        assert_eq!(against.code, 0, "{}{}", against.stdout, against.stderr);
    }

    /// What the judge says of `out`.
    pub fn verify(&self, more: &[&str]) -> Outcome {
        self.binary(&[&["verify", "out"], more].concat())
    }

    /// What the judge says of `out` against the input; `more` as for the run.
    pub fn against(&self, more: &[&str]) -> Outcome {
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        self.verify(&[&["--against", "pipeline.toml"], args.as_slice(), more].concat())
    }

    /// Runs the binary in the folder.
    pub fn binary(&self, args: &[&str]) -> Outcome {
        std::fs::write(self.path("pipeline.toml"), &self.pipeline).expect("a pipeline file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_batchwright"));
        outcome(command.current_dir(self.dir.path()).args(args).stdin(Stdio::null()))
    }

    fn entries(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.dir.path()).expect("the folder");
        let mut names: Vec<String> =
            names.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.retain(|n| n != "pipeline.toml");
        names.sort();
        names
    }

    pub fn manifest(&self) -> serde_json::Value {
        let text = std::fs::read_to_string(self.path("out/_batchwright/manifest.json")).expect("a manifest");
        serde_json::from_str(&text).expect("JSON")
    }
}
