//! Digests of files, taken while they are written and once more from the disk.

use std::io::{Read, Write};
use std::path::Path;

use xxhash_rust::xxh3::Xxh3;

use super::Sink;
use crate::error::{Error, Result};

/// A file that knows its length and its 128-bit XXH3 digest.
pub struct DigestWriter {
    file: Box<dyn Sink>,
    digest: Box<Xxh3>,
    bytes: u64,
}

impl DigestWriter {
    pub fn new(file: Box<dyn Sink>) -> Self {
        DigestWriter { file, digest: Box::new(Xxh3::new()), bytes: 0 }
    }

    /// Flushes to the device and returns (bytes, digest in lower-case hex).
    ///
    /// # Errors
    /// What was written can't be synced.
    pub fn finish(mut self) -> std::io::Result<(u64, String)> {
        self.file.flush()?;
        self.file.finish()?;
        Ok((self.bytes, hex(&self.digest)))
    }
}

impl Write for DigestWriter {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        let n = self.file.write(buf)?;
        self.digest.update(&buf[..n]);
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// (bytes, digest in lower-case hex) of a file as it stands on the disk.
///
/// # Errors
/// It can't be read.
pub fn digest_file(path: &Path) -> Result<(u64, String)> {
    let mut file = super::open(path)?.reader(0);
    let mut digest = Xxh3::new();
    let mut buf = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        let n = file.read(&mut buf).map_err(|e| Error::io("read", path, e))?;
        if n == 0 {
            return Ok((bytes, hex(&digest)));
        }
        digest.update(&buf[..n]);
        bytes += n as u64;
    }
}

fn hex(digest: &Xxh3) -> String {
    format!("{:032x}", digest.digest128())
}
