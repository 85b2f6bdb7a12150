//! Spilling: decoded rows sorted by the part of the output that needs them, in one scratch file a part, as Arrow IPC with
//! LZ4 where that is worth its time; written once, read once.

use std::borrow::Cow;
use std::io::{Cursor, Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, OnceLock};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::buffer::Buffer;
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use arrow::error::ArrowError;
use arrow::ipc::CompressionType;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use rayon::prelude::*;

use super::gather::{ArraySize, Decoder, Payload, RowGroupSpan, pick, within};
use crate::error::{Error, Result};
use crate::tasks::in_parallel;

/// A scratch file.
pub trait Scratch: Read + Write + Seek + Send {}

impl<T: Read + Write + Seek + Send> Scratch for T {}

/// A piece of a column in a scratch file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Piece {
    column: usize,
    /// Input row of its first value: pieces of a column are in input order.
    first_row: u32,
    offset: u64,
    bytes: usize,
}

/// Encoded bytes that are held while a part is loaded, or one piece's if it has more.
const ENCODED: usize = 16 << 20;

struct Part {
    file: Box<dyn Scratch>,
    end: u64,
    pieces: Vec<Piece>,
}

/// How a column is stored.
#[derive(Clone, Default)]
struct Format {
    /// As it came.
    data_type: OnceLock<DataType>,
    /// Whether LZ4 is worth its time.
    compress: OnceLock<bool>,
}

/// Decoded rows by part of the output.
pub struct Spill {
    types: Vec<DataType>,
    parts: Vec<Mutex<Part>>,
}

/// The rows that each part of the output wants.
pub trait Wanted: Sync {
    /// Of a column in a row group: the parts that want any of its rows, and which input rows, ascending.
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

impl Spill {
    /// Decodes each of `columns` columns once and hands its rows to the parts that want them, a file each. Holds a few
    /// decoded arrays a thread, whatever the size of the input.
    pub fn write(
        decoder: &impl Decoder,
        columns: usize,
        files: Vec<Box<dyn Scratch>>,
        wanted: &impl Wanted,
    ) -> Result<Self> {
        let parts: Vec<Mutex<Part>> =
            files.into_iter().map(|file| Mutex::new(Part { file, end: 0, pieces: Vec::new() })).collect();
        let groups = decoder.spans().len();
        let formats: Vec<Format> = vec![Format::default(); columns];
        // Row group by row group, so that threads read neighbouring pages of the same file.
        let tasks: Vec<(usize, usize)> = (0..groups).flat_map(|g| (0..columns).map(move |c| (c, g))).collect();
        in_parallel(
            &tasks,
            |_| 0,
            |&(column, group)| {
                let wanted = wanted.of(column, group)?;
                if wanted.is_empty() && !decoder.must_look(column, group)? {
                    return Ok(());
                }
                let format = &formats[column];
                decoder.decode(column, group, ArraySize::Large, &mut |first_row, array| {
                    format.data_type.get_or_init(|| array.data_type().clone());
                    let array = narrow(array);
                    for PartRows { part, rows } in &wanted {
                        if let Some(rows) = pick(&array, rows, first_row)? {
                            let bytes = encode(rows, &format.compress).map_err(Error::scratch)?;
                            let mut part = parts[*part].lock().unwrap_or_else(|p| p.into_inner());
                            let piece = Piece { column, first_row, offset: part.end, bytes: bytes.len() };
                            part.file.write_all(&bytes).map_err(Error::scratch)?;
                            part.end += bytes.len() as u64;
                            part.pieces.push(piece);
                        }
                    }
                    Ok(())
                })
            },
        )?;
        let types = formats.into_iter().map(|format| format.data_type.into_inner().unwrap_or(DataType::Null));
        Ok(Spill { types: types.collect(), parts })
    }

    /// Bytes in scratch files.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|p| p.lock().unwrap_or_else(|p| p.into_inner()).end).sum()
    }

    /// The columns of a part; its scratch file is given up.
    pub fn load(&self, part: usize) -> Result<Payload> {
        let mut part = self.parts[part].lock().unwrap_or_else(|p| p.into_inner());
        let mut pieces = std::mem::take(&mut part.pieces);
        pieces.sort_unstable();
        let mut columns: Vec<Vec<ArrayRef>> = vec![Vec::new(); self.types.len()];
        // A few pieces at a time: their encoded bytes are not all held at once.
        let mut rest = pieces.as_slice();
        while !rest.is_empty() {
            let mut bytes = 0;
            let number = rest.iter().take_while(|piece| {
                bytes += piece.bytes;
                bytes <= ENCODED
            });
            let (some, others) = rest.split_at(number.count().max(1));
            rest = others;
            let mut encoded = Vec::with_capacity(some.len());
            for piece in some {
                let mut bytes = vec![0; piece.bytes];
                part.file.seek(SeekFrom::Start(piece.offset)).map_err(Error::scratch)?;
                part.file.read_exact(&mut bytes).map_err(Error::scratch)?;
                encoded.push(bytes);
            }
            let arrays: Vec<ArrayRef> = encoded
                .into_par_iter()
                .zip(some)
                .map(|(bytes, piece)| decode(bytes, &self.types[piece.column]).map_err(Error::scratch))
                .collect::<Result<_>>()?;
            some.iter().zip(arrays).for_each(|(piece, array)| columns[piece.column].push(array));
        }
        part.file = Box::new(Cursor::new(Vec::new()));
        Ok(Payload::from_arrays(columns))
    }
}

