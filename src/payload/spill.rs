//! Pieces of all parts in scratch files, a file a part: written once, read once.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use arrow::datatypes::DataType;

use super::gather::{Decoder, Payload};
use super::pieces::Piece;
use super::scatter::{Wanted, gathered, scatter};
use crate::error::Result;
use crate::spill::ScratchFile;

/// Decoded rows by part of the output.
pub struct Spill {
    types: Vec<DataType>,
    parts: Vec<Mutex<Part>>,
}

struct Part {
    /// `None` once it was loaded.
    file: Option<ScratchFile>,
    pieces: Vec<Piece>,
}

impl Spill {
    /// Scatters columns of these types, compressed or not, as the decoder brings them, over `parts` parts, whose files lie in `folder`.
    ///
    /// # Errors
    /// What the decoder says, or a scratch file that can't be written.
    pub fn write(
        decoder: &impl Decoder,
        (types, compressed): (Vec<DataType>, &[bool]),
        parts: usize,
        folder: &Path,
        wanted: &impl Wanted,
    ) -> Result<Self> {
        let part = |_| Ok(Mutex::new(Part { file: Some(ScratchFile::create_in(folder)?), pieces: Vec::new() }));
        let spill = Spill { types, parts: (0..parts).map(part).collect::<Result<_>>()? };
        scatter(decoder, 0..decoder.spans().len(), compressed, wanted, &|part, piece, bytes| {
            let mut part = spill.lock(part);
            let Some(file) = &mut part.file else { return Ok(()) };
            let place = file.append(&bytes)?;
            part.pieces.push(Piece { place, ..piece });
            Ok(())
        })?;
        Ok(spill)
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.types.len()
    }

    /// Bytes in scratch files.
    pub fn bytes(&self) -> u64 {
        (0..self.parts.len()).map(|part| self.lock(part).file.as_ref().map_or(0, ScratchFile::bytes)).sum()
    }

    /// The columns of a part, which has so many rows of each; its scratch file is given up.
    ///
    /// # Errors
    /// A scratch file that can't be read, or that lacks a row.
    pub fn load(&self, part: usize, rows: &[usize]) -> Result<Payload> {
        let mut part = self.lock(part);
        let (file, mut pieces) = (part.file.take(), std::mem::take(&mut part.pieces));
        pieces.sort_unstable();
        gathered(&pieces, &self.types, rows, |piece, bytes| {
            file.iter().try_for_each(|file| file.read_at(piece.place, bytes))
        })
    }

    fn lock(&self, part: usize) -> std::sync::MutexGuard<'_, Part> {
        self.parts[part].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
