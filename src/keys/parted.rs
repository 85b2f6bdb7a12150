//! Rows of keys, handed out to parts.

use std::path::Path;

use super::plane::KeyPlane;
use crate::error::Result;
use crate::store::Parts;

/// Keys in parts: rows come in any order, each with a number of its own; a part is a plane.
pub struct PartedKeys {
    shape: KeyPlane,
    parts: Parts,
    /// A row as bytes: its number, its row in the input, codes, time, and whether it is positive.
    record: Vec<u8>,
}

impl PartedKeys {
    /// `number` parts of rows with the columns of `shape`. Up to `room` bytes are held, the others go into a nameless file in
    /// `folder`.
    pub fn new(shape: &KeyPlane, number: usize, room: u64, folder: &Path) -> Self {
        let mut shape = shape.without_rows();
        let words = 2 + shape.codes_mut().len();
        let width = 4 * words + shape.time.as_ref().map_or(0, |_| 8) + usize::from(shape.positive.is_some());
        PartedKeys { shape, parts: Parts::new(number, room, folder), record: vec![0; width] }
    }

    /// Appends a row of a plane with the same columns to a part.
    pub fn push(&mut self, part: usize, number: u32, plane: &KeyPlane, row: usize) -> Result<()> {
        let record = &mut self.record;
        record.clear();
        record.extend_from_slice(&number.to_le_bytes());
        record.extend_from_slice(&plane.input_row.get(row).copied().unwrap_or(0).to_le_bytes());
        plane.each_codes(|codes| record.extend_from_slice(&codes[row].to_le_bytes()));
        if let Some(time) = &plane.time {
            record.extend_from_slice(&time[row].to_le_bytes());
        }
        if let Some(positive) = &plane.positive {
            record.push(positive[row].into());
        }
        self.parts.push(part, record)
    }

    /// A part's rows in the order in which they came, with their numbers.
    pub fn read(&self, part: usize) -> Result<(Vec<u32>, KeyPlane)> {
        Ok(self.plane(&self.parts.read(part)?))
    }

    /// A part's rows in the order in which they came, with their numbers; the part may be empty afterwards.
    pub fn take(&self, part: usize) -> Result<(Vec<u32>, KeyPlane)> {
        Ok(self.plane(&self.parts.take(part)?))
    }

    fn plane(&self, bytes: &[u8]) -> (Vec<u32>, KeyPlane) {
        let width = self.record.len();
        let field =
            |at: usize| bytes.chunks_exact(width).map(move |r| r[at..at + 4].try_into().map_or(0, u32::from_le_bytes));
        let mut plane = self.shape.without_rows();
        plane.input_row = field(4).collect();
        let mut at = 8;
        for (_, codes) in plane.codes_mut() {
            *codes = field(at).collect();
            at += 4;
        }
        if let Some(time) = &mut plane.time {
            let of = |record: &[u8]| record[at..at + 8].try_into().map_or(0, i64::from_le_bytes);
            *time = bytes.chunks_exact(width).map(of).collect();
            at += 8;
        }
        if let Some(positive) = &mut plane.positive {
            *positive = bytes.chunks_exact(width).map(|record| record[at] != 0).collect();
        }
        (field(0).collect(), plane)
    }

    /// Number of parts.
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// What comes next takes memory of its own.
    pub fn file_rest(&mut self) -> Result<()> {
        self.parts.file_rest()
    }

    /// Bytes in the file.
    pub fn filed_bytes(&self) -> u64 {
        self.parts.filed_bytes()
    }
}
