//! Where things are in a work folder.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::records::JobRecord;
use crate::dataset::{Manifest, input_records};
use crate::error::{Error, Place, Result};
use crate::job::open::{Job, open};
use crate::pipeline::Pipeline;
use crate::progress::Progress;
use crate::store;

/// A work folder.
pub struct Work {
    root: PathBuf,
}

/// A stage's own look at the footers, with the run that they make.
pub struct Opened {
    pub job: Job,
    /// Without shards, tables and figures.
    pub manifest: Manifest,
}

impl Opened {
    /// # Errors
    /// A pipeline or an input that can't be read.
    pub fn new(p: &Pipeline, progress: &Progress) -> Result<Self> {
        let job = open(p, progress)?;
        let manifest = Manifest::new(p.record()?, job.tokenizer.key_facts(), input_records(p, &job.source)?);
        Ok(Opened { job, manifest })
    }
}

impl Work {
    pub fn at(root: &Path) -> Self {
        Work { root: root.to_path_buf() }
    }

    /// Creates the folder, for its owner alone; one that was begun in the same way stays as it is.
    ///
    /// # Errors
    /// It can't be created, or holds something else.
    pub fn begin(&self, record: &JobRecord) -> Result<()> {
        if store::exists(&self.root) && !store::list_dir(&self.root)?.is_empty() {
            if store::exists(&self.job()) && self.read::<JobRecord>(&self.job())? == *record {
                return Ok(());
            }
            return Err(Error::output(&self.root, "it holds something else", "name an empty folder for --work"));
        }
        store::create_private_dir(&self.root)?;
        let folders = ["keys", "parts", "routes", "pieces", "written"];
        folders.iter().try_for_each(|name| store::create_dir_all(&self.root.join(name)))?;
        self.write(&self.job(), record)
    }

    /// What `start` wrote, of this run.
    ///
    /// # Errors
    /// Another pipeline or input.
    pub fn record(&self, opened: &Opened) -> Result<JobRecord> {
        let record: JobRecord = self.read(&self.job())?;
        if record.run_id != opened.manifest.run_id {
            let problem = "this work folder belongs to another pipeline or input";
            return Err(Error::input(
                Place::file(&self.root),
                problem,
                "run all its stages with the same, or start anew",
            ));
        }
        Ok(record)
    }

    pub fn job(&self) -> PathBuf {
        self.root.join("job.json")
    }

    pub fn keys(&self, split: usize) -> PathBuf {
        self.root.join(format!("keys/split-{split:05}.arrow"))
    }

    pub fn composed(&self) -> PathBuf {
        self.root.join("composed.json")
    }

    pub fn positives(&self) -> PathBuf {
        self.root.join("positives.arrow")
    }

    pub fn items(&self) -> PathBuf {
        self.root.join("items.arrow")
    }

    pub fn part(&self, part: usize) -> PathBuf {
        self.root.join(format!("parts/part-{part:05}.arrow"))
    }

    pub fn routes(&self, split: usize) -> PathBuf {
        self.root.join(format!("routes/split-{split:05}.arrow"))
    }

    /// The bytes of a split's pieces, and what tells whose they are.
    pub fn pieces(&self, split: usize) -> (PathBuf, PathBuf) {
        let path = |ending: &str| self.root.join(format!("pieces/split-{split:05}.{ending}"));
        (path("bytes"), path("arrow"))
    }

    /// Where parts are written.
    pub fn all_written(&self) -> PathBuf {
        self.root.join("written")
    }

    /// Where the files of a part lie, as they will in the dataset.
    pub fn written(&self, part: usize) -> PathBuf {
        self.root.join(format!("written/part-{part:05}"))
    }

    /// Where the tables that `compose` writes lie.
    pub fn tables(&self) -> PathBuf {
        self.root.join("written/tables")
    }

    /// The record of a part's files, which appears behind them.
    pub fn written_record(&self, part: usize) -> PathBuf {
        self.root.join(format!("written/part-{part:05}.json"))
    }

    /// Reads what a stage says.
    ///
    /// # Errors
    /// A stage that has not run, or a damaged file.
    pub fn read<T: DeserializeOwned>(&self, path: &Path) -> Result<T> {
        if !store::exists(path) {
            return Err(Error::input(Place::file(path), "it is not there", "run the stage that writes it first"));
        }
        serde_json::from_str(&store::read_to_string(path)?).map_err(|e| {
            Error::input(Place::file(path), format!("it is damaged ({e})"), "run the stage that writes it again")
        })
    }

    /// Writes what a stage says: whole, or not at all.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write(&self, path: &Path, value: &impl Serialize) -> Result<()> {
        // Plain data with string keys always serializes.
        store::replace(path, serde_json::to_string(value).unwrap_or_default().as_bytes())
    }
}

/// A split or part by its number.
///
/// # Errors
/// There is none of that number.
pub fn nth<'a, T>(all: &'a [T], what: &str, number: usize) -> Result<&'a T> {
    all.get(number).ok_or_else(|| {
        let problem = format!("there is no {what} {number}");
        Error::pipeline(
            format!("--{what}"),
            problem,
            format!("{what}s are numbered from 0 to {}", all.len().saturating_sub(1)),
        )
    })
}
