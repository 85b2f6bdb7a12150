//! What a file is that is no Parquet, by its first bytes.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::error::{Error, Place, Result};
use crate::store;

/// Bytes that are looked at.
const HEAD: u64 = 512;

/// Refuses what is not even meant to be Parquet, and says what it is.
///
/// # Errors
/// The file can't be read, is empty, cut off, encrypted, or of another format.
pub fn check_magic(path: &Path) -> Result<()> {
    let fail = |e: std::io::Error| Error::io("read", path, e);
    let bytes = store::len(path)?;
    let mut file = store::open(path)?.reader(0);
    let mut head = Vec::new();
    (&mut file).take(HEAD).read_to_end(&mut head).map_err(fail)?;
    let mut tail = [0; 4];
    if bytes >= 4 {
        file.seek(SeekFrom::End(-4)).and_then(|_| file.read_exact(&mut tail)).map_err(fail)?;
    }
    let refuse = |problem: &str, remedy: &str| Err(Error::input(Place::file(path), problem.to_owned(), remedy));
    match (head.as_slice(), &tail) {
        (_, b"PAR1") if bytes >= 12 => Ok(()),
        (b"", _) => refuse("the file is empty", "write it again, or leave it out of input.shards"),
        (_, b"PARE") | ([b'P', b'A', b'R', b'E', ..], _) => {
            refuse("its footer is encrypted, which is not read here", "write it without encryption")
        }
        ([b'P', b'A', b'R', b'1', ..], _) => refuse(
            "not readable as Parquet: it begins as one and has no footer, so it is cut off or still being written",
            "wait for its writer, write it again, or leave it out of input.shards",
        ),
        (head, _) => match kind(head) {
            Some("a Git LFS pointer") => {
                refuse("it is a Git LFS pointer, not the file itself", "fetch the file with `git lfs pull`")
            }
            Some(what) => {
                refuse(&format!("it is {what}, not Parquet"), "write it as Parquet, or leave it out of input.shards")
            }
            None => refuse(
                "not readable as Parquet (it begins and ends otherwise)",
                "the file is damaged or of another format: write it again, or leave it out of input.shards",
            ),
        },
    }
}

/// What the first bytes of a file say that it is.
fn kind(head: &[u8]) -> Option<&'static str> {
    let known: [(&[u8], &str); 12] = [
        (b"version https://git-lfs", "a Git LFS pointer"),
        (b"\x1f\x8b", "gzip"),
        (b"PK\x03\x04", "a zip archive"),
        (b"\x28\xb5\x2f\xfd", "a zstd stream"),
        (b"BZh", "bzip2"),
        (b"\xfd7zXZ", "xz"),
        (b"ARROW1", "an Arrow IPC (Feather) file"),
        (b"\xff\xff\xff\xff", "an Arrow IPC stream"),
        (b"ORC", "ORC"),
        (b"Obj\x01", "Avro"),
        (b"\x89HDF", "HDF5"),
        (b"SQLite format 3", "an SQLite database"),
    ];
    if let Some((_, what)) = known.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Some(what);
    }
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    // The last character may be cut.
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(e) if e.error_len().is_none() => std::str::from_utf8(&head[..e.valid_up_to()]).unwrap_or_default(),
        Err(_) => return None,
    };
    if text.chars().any(|c| c.is_control() && !c.is_whitespace()) {
        return None;
    }
    let line = text.lines().find(|line| !line.trim().is_empty())?.trim_start();
    Some(match line.chars().next() {
        Some('{' | '[') => "JSON",
        Some('<') => "HTML or XML",
        _ if line.contains([',', ';', '\t', '|']) => "CSV or other text",
        _ => "text",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_parquet_is_called_what_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        for (bytes, words) in [
            (&b""[..], "the file is empty"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n", "git lfs pull"),
            (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "it is gzip"),
            (b"user,item\n1,2\n", "CSV"),
            ("\u{feff}id;name\n1;\u{e9}\n".as_bytes(), "CSV"),
            (b"{\"user\": 1}\n", "JSON"),
            (b"PAR1aaaaaaaaaaaaaaaaaa", "cut off"),
            (b"PAR1", "not readable as Parquet"),
            (b"PAR1aaaaaaaaaaaaPARE", "encrypted"),
            (&[0; 40], "begins and ends otherwise"),
            (&[200, 1, 2, 3, 4], "begins and ends otherwise"),
        ] {
            store::write(&path, bytes).unwrap();
            let error = check_magic(&path).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
