//! Spilling: decoded rows sorted by the part of the output that needs them, in one scratch file a part, as Arrow IPC with
//! LZ4; written once, read once.

use std::io::{Cursor, Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema};
use arrow::error::ArrowError;
use arrow::ipc::CompressionType;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use rayon::prelude::*;

use super::gather::{ArraySize, Decoder, Payload, pick, within};
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

/// Decoded rows by part of the output.
pub struct Spill {
    columns: usize,
    parts: Vec<Mutex<Part>>,
}

impl Spill {
    /// Decodes each column once and hands its rows to the parts that want them: `wanted[part][column]` are ascending input
    /// rows. Holds a few decoded arrays a thread, whatever the size of the input.
    pub fn write(decoder: &impl Decoder, files: Vec<Box<dyn Scratch>>, wanted: &[Vec<Arc<Vec<u32>>>]) -> Result<Self> {
        let columns = wanted.first().map_or(0, Vec::len);
        let parts: Vec<Mutex<Part>> =
            files.into_iter().map(|file| Mutex::new(Part { file, end: 0, pieces: Vec::new() })).collect();
        let groups = decoder.spans().len();
        // Row group by row group, so that threads read neighbouring pages of the same file.
        let tasks: Vec<(usize, usize)> = (0..groups).flat_map(|g| (0..columns).map(move |c| (c, g))).collect();
        in_parallel(
            &tasks,
            |_| 0,
            |&(column, group)| {
                let span = decoder.spans()[group];
                if wanted.iter().all(|part| within(&part[column], span).is_empty()) {
                    return Ok(());
                }
                decoder.decode(column, group, ArraySize::Large, &mut |first_row, array| {
                    for (part, wanted) in parts.iter().zip(wanted) {
                        if let Some(rows) = pick(&array, &wanted[column], first_row)? {
                            let bytes = encode(rows).map_err(Error::spill)?;
                            let mut part = part.lock().unwrap_or_else(|p| p.into_inner());
                            let piece = Piece { column, first_row, offset: part.end, bytes: bytes.len() };
                            part.file.write_all(&bytes).map_err(Error::spill)?;
                            part.end += bytes.len() as u64;
                            part.pieces.push(piece);
                        }
                    }
                    Ok(())
                })
            },
        )?;
        Ok(Spill { columns, parts })
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
        let mut columns: Vec<Vec<ArrayRef>> = vec![Vec::new(); self.columns];
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
                part.file.seek(SeekFrom::Start(piece.offset)).map_err(Error::spill)?;
                part.file.read_exact(&mut bytes).map_err(Error::spill)?;
                encoded.push(bytes);
            }
            let arrays: Vec<ArrayRef> =
                encoded.into_par_iter().map(|bytes| decode(bytes).map_err(Error::spill)).collect::<Result<_>>()?;
            some.iter().zip(arrays).for_each(|(piece, array)| columns[piece.column].push(array));
        }
        part.file = Box::new(Cursor::new(Vec::new()));
        Ok(Payload::from_arrays(columns))
    }
}

fn encode(array: ArrayRef) -> std::result::Result<Vec<u8>, ArrowError> {
    let schema = Arc::new(Schema::new(vec![Field::new("c", array.data_type().clone(), true)]));
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME))?;
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &schema, options)?;
    writer.write(&RecordBatch::try_new(Arc::clone(&schema), vec![array])?)?;
    writer.into_inner()
}

fn decode(bytes: Vec<u8>) -> std::result::Result<ArrayRef, ArrowError> {
    let mut reader = StreamReader::try_new(Cursor::new(bytes), None)?;
    let batch = reader.next().ok_or_else(|| ArrowError::IpcError("an empty piece".into()))??;
    Ok(Arc::clone(batch.column(0)))
}
