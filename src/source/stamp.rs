//! What tells whether a file is still the one whose footer was read.

use std::io::Read;
use std::path::Path;
use std::time::SystemTime;

use xxhash_rust::xxh3::Xxh3;

use crate::error::{Error, Place, Result};
use crate::store::{self, Blob, Version};

/// Bytes behind a footer: its length, and `PAR1`.
const TAIL: u64 = 8;

/// A file as it stood when its footer was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    pub bytes: u64,
    modified: Option<SystemTime>,
    /// XXH3-128 of the footer and the 8 bytes behind it, in lower-case hex.
    pub footer_xxh3_128: String,
}

impl Stamp {
    /// # Errors
    /// The file can't be read.
    pub fn of(path: &Path, file: &Blob) -> Result<Self> {
        let fail = |e| Error::io("read", path, e);
        let version = file.version();
        let bytes = version.bytes;
        let read = |at: u64, into: &mut dyn FnMut(&[u8])| -> std::io::Result<()> {
            let mut piece = vec![0; 1 << 16];
            let mut rest = file.reader(at);
            loop {
                match rest.read(&mut piece)? {
                    0 => return Ok(()),
                    n => into(&piece[..n]),
                }
            }
        };
        let mut tail = Vec::new();
        read(bytes.saturating_sub(TAIL), &mut |piece| tail.extend_from_slice(piece)).map_err(fail)?;
        // A length that is a lie stands for the whole file.
        let length = tail.first_chunk::<4>().map_or(0, |length| u64::from(u32::from_le_bytes(*length)));
        let mut digest = Xxh3::new();
        read(bytes.saturating_sub(TAIL + length), &mut |piece| digest.update(piece)).map_err(fail)?;
        Ok(Stamp { bytes, modified: version.modified, footer_xxh3_128: format!("{:032x}", digest.digest128()) })
    }

    /// Looks at the file again, though not at its footer.
    ///
    /// # Errors
    /// Its size or time has changed, or it is gone.
    pub fn check(&self, path: &Path) -> Result<()> {
        let now = store::open(path)?.version();
        if now == (Version { bytes: self.bytes, modified: self.modified }) {
            return Ok(());
        }
        Err(Error::input(Place::file(path), "it changed while it was read", "run again once nobody writes to it"))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::Duration;

    use xxhash_rust::xxh3::xxh3_128;

    use super::*;

    #[test]
    fn a_file_that_grows_or_is_written_anew_is_seen() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"PAR1 pages footer\x06\0\0\0PAR1").unwrap();
        let stamp = || Stamp::of(file.path(), &store::open(file.path()).unwrap()).unwrap();
        let first = stamp();
        assert_eq!((first.bytes, &first), (25, &stamp()));
        assert_eq!(first.footer_xxh3_128, format!("{:032x}", xxh3_128(b"footer\x06\0\0\0PAR1")));
        first.check(file.path()).unwrap();
        let later = first.modified.unwrap() + Duration::from_secs(1);
        file.as_file().set_modified(later).unwrap();
        assert!(first.check(file.path()).is_err());
        let second = stamp();
        file.as_file().set_len(26).unwrap();
        file.as_file().set_modified(later).unwrap();
        let told = second.check(file.path()).unwrap_err().to_string();
        assert!(told.contains("it changed while it was read; run again"), "{told}");
    }

    #[test]
    fn a_length_that_is_a_lie_reads_no_more_than_there_is() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"\xff\xff\xff\xffPAR1").unwrap();
        let stamp = Stamp::of(file.path(), &store::open(file.path()).unwrap()).unwrap();
        assert_eq!(stamp.footer_xxh3_128, format!("{:032x}", xxh3_128(b"\xff\xff\xff\xffPAR1")));
        file.as_file().set_len(0).unwrap();
        assert_eq!(Stamp::of(file.path(), &store::open(file.path()).unwrap()).unwrap().bytes, 0);
    }
}
