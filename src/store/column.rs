//! A column of numbers that grows at its end: in memory, or in a scratch file where there is no room.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::ops::Range;
use std::path::Path;

use super::scratch::ScratchFile;
use crate::error::Result;

pub enum Column<T> {
    Held(Vec<T>),
    Filed(Filed<T>),
}

/// In a nameless file.
pub struct Filed<T> {
    file: ScratchFile,
    of: PhantomData<T>,
}

/// A number as little-endian bytes.
pub trait Number: Copy {
    const BYTES: usize;
    fn put(self, into: &mut Vec<u8>);
    fn get(bytes: &[u8]) -> Self;
}

macro_rules! number {
    ($number:ty) => {
        impl Number for $number {
            const BYTES: usize = size_of::<$number>();

            fn put(self, into: &mut Vec<u8>) {
                into.extend_from_slice(&self.to_le_bytes());
            }

            fn get(bytes: &[u8]) -> Self {
                bytes.try_into().map_or(<$number>::default(), <$number>::from_le_bytes)
            }
        }
    };
}

number!(u32);
number!(i64);
number!(f32);

impl Number for bool {
    const BYTES: usize = 1;

    fn put(self, into: &mut Vec<u8>) {
        into.push(self.into());
    }

    fn get(bytes: &[u8]) -> Self {
        bytes.first().is_some_and(|byte| *byte != 0)
    }
}

/// Numbers that are written or read at a time.
const PIECE: usize = 1 << 17;

impl<T: Number> Column<T> {
    /// An empty column, in a file in `folder` if there is one.
    pub fn new(folder: Option<&Path>) -> Result<Self> {
        Ok(match folder {
            None => Column::Held(Vec::new()),
            Some(folder) => Column::Filed(Filed { file: ScratchFile::create_in(folder)?, of: PhantomData }),
        })
    }

    pub fn len(&self) -> usize {
        match self {
            Column::Held(numbers) => numbers.len(),
            Column::Filed(filed) => (filed.file.bytes() / T::BYTES as u64) as usize,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn extend(&mut self, more: &[T]) -> Result<()> {
        match self {
            Column::Held(numbers) => numbers.extend_from_slice(more),
            Column::Filed(filed) => {
                let mut bytes = Vec::with_capacity(more.len().min(PIECE) * T::BYTES);
                for piece in more.chunks(PIECE) {
                    bytes.clear();
                    piece.iter().for_each(|number| number.put(&mut bytes));
                    filed.file.append(&bytes)?;
                }
            }
        }
        Ok(())
    }

    /// The numbers at these places, which must be there.
    pub fn read(&self, places: Range<usize>) -> Result<Cow<'_, [T]>> {
        let filed = match self {
            Column::Held(numbers) => return Ok(Cow::Borrowed(&numbers[places])),
            Column::Filed(filed) => filed,
        };
        let mut numbers = Vec::with_capacity(places.len());
        let mut bytes = vec![0; PIECE.min(places.len()) * T::BYTES];
        for start in places.clone().step_by(PIECE) {
            let piece = &mut bytes[..PIECE.min(places.end - start) * T::BYTES];
            filed.file.read_at((start * T::BYTES) as u64, piece)?;
            numbers.extend(piece.chunks_exact(T::BYTES).map(T::get));
        }
        Ok(Cow::Owned(numbers))
    }

    /// All numbers, in memory.
    pub fn into_held(self) -> Result<Vec<T>> {
        match self {
            Column::Held(numbers) => Ok(numbers),
            filed => Ok(filed.read(0..filed.len())?.into_owned()),
        }
    }

    /// Bytes in a file.
    pub fn filed_bytes(&self) -> u64 {
        if let Column::Filed(filed) = self { filed.file.bytes() } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_at_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let codes: Vec<u32> = (0..PIECE as u32 * 2 + 3).map(|n| n.wrapping_mul(0x9e37_79b9)).collect();
        for folder in [None, Some(dir.path())] {
            let mut column = Column::new(folder).unwrap();
            assert!(column.is_empty());
            column.extend(&codes[..5]).unwrap();
            column.extend(&codes[5..]).unwrap();
            assert_eq!(column.len(), codes.len());
            assert_eq!(*column.read(4..PIECE + 9).unwrap(), codes[4..PIECE + 9]);
            assert!(column.read(7..7).unwrap().is_empty());
            assert_eq!(column.filed_bytes(), folder.map_or(0, |_| 4 * codes.len() as u64));
            assert_eq!(column.into_held().unwrap(), codes);

            let mut times = Column::new(folder).unwrap();
            times.extend(&[i64::MIN, -1, 0, i64::MAX]).unwrap();
            assert_eq!(*times.read(0..4).unwrap(), [i64::MIN, -1, 0, i64::MAX]);
            let mut marks = Column::new(folder).unwrap();
            marks.extend(&[true, false, true]).unwrap();
            assert_eq!(*marks.read(1..3).unwrap(), [false, true]);
        }
    }
}