/// What LZ4 must come to, of what it is given, in the first piece of a column that is not small.
const LZ4_MUST: f64 = 0.9;
const NOT_SMALL: usize = 4 << 10;

/// An array as an Arrow IPC stream, compressed if that is worth its time in this column: noise, as embeddings are, costs as
/// much as what shrinks.
fn encode(array: ArrayRef, compress: &OnceLock<bool>) -> std::result::Result<Vec<u8>, ArrowError> {
    let schema = Arc::new(Schema::new(vec![Field::new("c", array.data_type().clone(), true)]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![array])?;
    let stream = |compressed: bool| {
        let codec = compressed.then_some(CompressionType::LZ4_FRAME);
        let options = IpcWriteOptions::default().try_with_compression(codec)?;
        let mut writer = StreamWriter::try_new_with_options(Vec::new(), &schema, options)?;
        writer.write(&batch)?;
        writer.into_inner()
    };
    if let Some(compressed) = compress.get() {
        return stream(*compressed);
    }
    let (plain, small) = (stream(false)?, stream(true)?);
    if plain.len() >= NOT_SMALL {
        compress.get_or_init(|| small.len() as f64 <= LZ4_MUST * plain.len() as f64);
    }
    Ok(small)
}

/// The array of a piece, as it came.
fn decode(bytes: Vec<u8>, data_type: &DataType) -> std::result::Result<ArrayRef, ArrowError> {
    let mut bytes = Buffer::from_vec(bytes);
    let batch = StreamDecoder::new().decode(&mut bytes)?;
    let batch = batch.ok_or_else(|| ArrowError::IpcError("an empty piece".into()))?;
    let array = batch.column(0);
    if array.data_type() == data_type { Ok(Arc::clone(array)) } else { cast(array, data_type) }
}

/// 64-bit integers as 32-bit ones, if all are small: that takes off as much as LZ4 does, in a tenth of the time.
fn narrow(array: ArrayRef) -> ArrayRef {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let narrowed = narrow_type(array.data_type()).and_then(|to| cast_with_options(&array, &to, &strict).ok());
    narrowed.unwrap_or(array)
}

fn narrow_type(data_type: &DataType) -> Option<DataType> {
    let of = |f: &FieldRef| Some(Arc::new(Field::clone(f).with_data_type(narrow_type(f.data_type())?)));
    match data_type {
        DataType::Int64 => Some(DataType::Int32),
        DataType::UInt64 => Some(DataType::UInt32),
        DataType::List(f) => Some(DataType::List(of(f)?)),
        DataType::FixedSizeList(f, length) => Some(DataType::FixedSizeList(of(f)?, *length)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use arrow::array::{Array, AsArray, FixedSizeListArray, Int64Array, ListArray, UInt64Array};
    use arrow::compute::{concat, take};
    use arrow::datatypes::{Int64Type, UInt64Type};

    use super::super::gather::{Sink, WantedRow};
    use super::*;

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
        let files = wanted.iter().map(|_| Box::new(Cursor::new(Vec::new())) as Box<dyn Scratch>).collect();
        let lists: Vec<_> = wanted.iter().map(|rows| Arc::new(rows.clone())).collect();
        let by_part = WantedLists { lists: &lists, spans: &given.spans };
        let spill = Spill::write(&given, given.columns.len(), files, &by_part).unwrap();
        assert!(spill.bytes() > 0);
        for (part, rows) in wanted.into_iter().enumerate() {
            let payload = spill.load(part).unwrap();
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

    #[test]
    fn small_numbers_are_narrowed_and_large_ones_are_not() {
        let unsigned = narrow(Arc::new(UInt64Array::from(vec![0, u64::from(u32::MAX)])));
        assert_eq!(unsigned.data_type(), &DataType::UInt32);
        let large = narrow(Arc::new(UInt64Array::from(vec![0, u64::from(u32::MAX) + 1])));
        assert_eq!(large.as_primitive::<UInt64Type>().values(), &[0, u64::from(u32::MAX) + 1]);
    }
}
