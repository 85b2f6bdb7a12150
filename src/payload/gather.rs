//! Decoded columns in memory, and rows picked out of them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, UInt32Array, new_empty_array, new_null_array};
use arrow::compute::{interleave, take};
use arrow::datatypes::DataType;

use crate::error::{Error, Place, Result};
use crate::parallel::in_parallel;

/// A row group's place in the input.
#[derive(Debug, Clone, Copy)]
pub struct RowGroupSpan {
    pub first_row: u32,
    pub rows: u32,
}

/// Arrays of which this share is wanted are kept as they are.
pub const KEEP_WHOLE: f64 = 0.875;

/// What takes decoded arrays: the input row of the first value, and the values.
pub type Sink<'a> = dyn FnMut(u32, ArrayRef) -> Result<()> + 'a;

/// How large decoded arrays are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArraySize {
    /// As fits the caches.
    Small,
    /// So that pieces of them are worth a write each.
    Large,
}

/// Decodes a column (by position) of a row group (by position), array by array, in order; the arrays small or large.
pub trait Decoder: Sync {
    fn spans(&self) -> &[RowGroupSpan];
    /// What decoding takes, in any unit.
    fn cost(&self, column: usize, row_group: usize) -> u64;
    fn decode(&self, column: usize, row_group: usize, size: ArraySize, each: &mut Sink<'_>) -> Result<()>;
    /// Whether it has to look at a row group of which nothing is wanted.
    fn must_look(&self, _column: usize, _row_group: usize) -> Result<bool> {
        Ok(false)
    }
}

/// A wanted row: its ordinal among those wanted, and where it is in the input.
#[derive(Debug, Clone, Copy)]
pub struct WantedRow {
    pub ordinal: u32,
    pub input_row: u32,
}

/// Consecutive values of a column.
struct Chunk {
    array: ArrayRef,
    /// Number of wanted rows.
    wanted: u32,
    /// Where other rows are among them: the first input row.
    first_row: Option<u32>,
}

/// One column's values of the wanted rows, in order.
struct PayloadColumn {
    chunks: Vec<Chunk>,
    /// First wanted row of each chunk, and the number of all.
    starts: Vec<u32>,
}

impl PayloadColumn {
    fn new(chunks: Vec<Chunk>) -> Self {
        let mut starts = vec![0u32];
        for chunk in &chunks {
            starts.push(starts[starts.len() - 1] + chunk.wanted);
        }
        PayloadColumn { chunks, starts }
    }

    /// The chunk and the place in it of a row; `chunk` is that of the row before, which is often the same.
    fn find(&self, row: WantedRow, chunk: &mut usize) -> (usize, usize) {
        if !(self.starts[*chunk]..self.starts[*chunk + 1]).contains(&row.ordinal) {
            *chunk = self.starts.partition_point(|start| *start <= row.ordinal) - 1;
        }
        let at = match self.chunks[*chunk].first_row {
            Some(first) => row.input_row - first,
            None => row.ordinal - self.starts[*chunk],
        };
        (*chunk, at as usize)
    }
}

/// Columns of the wanted input rows.
#[derive(Default)]
pub struct Payload {
    columns: Vec<PayloadColumn>,
}

impl Payload {
    /// Decodes columns `0..types.len()`, each value once, and keeps those of `wanted[column]`: ascending input rows.
    ///
    /// # Errors
    /// What the decoder says.
    pub fn load(decoder: &impl Decoder, wanted: &[Arc<Vec<u32>>]) -> Result<Self> {
        let groups = decoder.spans().len();
        let tasks: Vec<(usize, usize)> = (0..wanted.len()).flat_map(|c| (0..groups).map(move |g| (c, g))).collect();
        let cost = |(column, group): &(usize, usize)| decoder.cost(*column, *group);
        let mut decoded = in_parallel(&tasks, cost, |&(column, group)| {
            let mut kept = Vec::new();
            if within(&wanted[column], decoder.spans()[group]).is_empty() && !decoder.must_look(column, group)? {
                return Ok(kept);
            }
            decoder.decode(column, group, ArraySize::Small, &mut |first_row, array| {
                kept.extend(keep(array, &wanted[column], first_row)?);
                Ok(())
            })?;
            Ok(kept)
        })?;
        let columns = (0..wanted.len()).map(|column| {
            PayloadColumn::new(
                decoded[column * groups..(column + 1) * groups].iter_mut().flat_map(std::mem::take).collect(),
            )
        });
        Ok(Payload { columns: columns.collect() })
    }

