//! Wherever the store fails, a run says so and leaves nothing, and the judge passes nothing that it could not read.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use batchwright::error::Result;
use batchwright::job::{Settings, run};
use batchwright::pipeline::{Pipeline, load};
use batchwright::progress::Progress;
use batchwright::store::{Blob, Commit, Entry, EntryKind, Fault, Faults, Local, Mount, Sink, Store};
use batchwright::verify::verify;

use crate::determinism::files;

/// Operations that fail, of how many there are: all of the first and last, and some between.
fn failing(operations: u64) -> impl Iterator<Item = u64> {
    const EDGE: u64 = 25;
    (0..operations).filter(move |n| *n < EDGE || n % 23 == 0 || n + EDGE > operations)
}

/// A folder with an input, and the pipeline that composes it to `out`.
fn project(folder: &Path) -> Pipeline {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::create_dir(folder.join("in")).unwrap();
    for part in ["part-00000.parquet", "part-00001.parquet"] {
        std::fs::copy(root.join("data-samples/feed").join(part), folder.join("in").join(part)).unwrap();
    }
    let text = |path: PathBuf| format!("{:?}", path.display().to_string());
    let sets = [
        ("input.shards", format!("[{}]", text(folder.join("in")))),
        ("output.path", text(folder.join("out"))),
        ("input.where", "\"dwell < 40\"".to_owned()),
    ];
    let sets = sets.map(|(key, value)| (key.to_owned(), value));
    load(&root.join("pipelines/feed_user_spread.toml"), &sets).unwrap()
}

/// What `work` gives where operation number `failing` on anything in a folder fails, and how many operations there were.
fn with<T>(folder: &Path, failing: u64, fault: Fault, work: impl FnOnce() -> Result<T>) -> (Result<T>, u64) {
    let store = Arc::new(Faults::new(Local, failing, fault));
    let mount = Mount::new(folder, store.clone());
    let outcome = work();
    drop(mount);
    (outcome, store.seen())
}

#[test]
fn a_run_leaves_nothing_wherever_the_store_fails() {
    let dir = tempfile::tempdir().unwrap();
    let p = project(dir.path());
    let compose = || run(&p, &Settings::default(), &Progress::new()).map(drop);
    let (outcome, operations) = with(dir.path(), u64::MAX, Fault::Once, compose);
    outcome.unwrap();
    assert!(operations > 100, "{operations}");
    let whole = files(&dir.path().join("out"));
    for fault in [Fault::Once, Fault::ForGood] {
        for n in failing(operations) {
            std::fs::remove_dir_all(dir.path().join("out")).ok();
            let (outcome, seen) = with(dir.path(), n, fault, compose);
            let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
            match outcome {
                Err(e) => {
                    let told = e.to_string();
                    assert!(!told.contains('\n'), "{told}");
                    // A folder whose entries can't be flushed any more is in place already.
                    let is_whole = names.len() == 2 && files(&dir.path().join("out")) == whole;
                    assert!(
                        names == ["in"] || is_whole,
                        "{fault:?} {n} of {operations}: {told}, and {names:?} is left"
                    );
                }
                // What is only looked at may be missing, or not asked for in another order of threads.
                Ok(()) => assert!(files(&dir.path().join("out")) == whole, "{fault:?} {n} of {seen}"),
            }
        }
    }
}

#[test]
fn the_judge_passes_nothing_that_it_could_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let p = project(dir.path());
    run(&p, &Settings::default(), &Progress::new()).unwrap();
    let out = dir.path().join("out");
    let judge = || verify(&out, Some(&p), None);
    let (verdict, operations) = with(dir.path(), u64::MAX, Fault::Once, judge);
    assert!(verdict.unwrap().findings.is_empty() && operations > 50, "{operations}");
    for n in failing(operations).step_by(5) {
        let (verdict, _) = with(dir.path(), n, Fault::ForGood, judge);
        let passed = verdict.is_ok_and(|verdict| verdict.findings.is_empty());
        assert!(!passed, "operation {n} of {operations} fails, and the judge finds nothing");
    }
}

/// A disk that stores another byte than the one it was given, in every file of a name.
struct Rotten {
    name: &'static str,
}

struct RottenSink(Box<dyn Sink>);

impl Write for RottenSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut stored = bytes.to_vec();
        if let Some(byte) = stored.get_mut(40) {
            *byte ^= 1;
        }
        self.0.write_all(&stored)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Sink for RottenSink {
    fn finish(&mut self) -> io::Result<()> {
        self.0.finish()
    }
}

impl Store for Rotten {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Sink>> {
        let sink = Local.create(path)?;
        Ok(if path.ends_with(self.name) { Box::new(RottenSink(sink)) } else { sink })
    }

    fn kind(&self, path: &Path) -> io::Result<EntryKind> {
        Local.kind(path)
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        Local.canonical(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        Local.list(folder)
    }

    fn below(&self, folder: &Path, is_hidden: fn(&str) -> bool) -> io::Result<Vec<Entry>> {
        Local.below(folder, is_hidden)
    }

    fn matching(&self, pattern: &str) -> io::Result<Vec<PathBuf>> {
        Local.matching(pattern)
    }

    fn open(&self, path: &Path) -> io::Result<Blob> {
        Local.open(path)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        Local.create_folder(path)
    }

    fn remove(&self, folder: &Path) -> io::Result<()> {
        Local.remove(folder)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        Local.sync(path)
    }

    fn commit(&self, staged: &Path, target: &Path, how: Commit) -> io::Result<()> {
        Local.commit(staged, target, how)
    }
}

#[test]
fn what_the_disk_stores_otherwise_is_not_published() {
    for name in ["part-00000.parquet", "stats.parquet", "items.parquet"] {
        let dir = tempfile::tempdir().unwrap();
        let p = project(dir.path());
        let mount = Mount::new(dir.path(), Arc::new(Rotten { name }));
        let outcome = run(&p, &Settings::default(), &Progress::new()).map(drop);
        drop(mount);
        let told = outcome.unwrap_err().to_string();
        assert!(told.contains(name), "{told}");
        let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["in"], "{name}");
    }
}
