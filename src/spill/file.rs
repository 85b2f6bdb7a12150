//! A scratch file: written at its end, read anywhere, gone with the process.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::error::{Error, Result};
use crate::store;

pub struct ScratchFile {
    file: File,
    end: u64,
}

impl ScratchFile {
    /// A nameless file in a folder.
    ///
    /// # Errors
    /// The folder can't be written.
    pub fn create_in(dir: &Path) -> Result<Self> {
        let file = store::scratch(dir)?;
        Ok(ScratchFile { file, end: 0 })
    }

    /// Writes bytes at the end; gives their place.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn append(&mut self, bytes: &[u8]) -> Result<u64> {
        self.file.write_all(bytes).map_err(Error::scratch)?;
        let place = self.end;
        self.end += bytes.len() as u64;
        Ok(place)
    }

    /// Reads as many bytes as `into` takes.
    ///
    /// # Errors
    /// The file can't be read, or ends before.
    pub fn read_at(&self, place: u64, into: &mut [u8]) -> Result<()> {
        self.file.read_exact_at(into, place).map_err(Error::scratch)
    }

    /// Bytes written.
    pub fn bytes(&self) -> u64 {
        self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_at_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let mut scratch = ScratchFile::create_in(dir.path()).unwrap();
        let places = [scratch.append(b"one").unwrap(), scratch.append(b"three").unwrap()];
        let mut five = [0; 5];
        scratch.read_at(places[1], &mut five).unwrap();
        assert_eq!(&five, b"three");
        assert!(scratch.read_at(places[1] + 1, &mut five).is_err());
        assert!(crate::store::list_dir(dir.path()).unwrap().is_empty());
    }
}
