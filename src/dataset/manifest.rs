//! `manifest.json`: what the dataset is, where it came from, and the digests that pin it. Exists last.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::identity::KeyFacts;
use crate::schema;
use crate::stats::{Baselines, Counts, Metrics};

/// A file of the input.
#[derive(Debug, Clone, Serialize)]
pub struct InputRecord {
    /// What it was read for.
    #[serde(rename = "use")]
    pub use_: &'static str,
    /// Relative to the inputs' deepest common folder.
    pub path: String,
    pub bytes: u64,
    pub rows: u64,
    /// XXH3-128 of the footer and the 8 bytes behind it, in lower-case hex.
    pub footer_xxh3_128: String,
}

/// A shard of the dataset.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ShardRecord {
    /// Relative to the dataset.
    pub path: String,
    pub bytes: u64,
    pub rows: u64,
    pub xxh3_128: String,
    pub rank: usize,
    pub first_batch: usize,
    pub batches: usize,
}

#[derive(Debug, Clone, Serialize)]
pub struct Manifest {
    pub format: &'static str,
    pub tool: String,
    /// Digest of the pipeline and the inputs.
    pub run_id: String,
    pub pipeline: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyFacts>,
    pub inputs: Vec<InputRecord>,
    pub shards: Vec<ShardRecord>,
    /// The other files under `_batchwright/`.
    pub tables: Vec<TableRecord>,
    pub counts: Counts,
    pub stats: Metrics,
    /// The same examples in a random order and in the input's own.
    pub baselines: Baselines,
}

/// A table beside the shards.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TableRecord {
    pub path: String,
    pub bytes: u64,
    pub rows: u64,
    pub xxh3_128: String,
}

impl Manifest {
    pub fn new(pipeline: Value, key: Option<KeyFacts>, inputs: Vec<InputRecord>) -> Self {
        let digest = xxhash_rust::xxh3::xxh3_128(
            serde_json::json!([schema::FORMAT, pipeline, key, inputs]).to_string().as_bytes(),
        );
        Manifest {
            format: schema::FORMAT,
            tool: concat!("batchwright ", env!("CARGO_PKG_VERSION")).into(),
            run_id: format!("{digest:032x}"),
            pipeline,
            key,
            inputs,
            shards: Vec::new(),
            tables: Vec::new(),
            counts: Counts::default(),
            stats: Metrics::default(),
            baselines: Baselines::default(),
        }
    }

    /// As it is written: indented JSON with a final newline.
    pub fn to_json(&self) -> String {
        // Plain data with string keys always serializes.
        serde_json::to_string_pretty(self).map(|s| s + "\n").unwrap_or_default()
    }
}
