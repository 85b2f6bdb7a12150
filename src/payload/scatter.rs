//! Scattering: each value is decoded once, and handed to the parts of the output that want it, in pieces.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::buffer::Buffer;
use arrow::datatypes::DataType;
use rayon::prelude::*;

use super::gather::{ArraySize, Decoder, Payload, RowGroupSpan, pick, within};
use super::pieces::{Piece, decode, encode, narrow};
use crate::error::{Error, Place, Result};
use crate::parallel::in_parallel;

/// The rows that each part of the output wants.
pub trait Wanted: Sync {
    /// The parts that want any rows of a column in a row group, and which input rows, ascending.
    fn of(&self, column: usize, row_group: usize) -> Result<Vec<PartRows<'_>>>;
}

/// The input rows that a part wants.
pub struct PartRows<'a> {
    pub part: usize,
    pub rows: Cow<'a, [u32]>,
}

/// In memory: for each part, the input rows that it wants of every column.
pub struct WantedLists<'a> {
    pub lists: &'a [Arc<Vec<u32>>],
    pub spans: &'a [RowGroupSpan],
}

impl Wanted for WantedLists<'_> {
    fn of(&self, _: usize, row_group: usize) -> Result<Vec<PartRows<'_>>> {
        let own = self.lists.iter().map(|list| Cow::Borrowed(within(list, self.spans[row_group])));
        let parts = own.enumerate().map(|(part, rows)| PartRows { part, rows });
        Ok(parts.filter(|part| !part.rows.is_empty()).collect())
    }
}

/// Takes an encoded piece of a part; `place` is the taker's to decide.
pub type Put<'a> = dyn Fn(usize, Piece, Vec<u8>) -> Result<()> + Sync + 'a;

/// Decodes each column of some row groups once and hands its rows to the parts that want them, `compressed` or not by
/// column. Holds a few decoded arrays a thread, whatever the size of the input.
///
/// # Errors
/// What the decoder or `put` say.
pub fn scatter(
    decoder: &impl Decoder,
    groups: Range<usize>,
    compressed: &[bool],
    wanted: &impl Wanted,
    put: &Put<'_>,
) -> Result<()> {
    // Row group by row group, so that threads read neighbouring pages of the same file.
    let tasks: Vec<(usize, usize)> = groups.flat_map(|g| (0..compressed.len()).map(move |c| (c, g))).collect();
    in_parallel(
        &tasks,
        |_| 0,
        |&(column, group)| {
            let wanted = wanted.of(column, group)?;
            if wanted.is_empty() && !decoder.must_look(column, group)? {
                return Ok(());
            }
            decoder.decode(column, group, ArraySize::Large, &mut |first_row, array| {
                let array = narrow(array);
                for PartRows { part, rows } in &wanted {
                    if let Some(picked) = pick(&array, rows, first_row)? {
                        let rows = picked.len() as u32;
                        let bytes = encode(picked, compressed[column]).map_err(Error::scratch)?;
                        put(*part, Piece { column, first_row, rows, place: 0, bytes: bytes.len() }, bytes)?;
                    }
                }
                Ok(())
            })
        },
    )?;
    Ok(())
}

/// Encoded bytes that are held while a part is loaded, or one piece's if it has more.
const ENCODED: usize = 16 << 20;

/// Where a piece begins in what was read, so that its arrays need no copy.
const ALIGNMENT: usize = 64;

