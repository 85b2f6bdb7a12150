//! The pieces of a split, between `scatter` and `write`: one file of bytes, and one that tells whose they are.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use arrow::datatypes::{UInt32Type, UInt64Type};

use super::bundle::{self, Bundle};
use crate::error::{Error, Place, Result};
use crate::payload::{Piece, SeenValue};
use crate::store::{self, Blob};

/// What a column's request was seen with in a split; `request` is the code in the whole input.
pub type Seen = (u32, SeenValue);

/// Takes the pieces of a split in, in any order.
pub struct PieceWriter<'a> {
    path: &'a Path,
    written: Mutex<Written<'a>>,
}

/// What has come, each piece with its part.
struct Written<'a> {
    file: &'a mut File,
    end: u64,
    pieces: Vec<(u32, Piece)>,
}

impl<'a> PieceWriter<'a> {
    pub fn new(path: &'a Path, file: &'a mut File) -> Self {
        PieceWriter { path, written: Mutex::new(Written { file, end: 0, pieces: Vec::new() }) }
    }

    /// Takes a piece of a part.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn put(&self, part: usize, piece: Piece, bytes: &[u8]) -> Result<()> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let Written { file, end, pieces } = &mut *written;
        file.write_all(bytes).map_err(|e| Error::io("write", self.path, e))?;
        pieces.push((part as u32, Piece { place: *end, ..piece }));
        *end += bytes.len() as u64;
        Ok(())
    }

    /// What tells whose pieces are where, and what requests were seen with.
    pub fn index(self, seen: &[Seen]) -> Bundle {
        let Written { mut pieces, .. } = self.written.into_inner().unwrap_or_else(PoisonError::into_inner);
        pieces.sort_unstable();
        let narrow = |of: &dyn Fn(&(u32, Piece)) -> u32| pieces.iter().map(of).collect::<Vec<u32>>();
        let wide = |of: &dyn Fn(&Piece) -> u64| pieces.iter().map(|(_, piece)| of(piece)).collect::<Vec<u64>>();
        let of_seen = |of: &dyn Fn(&Seen) -> u32| seen.iter().map(of).collect::<Vec<u32>>();
        Bundle::default()
            .numbers::<UInt32Type>("part", narrow(&|(part, _)| *part))
            .numbers::<UInt32Type>("column", narrow(&|(_, piece)| piece.column as u32))
            .numbers::<UInt32Type>("first_row", narrow(&|(_, piece)| piece.first_row))
            .numbers::<UInt32Type>("rows", narrow(&|(_, piece)| piece.rows))
            .numbers::<UInt64Type>("place", wide(&|piece| piece.place))
            .numbers::<UInt64Type>("bytes", wide(&|piece| piece.bytes as u64))
            .numbers::<UInt32Type>("seen_column", of_seen(&|(column, _)| *column))
            .numbers::<UInt32Type>("seen_request", of_seen(&|(_, seen)| seen.request))
            .numbers::<UInt32Type>("seen_row", of_seen(&|(_, seen)| seen.input_row))
            .hashes("seen_digest", seen.iter().map(|(_, seen)| seen.digest))
    }
}

/// The pieces of a part in a split's file, in order.
///
/// # Errors
/// A file that can't be read, or pieces that lie outside it.
pub fn pieces_of(index: &Path, bytes: &Path, part: usize) -> Result<Vec<Piece>> {
    let all = store::len(bytes)?;
    let mut own = Vec::new();
    for bundle in bundle::read(index)? {
        let bundle = bundle?;
        let column = bundle.get::<UInt32Type>("column")?;
        let (first_row, rows) = (bundle.get::<UInt32Type>("first_row")?, bundle.get::<UInt32Type>("rows")?);
        let (place, bytes) = (bundle.get::<UInt64Type>("place")?, bundle.get::<UInt64Type>("bytes")?);
        for (k, of) in bundle.get::<UInt32Type>("part")?.into_iter().enumerate() {
            if of as usize != part {
                continue;
            }
            if place[k].checked_add(bytes[k]).is_none_or(|end| end > all) {
                return Err(bundle.damaged("pieces lie outside their file"));
            }
            own.push(Piece {
                column: column[k] as usize,
                first_row: first_row[k],
                rows: rows[k],
                place: place[k],
                bytes: bytes[k] as usize,
            });
        }
    }
    Ok(own)
}

/// What requests were seen with in a split.
///
/// # Errors
/// A file that can't be read.
pub fn seen_in(index: &Path) -> Result<Vec<Seen>> {
    let mut all = Vec::new();
    for bundle in bundle::read(index)? {
        let bundle = bundle?;
        let (column, request) = (bundle.get::<UInt32Type>("seen_column")?, bundle.get::<UInt32Type>("seen_request")?);
        let (row, digest) = (bundle.get::<UInt32Type>("seen_row")?, bundle.get_hashes("seen_digest")?);
        let values = request.into_iter().zip(row).zip(digest);
        let seen = |((request, input_row), digest)| SeenValue { request, input_row, digest };
        all.extend(column.into_iter().zip(values.map(seen)));
    }
    Ok(all)
}

/// Fills in the bytes of a piece.
///
/// # Errors
/// A file that can't be read.
pub fn read(file: &Blob, path: &Path, piece: &Piece, bytes: &mut [u8]) -> Result<()> {
    file.read_at(piece.place, bytes)
        .map_err(|e| Error::input(Place::file(path), format!("it can't be read ({e})"), "scatter the split again"))
}
