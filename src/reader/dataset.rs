//! A dataset as its manifest describes it.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use arrow::datatypes::Field;
use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Place, Result};
use crate::pipeline::MAX_RANKS;
use crate::schema;
use crate::stats::{Baselines, sampled_batches};
use crate::store;

/// What the manifest records.
#[derive(Debug, Clone, Deserialize)]
pub struct Recorded {
    /// What the manifest says of the key of tokens; null without one.
    #[serde(default)]
    pub key: Value,
    pub format: String,
    pub pipeline: Value,
    pub shards: Vec<RecordedFile>,
    #[serde(default)]
    pub tables: Vec<RecordedFile>,
    pub counts: Value,
    pub stats: Value,
    #[serde(default)]
    pub baselines: Baselines,
    #[serde(default)]
    pub run_id: String,
    #[serde(default)]
    pub tool: String,
    #[serde(default)]
    pub inputs: Vec<Value>,
}

/// A file of the dataset.
#[derive(Debug, Clone, Deserialize)]
pub struct RecordedFile {
    pub path: String,
    pub bytes: u64,
    pub rows: u64,
    pub xxh3_128: String,
    #[serde(default)]
    pub rank: usize,
    #[serde(default)]
    pub first_batch: usize,
    #[serde(default)]
    pub batches: usize,
}

/// An open dataset: its folder, its manifest, and what of the pipeline the judge needs.
pub struct Dataset {
    pub root: PathBuf,
    pub recorded: Recorded,
    pub batch_size: usize,
    pub ranks: usize,
    sampled: OnceLock<Vec<usize>>,
}

impl Dataset {
    /// Opens a dataset by its manifest.
    ///
    /// # Errors
    /// There is none, or it can't be read.
    pub fn open(root: &Path) -> Result<Self> {
        let path = root.join(schema::MANIFEST);
        let bad = |problem: String| {
            Error::input(Place::file(&path), problem, "name a folder that `batchwright run` wrote, or compose it again")
        };
        if !store::exists(&path) {
            return Err(bad("there is no manifest, so this is not a dataset".into()));
        }
        let text = store::read_to_string(&path)?;
        let no_manifest = |e: serde_json::Error| bad(format!("it is not a manifest ({e})"));
        let value: Value = serde_json::from_str(&text).map_err(no_manifest)?;
        // Another version may lack what this one has.
        let format = value["format"].as_str().unwrap_or_default();
        if format != schema::FORMAT {
            return Err(bad(format!("its format is `{format}`, this build reads {}", schema::FORMAT)));
        }
        let recorded = Recorded::deserialize(value).map_err(no_manifest)?;
        let number =
            |at: &str| recorded.pipeline.pointer(at).and_then(Value::as_u64).filter(|n| *n > 0 && *n < 1 << 31);
        let batch_size = number("/compose/batch_size").ok_or_else(|| bad("it names no batch size".into()))?;
        let ranks = number("/output/ranks").ok_or_else(|| bad("it names no number of ranks".into()))?;
        if ranks > MAX_RANKS as u64 {
            return Err(bad(format!("it names {ranks} ranks")));
        }
        if batch_size % ranks != 0 {
            return Err(bad(format!("{ranks} ranks do not divide batches of {batch_size}")));
        }
        let (batch_size, ranks) = (batch_size as usize, ranks as usize);
        Ok(Dataset { root: root.to_path_buf(), batch_size, ranks, recorded, sampled: OnceLock::new() })
    }

    /// Whether no batch holds two windows, so that each window's last batch may be short.
    pub fn has_exact_windows(&self) -> bool {
        self.setting("compose.window_ends") == "exact"
    }

    /// Rows of a batch that one rank reads.
    pub fn slice(&self) -> usize {
        self.batch_size / self.ranks
    }

    /// The batches whose false negatives the manifest's figures count, ascending.
    pub fn sampled(&self) -> &[usize] {
        self.sampled.get_or_init(|| {
            // Ordinals of batches are 31 bits wide.
            let batches = self.count("batches").min(i32::MAX as u64) as usize;
            sampled_batches(self.value("compose.seed").as_u64().unwrap_or(0), batches, self.batch_size)
        })
    }

    /// A setting of the pipeline, such as "compose.mode"; empty if it is not there.
    pub fn setting(&self, key: &str) -> &str {
        self.value(key).as_str().unwrap_or_default()
    }

    pub fn value(&self, key: &str) -> &Value {
        self.recorded.pipeline.pointer(&format!("/{}", key.replace('.', "/"))).unwrap_or(&Value::Null)
    }

    /// A field as the dataset writes it: in types that older readers know, where these were asked for.
    pub fn written(&self, field: Field) -> Field {
        if self.setting("output.types") == "portable" { schema::portable(&field) } else { field }
    }

    /// A count of the manifest.
    pub fn count(&self, name: &str) -> u64 {
        self.recorded.counts[name].as_u64().unwrap_or(0)
    }

    /// Texts of a list setting.
    pub fn list(&self, key: &str) -> Vec<String> {
        self.value(key).as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// The group's label values with their rows, in order; empty without groups.
    pub fn classes(&self) -> Vec<(String, usize)> {
        let classes = self.value("compose.group.classes").as_object();
        classes.into_iter().flatten().map(|(c, n)| (c.clone(), n.as_u64().unwrap_or(0) as usize)).collect()
    }

    /// The column that plays a role alone.
    pub fn role(&self, role: &str) -> Option<&str> {
        match self.value(&format!("columns.{role}")) {
            Value::Array(names) if names.len() == 1 => names[0].as_str(),
            value => value.as_str(),
        }
    }

    /// The columns that play a role together; none where it is not mapped.
    pub fn columns(&self, role: &str) -> Vec<String> {
        match self.value(&format!("columns.{role}")) {
            Value::Array(names) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            value => value.as_str().map(str::to_owned).into_iter().collect(),
        }
    }

    /// The table of this name, if the dataset has it.
    pub fn table(&self, name: &str) -> Option<&RecordedFile> {
        self.recorded.tables.iter().find(|t| t.path == name)
    }
}