    /// From columns' arrays, the wanted rows in order.
    pub(super) fn from_arrays(columns: Vec<Vec<ArrayRef>>) -> Self {
        let chunk = |array: ArrayRef| Chunk { wanted: array.len() as u32, array, first_row: None };
        let column = |arrays: Vec<ArrayRef>| PayloadColumn::new(arrays.into_iter().map(chunk).collect());
        Payload { columns: columns.into_iter().map(column).collect() }
    }

    /// The columns from `first` on, which are then gone from here.
    pub fn split_off(&mut self, first: usize) -> Payload {
        Payload { columns: self.columns.split_off(first) }
    }

    /// The column's values of wanted rows, in the order given; `None` is a null.
    ///
    /// # Errors
    /// Values that the type can't hold.
    pub fn gather(&self, column: usize, data_type: &DataType, rows: &[Option<WantedRow>]) -> Result<Vec<ArrayRef>> {
        let column = &self.columns[column];
        let null = new_null_array(data_type, 1);
        let mut sources: Vec<&dyn Array> = column.chunks.iter().map(|c| c.array.as_ref()).collect();
        let nowhere = (sources.len(), 0);
        sources.push(null.as_ref());
        let mut chunk = 0;
        let find = |row: &Option<WantedRow>| row.map_or(nowhere, |row| column.find(row, &mut chunk));
        let indices: Vec<(usize, usize)> = rows.iter().map(find).collect();
        let mut out = Vec::new();
        interleave_in_parts(&sources, &indices, &mut out)?;
        if out.is_empty() {
            out.push(new_empty_array(data_type));
        }
        Ok(out)
    }
}

/// The wanted rows of a row group.
pub(super) fn within(rows: &[u32], span: RowGroupSpan) -> &[u32] {
    let end = u64::from(span.first_row) + u64::from(span.rows);
    &rows[rows.partition_point(|r| *r < span.first_row)..rows.partition_point(|r| u64::from(*r) < end)]
}

/// What is kept of an array whose first value is that of `first_row`; `None` if nothing is wanted. Copying most of it to be rid
/// of a few rows would cost more than they take.
fn keep(array: ArrayRef, wanted: &[u32], first_row: u32) -> Result<Option<Chunk>> {
    let wanted_here = within(wanted, RowGroupSpan { first_row, rows: array.len() as u32 }).len();
    if wanted_here as f64 >= KEEP_WHOLE * array.len() as f64 {
        return Ok(Some(Chunk { array, wanted: wanted_here as u32, first_row: Some(first_row) }));
    }
    let chunk = |array: ArrayRef| Chunk { wanted: array.len() as u32, array, first_row: None };
    Ok(pick(&array, wanted, first_row)?.map(chunk))
}

/// The wanted rows of an array whose first value is that of `first_row`; `None` without any.
pub(super) fn pick(array: &ArrayRef, wanted: &[u32], first_row: u32) -> Result<Option<ArrayRef>> {
    let own = within(wanted, RowGroupSpan { first_row, rows: array.len() as u32 });
    if own.len() == array.len() {
        return Ok(Some(Arc::clone(array)));
    }
    if own.is_empty() {
        return Ok(None);
    }
    let indices = UInt32Array::from_iter_values(own.iter().map(|row| row - first_row));
    take(array, &indices, None).map(|picked| Some(alone(picked))).map_err(too_large)
}

/// Without the values of rows that the array no longer has, which views keep.
pub fn alone(array: ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Utf8View => Arc::new(array.as_string_view().gc()),
        DataType::BinaryView => Arc::new(array.as_binary_view().gc()),
        _ => array,
    }
}

/// Interleaves; halves what is too long for 32-bit offsets, down to single rows.
fn interleave_in_parts(sources: &[&dyn Array], indices: &[(usize, usize)], out: &mut Vec<ArrayRef>) -> Result<()> {
    if indices.is_empty() {
        return Ok(());
    }
    match interleave(sources, indices) {
        Ok(array) => out.push(array),
        Err(_) if indices.len() > 1 => {
            let (head, tail) = indices.split_at(indices.len() / 2);
            interleave_in_parts(sources, head, out)?;
            interleave_in_parts(sources, tail, out)?;
        }
        Err(e) => return Err(too_large(e)),
    }
    Ok(())
}

fn too_large(error: arrow::error::ArrowError) -> Error {
    Error::input(Place::default(), format!("rows can't be brought together ({error})"), "split values of this size")
}
