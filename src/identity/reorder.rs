//! Chunks, joined in input order as they come: what has come is held once, not in chunks and again as a whole.

use std::collections::BTreeMap;

use super::codes::Partitions;
use super::runs::Run;
use crate::error::Result;
use crate::spill::{Column, Room};

/// Rows that the keys leave out, by reason.
#[derive(Debug, Clone, Copy, Default)]
pub struct LeftOut {
    pub filtered: u64,
    pub null_identity: u64,
}

/// Labels by token, as text.
pub type Texts = BTreeMap<u128, String>;

/// The keys of some rows.
#[derive(Default)]
pub struct ChunkKeys {
    pub input_row: Vec<u32>,
    /// For each key column.
    pub runs: Vec<Vec<Run>>,
    /// The text of each label that the chunk holds.
    pub texts: Texts,
    pub time: Option<Vec<i64>>,
    pub positive: Option<Vec<bool>>,
    pub left_out: LeftOut,
}

/// What has come: the chunks before a gap as one, the others as they are.
pub struct Joined {
    pub input_row: Column<u32>,
    pub runs: Partitions,
    pub texts: Texts,
    pub time: Option<Column<i64>>,
    pub positive: Option<Column<bool>>,
    pub left_out: LeftOut,
    chunks: usize,
    waiting: BTreeMap<usize, ChunkKeys>,
}

impl Joined {
    /// What is not runs goes into columns.
    ///
    /// # Errors
    /// A scratch file that can't be created.
    pub fn new(runs: Partitions, has_time: bool, has_positive: bool, room: &Room) -> Result<Self> {
        Ok(Joined {
            input_row: Column::new(room)?,
            runs,
            texts: Texts::new(),
            time: has_time.then(|| Column::new(room)).transpose()?,
            positive: has_positive.then(|| Column::new(room)).transpose()?,
            left_out: LeftOut::default(),
            chunks: 0,
            waiting: BTreeMap::new(),
        })
    }

    /// Takes the keys of a row group.
    ///
    /// # Errors
    /// A scratch file that can't be written.
    pub fn add(&mut self, ordinal: usize, keys: ChunkKeys) -> Result<()> {
        self.waiting.insert(ordinal, keys);
        while let Some(next) = self.waiting.remove(&self.chunks) {
            self.append(next)?;
            self.chunks += 1;
        }
        Ok(())
    }

    fn append(&mut self, next: ChunkKeys) -> Result<()> {
        let first_row = self.input_row.len() as u32;
        self.input_row.extend(&next.input_row)?;
        for (column, runs) in next.runs.iter().enumerate() {
            self.runs.add(column, runs, first_row)?;
        }
        self.texts.extend(next.texts);
        if let (Some(all), Some(time)) = (&mut self.time, next.time) {
            all.extend(&time)?;
        }
        if let (Some(all), Some(positive)) = (&mut self.positive, next.positive) {
            all.extend(&positive)?;
        }
        self.left_out.filtered += next.left_out.filtered;
        self.left_out.null_identity += next.left_out.null_identity;
        Ok(())
    }
}
