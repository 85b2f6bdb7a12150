//! A file that is open for reading.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use parquet::errors::Result as ParquetResult;
use parquet::file::reader::{ChunkReader, Length};

/// Ranges of a file's bytes, for several threads at once.
pub trait Ranged: Send + Sync {
    /// What changes when the file is written anew.
    fn version(&self) -> Version;

    /// Fills `into` with the bytes from `place` on.
    ///
    /// # Errors
    /// The file can't be read, or ends before.
    fn read_at(&self, place: u64, into: &mut [u8]) -> io::Result<()>;

    /// A file of this machine with the same bytes at the same places.
    ///
    /// # Errors
    /// There is none, and none can be made.
    fn local(&self) -> io::Result<File>;
}

/// A file's length, and when it was written, where that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    pub bytes: u64,
    pub modified: Option<SystemTime>,
}

/// A file that is open: it may be handed to several threads, and to the Parquet reader.
#[derive(Clone)]
pub struct Blob(Arc<dyn Ranged>);

impl Blob {
    pub fn new(ranged: impl Ranged + 'static) -> Self {
        Blob(Arc::new(ranged))
    }

    /// What it was when it was opened.
    pub fn version(&self) -> Version {
        self.0.version()
    }

    /// Fills `into` with the bytes from `place` on.
    ///
    /// # Errors
    /// The file can't be read, or ends before.
    pub fn read_at(&self, place: u64, into: &mut [u8]) -> io::Result<()> {
        self.0.read_at(place, into)
    }

    /// A file of this machine with the same bytes at the same places, for readers that take nothing else.
    ///
    /// # Errors
    /// There is none, and none can be made.
    pub fn local(&self) -> io::Result<File> {
        self.0.local()
    }

    /// Its bytes from `place` on, in order.
    pub fn reader(&self, place: u64) -> BlobReader {
        BlobReader { blob: self.clone(), place }
    }
}

impl Length for Blob {
    fn len(&self) -> u64 {
        self.version().bytes
    }
}

impl ChunkReader for Blob {
    type T = io::BufReader<BlobReader>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(io::BufReader::new(self.reader(start)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        // A length that is a lie must not be allocated.
        if start.checked_add(length as u64).is_none_or(|end| end > self.len()) {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let mut bytes = vec![0; length];
        self.read_at(start, &mut bytes)?;
        Ok(bytes.into())
    }
}

/// Reads on from a place.
pub struct BlobReader {
    blob: Blob,
    place: u64,
}

impl Read for BlobReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.blob.len().saturating_sub(self.place);
        let number = usize::try_from(left).unwrap_or(usize::MAX).min(into.len());
        self.blob.read_at(self.place, &mut into[..number])?;
        self.place += number as u64;
        Ok(number)
    }
}

impl Seek for BlobReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (from, by) = match to {
            SeekFrom::Start(place) => (place, 0),
            SeekFrom::End(by) => (self.blob.len(), by),
            SeekFrom::Current(by) => (self.place, by),
        };
        self.place = from.checked_add_signed(by).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.place)
    }
}
