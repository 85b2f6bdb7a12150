//! Chunks, joined in input order as they come: what has come is held once, not in chunks and again as a whole.

use std::collections::BTreeMap;

use super::partitions::{Overflow, Partitions};
use super::runs::Run;
use crate::error::Result;

/// Rows that the plane leaves out, by reason.
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
    pub input_row: Vec<u32>,
    pub columns: Vec<Partitions>,
    pub texts: Texts,
    pub time: Option<Vec<i64>>,
    pub positive: Option<Vec<bool>>,
    pub left_out: LeftOut,
    pub overflow: Overflow,
    chunks: usize,
    waiting: BTreeMap<usize, ChunkKeys>,
}

impl Joined {
    /// For so many key columns.
    pub fn new(columns: usize, overflow: Overflow) -> Self {
        Joined {
            input_row: Vec::new(),
            columns: std::iter::repeat_with(Partitions::new).take(columns).collect(),
            texts: Texts::new(),
            time: None,
            positive: None,
            left_out: LeftOut::default(),
            overflow,
            chunks: 0,
            waiting: BTreeMap::new(),
        }
    }

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
        self.input_row.extend(next.input_row);
        for (column, runs) in self.columns.iter_mut().zip(&next.runs) {
            column.add(runs, first_row, &mut self.overflow);
        }
        self.overflow.relieve(&mut self.columns)?;
        self.texts.extend(next.texts);
        if let Some(time) = next.time {
            self.time.get_or_insert_default().extend(time);
        }
        if let Some(positive) = next.positive {
            self.positive.get_or_insert_default().extend(positive);
        }
        self.left_out.filtered += next.left_out.filtered;
        self.left_out.null_identity += next.left_out.null_identity;
        Ok(())
    }
}
