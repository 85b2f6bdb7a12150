//! Chunks' codes, joined in input order as they come: what has come is held once, not in chunks and again as a whole.

use std::collections::BTreeMap;

/// Provisional codes, and the text of each code that the chunk holds.
pub type LabelCodes = (Vec<u32>, Vec<(u32, String)>);

/// Rows that the plane leaves out, by reason.
#[derive(Debug, Clone, Copy, Default)]
pub struct LeftOut {
    pub filtered: u64,
    pub null_identity: u64,
}

/// The codes of some rows, before they are settled.
#[derive(Default)]
pub struct ChunkCodes {
    pub input_row: Vec<u32>,
    pub identity: Vec<u32>,
    pub others: Vec<Vec<u32>>,
    pub label: Option<LabelCodes>,
    pub time: Option<Vec<i64>>,
    pub positive: Option<Vec<bool>>,
    pub left_out: LeftOut,
}

impl ChunkCodes {
    fn append(&mut self, next: ChunkCodes) {
        self.input_row.extend(next.input_row);
        self.identity.extend(next.identity);
        self.others.resize_with(next.others.len(), Vec::new);
        self.others.iter_mut().zip(next.others).for_each(|(all, codes)| all.extend(codes));
        if let Some((codes, texts)) = next.label {
            let all = self.label.get_or_insert_default();
            all.0.extend(codes);
            all.1.extend(texts);
        }
        if let Some(time) = next.time {
            self.time.get_or_insert_default().extend(time);
        }
        if let Some(positive) = next.positive {
            self.positive.get_or_insert_default().extend(positive);
        }
        self.left_out.filtered += next.left_out.filtered;
        self.left_out.null_identity += next.left_out.null_identity;
    }
}

/// The chunks that have come: those before a gap as one, the others as they are.
#[derive(Default)]
pub struct Joined {
    pub rows: ChunkCodes,
    chunks: usize,
    waiting: BTreeMap<usize, ChunkCodes>,
}

impl Joined {
    pub fn add(&mut self, ordinal: usize, codes: ChunkCodes) {
        self.waiting.insert(ordinal, codes);
        while let Some(next) = self.waiting.remove(&self.chunks) {
            self.rows.append(next);
            self.chunks += 1;
        }
    }

    /// Whether no chunk waits for one before it.
    pub fn is_whole(&self) -> bool {
        self.waiting.is_empty()
    }
}
