//! Decodes the input's columns.

use arrow::datatypes::DataType;

use super::constancy::{Constancy, Examples, SeenValue};
use super::gather::{ArraySize, Decoder, RowGroupSpan, Sink};
use super::permits::Permits;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::source::{self, InputColumn, RowGroup, Source};

/// Decodes payload columns for [`super::Payload::load`], checking request columns as they come by.
pub struct SourceDecoder<'a> {
    source: &'a Source,
    spans: Vec<RowGroupSpan>,
    columns: Vec<DecodedColumn<'a>>,
    examples: &'a dyn Examples,
    /// For dictionaries so large that not every core may hold one.
    permits: Permits,
    progress: &'a Progress,
}

/// A column, as it is decoded.
pub struct DecodedColumn<'a> {
    pub column: InputColumn,
    /// The type that the output has of it.
    pub data_type: DataType,
    /// What checks those of requests.
    pub constancy: Option<Constancy<'a>>,
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
    /// Decodes rows of which `examples` are carried; large dictionaries together take up to `room` bytes.
    pub fn new(
        source: &'a Source,
        columns: Vec<DecodedColumn<'a>>,
        examples: &'a dyn Examples,
        room: u64,
        progress: &'a Progress,
    ) -> Self {
        let spans = source.row_groups.iter().map(|g| RowGroupSpan { first_row: g.first_row, rows: g.rows });
        SourceDecoder {
            spans: spans.collect(),
            columns,
            examples,
            source,
            permits: Permits::new(room.max(LEAST_ROOM)),
            progress,
        }
    }
}

impl SourceDecoder<'_> {
    /// What requests that lie elsewhere too were seen with, by column.
    pub fn seen(&self) -> Vec<(u32, SeenValue)> {
        let of = |(column, decoded): (u32, &DecodedColumn<'_>)| {
            let seen = decoded.constancy.as_ref().map(Constancy::seen).unwrap_or_default();
            seen.into_iter().map(move |seen| (column, seen))
        };
        (0..).zip(&self.columns).flat_map(of).collect()
    }
}

/// Rows of a group whose values the output's type does not hold: an error if one of them is an example.
fn unfit_example(
    source: &Source,
    column: InputColumn,
    group: &RowGroup,
    rows: &[u32],
    examples: &dyn Examples,
) -> Result<()> {
    for row in rows {
        let input_row = u64::from(group.first_row + row);
        if examples.within(input_row..input_row + 1)?.input_rows.is_empty() {
            continue;
        }
        let field = source.field(column);
        return Err(Error::input(
            source.place(group).with_column(field.name()),
            format!("row {row} of this row group holds a value that {} does not hold exactly", field.data_type()),
            "write the column as one type in all files, filter the row with input.where, or leave the column out with input.drop",
        ));
    }
    Ok(())
}

impl Decoder for SourceDecoder<'_> {
    fn spans(&self) -> &[RowGroupSpan] {
        &self.spans
    }

    fn cost(&self, column: usize, row_group: usize) -> u64 {
        self.source.decoded_bytes_in(&self.source.row_groups[row_group], self.columns[column].column)
    }

    fn decode(&self, column: usize, row_group: usize, size: ArraySize, each: &mut Sink<'_>) -> Result<()> {
        let group = &self.source.row_groups[row_group];
        let dictionary = self.source.dictionary_bytes_in(group, self.columns[column].column);
        let _taken =
            self.permits.take(if dictionary < LARGE_DICTIONARY { 0 } else { dictionary.saturating_mul(COPIES) });
        let bytes = match size {
            ArraySize::Small => source::SMALL_ARRAY,
            ArraySize::Large => LARGE_ARRAY,
        };
        let DecodedColumn { column, data_type, constancy } = &self.columns[column];
        // Empty row groups come before the one that has the row.
        let holding = |row: u32| self.spans.partition_point(|span| span.first_row <= row).saturating_sub(1);
        let place = |row: u32| self.source.place(&self.source.row_groups[holding(row)]);
        let mut unfit = |rows: &[u32]| unfit_example(self.source, *column, group, rows, self.examples);
        source::decode_each(self.source, group, *column, data_type, bytes, &mut unfit, &mut |at, array| {
            let first_row = group.first_row + at;
            if let Some(constancy) = constancy {
                constancy.check(first_row, &array, &place)?;
            }
            each(first_row, array)
        })?;
        self.progress.advance(1);
        Ok(())
    }

    fn must_look(&self, column: usize, row_group: usize) -> Result<bool> {
        let RowGroupSpan { first_row, rows } = self.spans[row_group];
        let (first, end) = (u64::from(first_row), u64::from(first_row) + u64::from(rows));
        self.columns[column].constancy.as_ref().map_or(Ok(false), |constancy| constancy.concerns(first..end))
    }
}
