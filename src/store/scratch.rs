//! A scratch file: written at its end, read anywhere, gone with the process.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::error::{Error, Result};

pub struct ScratchFile {
    file: File,
    end: u64,
}

impl ScratchFile {
    /// A nameless file in a folder.
    pub fn create_in(dir: &Path) -> Result<Self> {
        let file = super::scratch(dir)?;
        Ok(ScratchFile { file, end: 0 })
    }

    /// Writes bytes at the end; gives their place.
    pub fn append(&mut self, bytes: &[u8]) -> Result<u64> {
        self.file.write_all(bytes).map_err(Error::scratch)?;
        let place = self.end;
        self.end += bytes.len() as u64;
        Ok(place)
    }

    /// Reads as many bytes as `into` takes.
    pub fn read_at(&self, place: u64, into: &mut [u8]) -> Result<()> {
        self.file.read_exact_at(into, place).map_err(Error::scratch)
    }

    /// Bytes written.
    pub fn bytes(&self) -> u64 {
        self.end
    }
}

/// The folder that holds a path, or the nearest above it that exists; the system's for temporary files where nobody may write
/// there, as a plan of somebody else's output needs none of it.
pub fn scratch_folder(path: &Path) -> PathBuf {
    let above = path.ancestors().skip(1).find(|p| p.is_dir());
    let folder = above.map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    if access(&folder, Access::WRITE_OK).is_ok() { folder } else { std::env::temp_dir() }
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
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        assert_eq!(scratch_folder(&dir.path().join("a/b/c")), dir.path());
        assert_eq!(scratch_folder(Path::new("dataset")), Path::new("."));
    }
}
