//! What the stages say of themselves, as JSON.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::compose::Head;
use crate::dataset::{ShardRecord, TableRecord};
use crate::figures::Measured;
use crate::stats::{Baselines, BatchStats};

/// Which run a folder belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRecord {
    pub run_id: String,
    /// Row groups of each split.
    pub splits: Vec<Range<usize>>,
    /// About how many parts of whole shards there are to be; `None`: as many as there are shards.
    pub parts: Option<usize>,
}

/// What is decided of all parts.
#[derive(Debug, Serialize, Deserialize)]
pub struct ComposedRecord {
    pub head: Head,
    /// The batches of each part: whole shards of all ranks.
    pub parts: Vec<Range<usize>>,
    /// Places of each part of the table of items.
    pub item_parts: Vec<Range<usize>>,
    /// Columns that rules name beside roles.
    pub columns: Vec<String>,
    pub measured: Measured,
    pub baselines: Baselines,
    /// Tables that need keys alone.
    pub tables: Vec<TableRecord>,
}

impl ComposedRecord {
    /// Number of parts that are written, the table of items being one.
    pub fn writes(&self) -> usize {
        self.parts.len() + usize::from(!self.item_parts.is_empty())
    }
}

/// The files of a part.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct WrittenRecord {
    pub shards: Vec<ShardRecord>,
    pub tables: Vec<TableRecord>,
    pub stats: Vec<BatchStats>,
}
