//! Columns of numbers that wait in a scratch file until they are needed again.

use std::marker::PhantomData;
use std::path::Path;

use super::scratch::ScratchFile;
use crate::error::Result;

/// A nameless file; each column is written once and read once.
pub struct Shelf(ScratchFile);

/// A column on a shelf.
#[derive(Debug)]
pub struct Waiting<T> {
    place: u64,
    len: usize,
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
                bytes.try_into().map_or(0, <$number>::from_le_bytes)
            }
        }
    };
}

number!(u32);
number!(i64);

/// Numbers that are written or read at a time.
const PIECE: usize = 1 << 17;

impl Shelf {
    /// A shelf in a folder for columns of so many bytes, if they are more than there is room for.
    pub fn beyond(room: u64, bytes: usize, dir: &Path) -> Result<Option<Self>> {
        (bytes as u64 > room).then(|| ScratchFile::create_in(dir).map(Shelf)).transpose()
    }

    /// Writes a column, and lets go of it.
    pub fn put<T: Number>(&mut self, column: Vec<T>) -> Result<Waiting<T>> {
        let waiting = Waiting { place: self.0.bytes(), len: column.len(), of: PhantomData };
        let mut bytes = Vec::with_capacity(PIECE * T::BYTES);
        for piece in column.chunks(PIECE) {
            bytes.clear();
            piece.iter().for_each(|number| number.put(&mut bytes));
            self.0.append(&bytes)?;
        }
        Ok(waiting)
    }

    /// The column as it was.
    pub fn take<T: Number>(&self, waiting: Waiting<T>) -> Result<Vec<T>> {
        let mut column = Vec::with_capacity(waiting.len);
        let mut bytes = vec![0; PIECE * T::BYTES];
        while column.len() < waiting.len {
            let piece = &mut bytes[..PIECE.min(waiting.len - column.len()) * T::BYTES];
            self.0.read_at(waiting.place + (column.len() * T::BYTES) as u64, piece)?;
            column.extend(piece.chunks_exact(T::BYTES).map(T::get));
        }
        Ok(column)
    }

    /// Bytes written.
    pub fn bytes(&self) -> u64 {
        self.0.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_come_back_as_they_were() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Shelf::beyond(7, 7, dir.path()).unwrap().is_none());
        let mut shelf = Shelf::beyond(6, 7, dir.path()).unwrap().unwrap();
        let codes: Vec<u32> = (0..PIECE as u32 * 2 + 3).map(|n| n.wrapping_mul(0x9e37_79b9)).collect();
        let times: Vec<i64> = vec![i64::MIN, -1, 0, i64::MAX];
        let (waiting, none) = (shelf.put(codes.clone()).unwrap(), shelf.put(Vec::<u32>::new()).unwrap());
        let waiting_times = shelf.put(times.clone()).unwrap();
        assert_eq!(shelf.bytes(), codes.len() as u64 * 4 + 32);
        assert_eq!(shelf.take(waiting_times).unwrap(), times);
        assert_eq!(shelf.take(waiting).unwrap(), codes);
        assert!(shelf.take(none).unwrap().is_empty());
    }
}
