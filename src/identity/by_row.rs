//! Codes by row, as they come in any order.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::Result;
use crate::spill::{Column, Exchange, Room};

/// The code of a row that is in no run.
pub const NO_VALUE: u32 = u32::MAX;

/// Consecutive rows with one code: the rank of their token in its part above the part's number.
#[derive(Clone, Copy)]
pub struct Coded {
    pub row: u32,
    pub rows: u32,
    pub code: u32,
}

/// Codes as they come, by row.
pub enum ByRow {
    Held(Vec<AtomicU32>),
    /// (row, rows, code), and how many rows a partition has.
    Filed {
        parted: Exchange<[u32; 3]>,
        size: usize,
        rows: usize,
    },
}

impl ByRow {
    pub fn new(rows: usize, room: &Room) -> Self {
        let number = room.partitions(rows);
        if number == 1 && !room.is_on_file() {
            return ByRow::Held(std::iter::repeat_with(|| AtomicU32::new(NO_VALUE)).take(rows).collect());
        }
        ByRow::Filed {
            parted: Exchange::with_bytes(number, room.bytes, room),
            size: rows.div_ceil(number).max(1),
            rows,
        }
    }

    pub fn is_filed(&self) -> bool {
        matches!(self, ByRow::Filed { .. })
    }

    /// Takes codes in, or keeps them for [`ByRow::push`]; several cores do so at once.
    pub fn keep(&self, coded: Coded, kept: &mut Vec<Coded>) {
        match self {
            ByRow::Held(codes) => {
                let own = &codes[coded.row as usize..(coded.row + coded.rows) as usize];
                own.iter().for_each(|code| code.store(coded.code, Ordering::Relaxed));
            }
            ByRow::Filed { .. } => kept.push(coded),
        }
    }

    /// Appends the codes of the next rows.
    ///
    /// # Errors
    /// A scratch file that can't be written.
    pub fn push(&mut self, coded: Coded) -> Result<()> {
        match self {
            ByRow::Held(_) => self.keep(coded, &mut Vec::new()),
            ByRow::Filed { parted, size, .. } => {
                let (mut row, end) = (coded.row as usize, (coded.row + coded.rows) as usize);
                while row < end {
                    let part = row / *size;
                    let rows = end.min((part + 1) * *size) - row;
                    parted.push(part, [row as u32, rows as u32, coded.code])?;
                    row += rows;
                }
            }
        }
        Ok(())
    }

    /// The rank of each row's token.
    ///
    /// # Errors
    /// A scratch file that can't be read or written.
    pub fn ranked(self, rank: impl Fn(u32) -> u32, room: &Room) -> Result<Column<u32>> {
        let (parted, size, rows) = match self {
            ByRow::Held(codes) => {
                let ranked: Vec<u32> = codes.into_iter().map(|code| rank(code.into_inner())).collect();
                return Ok(ranked.into());
            }
            ByRow::Filed { parted, size, rows } => (parted, size, rows),
        };
        let mut codes = Column::new(room)?;
        for part in 0..parted.len() {
            let start = (part * size).min(rows);
            let mut own = vec![rank(NO_VALUE); size.min(rows - start)];
            for [row, rows, code] in parted.take(part)? {
                own[row as usize - start..][..rows as usize].fill(rank(code));
            }
            codes.append(own)?;
        }
        Ok(codes)
    }
}
