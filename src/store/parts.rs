//! Records, handed out to parts: what the memory has no room for waits in a scratch file, written once and read
//! once.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::scratch::ScratchFile;
use crate::error::Result;

/// Bytes by which a part grows at least.
const LEAST: usize = 1 << 10;

/// Bytes that are read at a time where a part is not held whole.
const PIECE: usize = 1 << 20;

/// Most parts into which records are best handed out: each is a buffer while they come, and a file is read in as many pieces.
pub const MOST_PARTS: usize = 256;

pub struct Parts {
    /// Bytes that are held, of all parts together.
    room: usize,
    held: usize,
    parts: Vec<Mutex<Part>>,
    folder: PathBuf,
    file: Option<ScratchFile>,
}

#[derive(Default)]
struct Part {
    held: Vec<u8>,
    /// Place and length in the scratch file.
    filed: Vec<(u64, usize)>,
}

impl Parts {
    /// `number` parts. Up to `room` bytes are held, the others go into a nameless file in `folder`.
    pub fn new(number: usize, room: u64, folder: &Path) -> Self {
        Parts {
            room: usize::try_from(room).unwrap_or(usize::MAX),
            held: 0,
            parts: std::iter::repeat_with(Mutex::default).take(number).collect(),
            folder: folder.to_path_buf(),
            file: None,
        }
    }

    /// Appends a record to a part.
    pub fn push(&mut self, part: usize, record: &[u8]) -> Result<()> {
        let held = &mut self.parts[part].get_mut().unwrap_or_else(PoisonError::into_inner).held;
        if held.capacity() - held.len() < record.len() {
            // Not to twice as much: all parts together are what the room is for.
            held.reserve_exact((held.len() / 4).max(LEAST).max(record.len()));
        }
        held.extend_from_slice(record);
        self.held += record.len();
        if self.held > self.room { self.file_all() } else { Ok(()) }
    }

    /// Appends a record of numbers, which [`words`] reads, to a part.
    pub fn push_words<const N: usize>(&mut self, part: usize, record: [u32; N]) -> Result<()> {
        let bytes = record.map(u32::to_le_bytes);
        self.push(part, bytes.as_flattened())
    }

    /// Moves what is held into the file.
    pub fn file_all(&mut self) -> Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(ScratchFile::create_in(&self.folder)?),
        };
        let parts = self.parts.iter_mut().map(|part| part.get_mut().unwrap_or_else(PoisonError::into_inner));
        for part in parts.filter(|part| !part.held.is_empty()) {
            part.filed.push((file.append(&part.held)?, part.held.len()));
            part.held = Vec::new();
        }
        self.held = 0;
        Ok(())
    }

    /// Moves what is held into the file if there is one already: what comes next takes memory of its own.
    pub fn file_rest(&mut self) -> Result<()> {
        if self.file.is_none() { Ok(()) } else { self.file_all() }
    }

    /// A part's records, in the order in which they came; the part is empty then, if nothing of it is in the file.
    pub fn take(&self, part: usize) -> Result<Vec<u8>> {
        let mut part = self.parts[part].lock().unwrap_or_else(PoisonError::into_inner);
        if part.filed.is_empty() { Ok(std::mem::take(&mut part.held)) } else { self.joined(&part) }
    }

    /// A part's records, in the order in which they came; the part stays as it is.
    pub fn read(&self, part: usize) -> Result<Vec<u8>> {
        self.joined(&self.parts[part].lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Calls `each` with a part's records, of `record` bytes each, in the order in which they came: a few at a time, and none is
    /// held for longer.
    pub fn each_piece(&self, part: usize, record: usize, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let part = self.parts[part].lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = vec![0; (PIECE / record).max(1) * record];
        for (place, len) in &part.filed {
            for start in (0..*len).step_by(bytes.len()) {
                let few = bytes.len().min(len - start);
                let piece = &mut bytes[..few];
                if let Some(file) = &self.file {
                    file.read_at(place + start as u64, piece)?;
                }
                each(piece)?;
            }
        }
        each(&part.held)
    }

    /// Bytes of a part, in memory and in the file.
    pub fn bytes(&self, part: usize) -> usize {
        let part = self.parts[part].lock().unwrap_or_else(PoisonError::into_inner);
        part.filed.iter().map(|(_, len)| len).sum::<usize>() + part.held.len()
    }

    fn joined(&self, Part { held, filed }: &Part) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(filed.iter().map(|(_, len)| len).sum::<usize>() + held.len());
        for (place, len) in filed {
            let start = bytes.len();
            bytes.resize(start + len, 0);
            if let Some(file) = &self.file {
                file.read_at(*place, &mut bytes[start..])?;
            }
        }
        bytes.extend(held);
        Ok(bytes)
    }

    /// Number of parts.
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Bytes in the file.
    pub fn filed_bytes(&self) -> u64 {
        self.file.as_ref().map_or(0, ScratchFile::bytes)
    }
}

/// Records of `N` numbers each.
pub fn words<const N: usize>(records: &[u8]) -> impl Iterator<Item = [u32; N]> + '_ {
    let word = |record: &[u8], k: usize| record[4 * k..4 * k + 4].try_into().map_or(0, u32::from_le_bytes);
    records.chunks_exact(4 * N).map(move |record| std::array::from_fn(|k| word(record, k)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_gets_its_records_in_order_whatever_the_room() {
        let dir = tempfile::tempdir().unwrap();
        for room in [0, 50, 1 << 20] {
            let mut parts = Parts::new(3, room, dir.path());
            for number in 0..1_000u32 {
                parts.push_words(number as usize % 2, [number]).unwrap();
                assert!(parts.held as u64 <= room);
            }
            assert_eq!(parts.filed_bytes() > 0, room < 4_000);
            for part in 0..3u32 {
                let expected: Vec<[u32; 1]> = (part..1_000).step_by(2).filter(|_| part < 2).map(|n| [n]).collect();
                let mut pieces = Vec::new();
                let keep = |piece: &[u8]| {
                    pieces.extend_from_slice(piece);
                    Ok(())
                };
                parts.each_piece(part as usize, 4, keep).unwrap();
                assert_eq!(parts.bytes(part as usize), pieces.len());
                assert_eq!(words(&pieces).collect::<Vec<_>>(), expected);
                assert_eq!(words(&parts.read(part as usize).unwrap()).collect::<Vec<_>>(), expected);
                assert_eq!(words(&parts.take(part as usize).unwrap()).collect::<Vec<_>>(), expected);
            }
        }
    }
}