/// The columns of a part from its sorted pieces, whose bytes `read` fills in; of these types, with so many rows each.
///
/// # Errors
/// Pieces that can't be read, or that do not bring each wanted row exactly once.
pub fn gathered(
    pieces: &[Piece],
    types: &[DataType],
    rows: &[usize],
    mut read: impl FnMut(&Piece, &mut [u8]) -> Result<()>,
) -> Result<Payload> {
    for (column, rows) in rows.iter().enumerate() {
        let own = pieces.iter().filter(|piece| piece.column == column);
        let twice = pieces.windows(2).any(|w| (w[0].column, w[0].first_row) == (w[1].column, w[1].first_row));
        let found: usize = own.map(|piece| piece.rows as usize).sum();
        if found != *rows || twice {
            let problem = format!(
                "{found} of {rows} rows of column number {column} came{}",
                if twice { ", some twice" } else { "" }
            );
            return Err(Error::input(Place::default(), problem, "scatter its splits again"));
        }
    }
    let mut columns: Vec<Vec<ArrayRef>> = vec![Vec::new(); types.len()];
    // A few pieces at a time: their encoded bytes are not all held at once. They lie in one block, since the heaps of several
    // threads keep much of what is freed in many small ones.
    let mut rest = pieces;
    while !rest.is_empty() {
        let mut ends = Vec::new();
        for piece in rest {
            let end = ends.last().map_or(0, |end: &usize| end.next_multiple_of(ALIGNMENT)) + piece.bytes;
            if end > ENCODED && !ends.is_empty() {
                break;
            }
            ends.push(end);
        }
        let (some, others) = rest.split_at(ends.len());
        rest = others;
        let mut block = vec![0; ends.last().copied().unwrap_or(0)];
        for (piece, end) in some.iter().zip(&ends) {
            read(piece, &mut block[end - piece.bytes..*end])?;
        }
        let block = Buffer::from_vec(block);
        let arrays: Vec<ArrayRef> = some
            .par_iter()
            .zip(&ends)
            .map(|(piece, end)| {
                let bytes = block.slice_with_length(end - piece.bytes, piece.bytes);
                let array = decode(bytes, &types[piece.column]).map_err(Error::scratch)?;
                if array.len() == piece.rows as usize { Ok(array) } else { Err(Error::scratch("a piece is cut short")) }
            })
            .collect::<Result<_>>()?;
        some.iter().zip(arrays).for_each(|(piece, array)| columns[piece.column].push(array));
    }
    Ok(Payload::from_arrays(columns))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use arrow::array::{Array, FixedSizeListArray, Int64Array, ListArray, UInt64Array};
    use arrow::compute::{concat, take};
    use arrow::datatypes::Int64Type;

    use super::super::gather::{Sink, WantedRow};
    use super::*;

    /// Pieces with their bytes.
    type Encoded = Vec<(Piece, Vec<u8>)>;

    /// Columns by row group.
    struct Given {
        spans: Vec<RowGroupSpan>,
        columns: Vec<Vec<ArrayRef>>,
    }

    impl Decoder for Given {
        fn spans(&self) -> &[RowGroupSpan] {
            &self.spans
        }

        fn cost(&self, _: usize, _: usize) -> u64 {
            0
        }

        fn decode(&self, column: usize, row_group: usize, _: ArraySize, each: &mut Sink<'_>) -> Result<()> {
            each(self.spans[row_group].first_row, Arc::clone(&self.columns[column][row_group]))
        }
    }

    #[test]
    fn what_is_loaded_is_what_was_written() {
        let small = [Some(7i64), None, Some(-3), Some(i64::from(i32::MAX)), Some(0)];
        let large = [Some(i64::from(i32::MAX) + 1), None, Some(i64::MIN), Some(5), Some(-1)];
        let list = |numbers: &[Option<i64>]| {
            let rows =
                [Some(numbers[..2].to_vec()), None, Some(vec![]), Some(numbers.to_vec()), Some(vec![numbers[3]])];
            Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(rows)) as ArrayRef
        };
        let fixed = |numbers: &[Option<i64>]| {
            let rows = numbers.iter().map(|number| Some(vec![*number, Some(1)]));
            Arc::new(FixedSizeListArray::from_iter_primitive::<Int64Type, _, _>(rows, 2)) as ArrayRef
        };
        let unsigned = |numbers: &[Option<i64>]| {
            Arc::new(numbers.iter().map(|n| n.map(|n| n as u64)).collect::<UInt64Array>()) as ArrayRef
        };
        let plain = |numbers: &[Option<i64>]| Arc::new(Int64Array::from(numbers.to_vec())) as ArrayRef;
        let both = |make: &dyn Fn(&[Option<i64>]) -> ArrayRef| vec![make(&small), make(&large)];
        let columns = vec![both(&list), both(&fixed), both(&unsigned), both(&plain)];
        let spans = vec![RowGroupSpan { first_row: 0, rows: 5 }, RowGroupSpan { first_row: 5, rows: 5 }];
        let given = Given { spans, columns };
        let wanted: Vec<Vec<u32>> = vec![vec![0, 1, 3, 4, 5, 9], vec![2, 6, 7, 8]];
        let lists: Vec<_> = wanted.iter().map(|rows| Arc::new(rows.clone())).collect();
        let by_part = WantedLists { lists: &lists, spans: &given.spans };
        let pieces: [Mutex<Encoded>; 2] = Default::default();
        let put = |part: usize, piece: Piece, bytes: Vec<u8>| {
            pieces[part].lock().unwrap().push((piece, bytes));
            Ok(())
        };
        scatter(&given, 0..2, &[true, false, true, false], &by_part, &put).unwrap();
        let types: Vec<DataType> = given.columns.iter().map(|column| column[0].data_type().clone()).collect();
        for (part, rows) in wanted.into_iter().enumerate() {
            let mut pieces = std::mem::take(&mut *pieces[part].lock().unwrap());
            pieces.sort_unstable_by_key(|(piece, _)| *piece);
            let read = |piece: &Piece, bytes: &mut [u8]| {
                bytes.copy_from_slice(&pieces.iter().find(|(own, _)| own == piece).unwrap().1);
                Ok(())
            };
            let all: Vec<Piece> = pieces.iter().map(|(piece, _)| *piece).collect();
            let expected = vec![rows.len(); types.len()];
            let payload = gathered(&all, &types, &expected, read).unwrap();
            // A piece that is missing, or there twice, is seen.
            assert!(gathered(&all[1..], &types, &expected, read).is_err());
            assert!(gathered(&[&all[..1], &all].concat(), &types, &expected, read).is_err());
            let all: Vec<_> =
                (0..).zip(&rows).map(|(ordinal, row)| Some(WantedRow { ordinal, input_row: *row })).collect();
            for (column, groups) in given.columns.iter().enumerate() {
                let whole = concat(&[groups[0].as_ref(), groups[1].as_ref()]).unwrap();
                let expected = take(&whole, &arrow::array::UInt32Array::from(rows.clone()), None).unwrap();
                let found = payload.gather(column, whole.data_type(), &all).unwrap();
                assert_eq!(&found[0], &expected);
            }
        }
    }
}
