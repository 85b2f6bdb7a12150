//! Decodes the input's columns for [`crate::payload`].

use super::room::Room;
use crate::error::Result;
use crate::payload::{ArraySize, Constancy, Decoder, RowGroupSpan, Sink};
use crate::progress::Progress;
use crate::source::{self, InputColumn, Source};

/// Decodes payload columns for [`Payload::load`], checking request columns as they come by.
pub struct SourceDecoder<'a> {
    source: &'a Source,
    spans: Vec<RowGroupSpan>,
    columns: Vec<(InputColumn, Option<Constancy<'a>>)>,
    /// For dictionaries so large that not every core may hold one.
    room: Room,
    progress: &'a Progress,
}

/// What is decoded of a column at a time to be spilled, in bytes: cut into a piece for each part. With 2 MiB, writing pieces of
/// a few rows took a fifth of a run's time.
const LARGE_ARRAY: u64 = 8 << 20;

/// Smaller dictionaries count as the arrays that each core decodes.
const LARGE_DICTIONARY: u64 = 8 << 20;

/// What large dictionaries may take together, however little room there is.
const LEAST_ROOM: u64 = 32 << 20;

/// A dictionary page as it is stored, decompressed, and decoded.
const COPIES: u64 = 3;

impl<'a> SourceDecoder<'a> {
    /// `columns` with what checks those of requests; large dictionaries together take up to `room` bytes.
    pub fn new(
        source: &'a Source,
        columns: Vec<(InputColumn, Option<Constancy<'a>>)>,
        room: u64,
        progress: &'a Progress,
    ) -> Self {
        let spans = source.row_groups.iter().map(|g| RowGroupSpan { first_row: g.first_row, rows: g.rows });
        SourceDecoder { spans: spans.collect(), columns, source, room: Room::new(room.max(LEAST_ROOM)), progress }
    }
}

impl Decoder for SourceDecoder<'_> {
    fn spans(&self) -> &[RowGroupSpan] {
        &self.spans
    }

    fn cost(&self, column: usize, row_group: usize) -> u64 {
        self.source.decoded_bytes_in(&self.source.row_groups[row_group], self.columns[column].0)
    }

    fn decode(&self, column: usize, row_group: usize, size: ArraySize, each: &mut Sink<'_>) -> Result<()> {
        let group = &self.source.row_groups[row_group];
        let dictionary = self.source.dictionary_bytes_in(group, self.columns[column].0);
        let _taken = self.room.take(if dictionary < LARGE_DICTIONARY { 0 } else { dictionary.saturating_mul(COPIES) });
        let bytes = match size {
            ArraySize::Small => source::SMALL_ARRAY,
            ArraySize::Large => LARGE_ARRAY,
        };
        source::decode_each(self.source, group, self.columns[column].0, bytes, &mut |at, array| {
            let first_row = group.first_row + at;
            if let Some(constancy) = &self.columns[column].1 {
                constancy.check(first_row, &array, &self.source.place(group))?;
            }
            each(first_row, array)
        })?;
        self.progress.advance(1);
        Ok(())
    }

    fn must_look(&self, column: usize, row_group: usize) -> Result<bool> {
        let RowGroupSpan { first_row, rows } = self.spans[row_group];
        let (first, end) = (u64::from(first_row), u64::from(first_row) + u64::from(rows));
        self.columns[column].1.as_ref().map_or(Ok(false), |constancy| constancy.concerns(first..end))
    }
}
