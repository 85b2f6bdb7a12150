//! A column of numbers that grows at its end: in memory, or in a scratch file where there is no room.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::ops::Range;

use super::Room;
use super::file::ScratchFile;
use super::number::{Number, bytes_of};
use crate::error::Result;

pub struct Column<T>(Store<T>);

enum Store<T> {
    Held(Vec<T>),
    /// In a nameless file.
    Filed(ScratchFile, PhantomData<T>),
}

impl<T> From<Vec<T>> for Column<T> {
    fn from(numbers: Vec<T>) -> Self {
        Column(Store::Held(numbers))
    }
}

/// Numbers that are written or read at a time.
const PIECE: usize = 1 << 17;

impl<T: Number> Column<T> {
    /// An empty column.
    ///
    /// # Errors
    /// No file can be made where the room has none for it.
    pub fn new(room: &Room) -> Result<Self> {
        Ok(Column(match room.column_folder() {
            None => Store::Held(Vec::new()),
            Some(folder) => Store::Filed(ScratchFile::create_in(folder)?, PhantomData),
        }))
    }

    pub fn len(&self) -> usize {
        match &self.0 {
            Store::Held(numbers) => numbers.len(),
            Store::Filed(file, _) => (file.bytes() / T::BYTES as u64) as usize,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// # Errors
    /// The file can't be written.
    pub fn extend(&mut self, more: &[T]) -> Result<()> {
        match &mut self.0 {
            Store::Held(numbers) => numbers.extend_from_slice(more),
            Store::Filed(file, _) => {
                more.chunks(PIECE).try_for_each(|piece| file.append(&bytes_of(piece)).map(drop))?;
            }
        }
        Ok(())
    }

    /// Makes ready for so many more numbers, if the column is held.
    pub fn reserve(&mut self, more: usize) {
        if let Store::Held(numbers) = &mut self.0 {
            numbers.reserve_exact(more);
        }
    }

    /// Appends numbers, which are not copied if the column is new.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn append(&mut self, more: Vec<T>) -> Result<()> {
        match &mut self.0 {
            Store::Held(numbers) if numbers.capacity() == 0 => *numbers = more,
            _ => self.extend(&more)?,
        }
        Ok(())
    }

    /// The numbers at these places, which must be there.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn read(&self, places: Range<usize>) -> Result<Cow<'_, [T]>> {
        let file = match &self.0 {
            Store::Held(numbers) => return Ok(Cow::Borrowed(&numbers[places])),
            Store::Filed(file, _) => file,
        };
        let mut numbers = Vec::with_capacity(places.len());
        let mut bytes = vec![0; PIECE.min(places.len()) * T::BYTES];
        for start in places.clone().step_by(PIECE) {
            let piece = &mut bytes[..PIECE.min(places.end - start) * T::BYTES];
            file.read_at((start * T::BYTES) as u64, piece)?;
            numbers.extend(piece.chunks_exact(T::BYTES).map(T::get));
        }
        Ok(Cow::Owned(numbers))
    }

    /// Calls `each` with all numbers, at most `size` at a time, and the place of the first of them.
    ///
    /// # Errors
    /// The file can't be read, or what `each` says.
    pub fn each_piece(&self, size: usize, mut each: impl FnMut(usize, &[T]) -> Result<()>) -> Result<()> {
        if let Store::Held(numbers) = &self.0 {
            return each(0, numbers);
        }
        let all = self.len();
        (0..all).step_by(size.max(1)).try_for_each(|start| each(start, &self.read(start..all.min(start + size))?))
    }

    /// All numbers, in memory.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn into_held(self) -> Result<Vec<T>> {
        match self.0 {
            Store::Held(numbers) => Ok(numbers),
            filed => {
                let column = Column(filed);
                Ok(column.read(0..column.len())?.into_owned())
            }
        }
    }

    /// The column without the numbers that `keep` does not tell to keep.
    ///
    /// # Errors
    /// The file can't be read, or a new one written.
    pub fn select(self, keep: &[bool], room: &Room) -> Result<Self> {
        fn pick<T>(numbers: &mut Vec<T>, keep: &[bool]) {
            let mut keep = keep.iter();
            numbers.retain(|_| keep.next().is_some_and(|keep| *keep));
        }
        if let Store::Held(mut numbers) = self.0 {
            pick(&mut numbers, keep);
            numbers.shrink_to_fit();
            return Ok(Column(Store::Held(numbers)));
        }
        let mut kept = Column::new(room)?;
        self.each_piece(PIECE, |start, piece| {
            let mut numbers = piece.to_vec();
            pick(&mut numbers, &keep[start..start + piece.len()]);
            kept.extend(&numbers)
        })?;
        Ok(kept)
    }

    /// Bytes in a file.
    pub fn filed_bytes(&self) -> u64 {
        if let Store::Filed(file, _) = &self.0 { file.bytes() } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_at_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let codes: Vec<u32> = (0..PIECE as u32 * 2 + 3).map(|n| n.wrapping_mul(0x9e37_79b9)).collect();
        for room in [Room::unlimited(), Room::filed(0, dir.path().into(), 7)] {
            let mut column = Column::new(&room).unwrap();
            assert!(column.is_empty());
            column.extend(&codes[..5]).unwrap();
            column.extend(&codes[5..]).unwrap();
            assert_eq!(column.len(), codes.len());
            assert_eq!(*column.read(4..PIECE + 9).unwrap(), codes[4..PIECE + 9]);
            assert!(column.read(7..7).unwrap().is_empty());
            assert_eq!(column.filed_bytes(), if room.is_on_file() { 4 * codes.len() as u64 } else { 0 });
            let keep: Vec<bool> = codes.iter().map(|code| code % 3 == 0).collect();
            let odd: Vec<u32> = codes.iter().copied().filter(|code| code % 3 == 0).collect();
            assert_eq!(column.select(&keep, &room).unwrap().into_held().unwrap(), odd);

            let mut times = Column::new(&room).unwrap();
            times.extend(&[i64::MIN, -1, 0, i64::MAX]).unwrap();
            assert_eq!(*times.read(0..4).unwrap(), [i64::MIN, -1, 0, i64::MAX]);
            let mut marks = Column::new(&room).unwrap();
            marks.extend(&[true, false, true]).unwrap();
            assert_eq!(*marks.read(1..3).unwrap(), [false, true]);
        }
    }
}
