//! Folders and files of this machine, whatever store inputs and datasets are in: scratch files, work folders, secrets.
#![allow(clippy::disallowed_methods)]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{Access, access};

use super::{create_dir_all, exchange, exists, open_local, publish, write};
use crate::error::{Error, Result};

/// A file without a name, which vanishes with the process. So do folders that were not there before.
///
/// # Errors
/// The folder can't be written.
pub fn scratch(dir: &Path) -> Result<File> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let missing: Vec<&Path> = dir.ancestors().take_while(|folder| !exists(folder)).collect();
    let create = || {
        create_dir_all(dir)?;
        tempfile::tempfile_in(dir).map_err(|e| Error::io("create a scratch file in", dir, e))
    };
    // Another run may take the folder away in between, as is done below.
    let file = create().or_else(|_| create());
    // A folder that somebody else uses now stays.
    missing.into_iter().take_while(|folder| fs::remove_dir(folder).is_ok()).for_each(drop);
    file
}

/// The folder that holds a path, or the nearest above it that exists; the system's for temporary files where nobody may write
/// there, as a plan of somebody else's output needs none of it.
pub fn scratch_folder(path: &Path) -> PathBuf {
    let above = path.ancestors().skip(1).find(|p| p.is_dir());
    let folder = above.map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    if access(&folder, Access::WRITE_OK).is_ok() { folder } else { std::env::temp_dir() }
}

/// Creates a folder, and those above it, that only its owner may enter.
///
/// # Errors
/// It can't be created.
pub fn create_private_dir(path: &Path) -> Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| Error::io("create the folder", path, e))
}

/// A folder of its own, gone when it is dropped.
///
/// # Errors
/// It can't be created.
pub fn private_folder_in(folder: &Path) -> Result<tempfile::TempDir> {
    tempfile::tempdir_in(folder).map_err(|e| Error::io("create a folder in", folder, e))
}

/// Puts a folder at `target`, where another may be, which then goes.
///
/// # Errors
/// It can't be moved.
pub fn put_folder(folder: tempfile::TempDir, target: &Path) -> Result<()> {
    if !exists(target) && publish(folder.path(), target).is_ok() {
        // Nothing is left where it was.
        return Ok(());
    }
    exchange(folder.path(), target)
}

/// Writes a file, for its owner alone, by `write`: whole, or what was there stays.
///
/// # Errors
/// It can't be written, or what `write` says; there is no file then.
pub fn write_whole(path: &Path, write: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|e| Error::io("write", path, e))?;
    write(file.as_file_mut())?;
    file.persist(path).map(drop).map_err(|e| Error::io("write", path, e.error))
}

/// Writes a file whole, or leaves what was there.
///
/// # Errors
/// It can't be written.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !path.is_file() && exists(path) {
        // A pipe or a terminal takes the bytes as they come.
        return write(path, bytes);
    }
    let written = tempfile::Builder::new().permissions(PermissionsExt::from_mode(0o644)).tempfile_in(folder);
    let written = written.and_then(|mut file| file.write_all(bytes).map(|()| file));
    let file = written.map_err(|e| Error::io("write", path, e))?;
    file.persist(path).map(drop).map_err(|e| Error::io("write", path, e.error))
}

/// A file under a second name: the same bytes, copied where file systems differ.
///
/// # Errors
/// It can't be linked or copied.
pub fn link(from: &Path, to: &Path) -> Result<()> {
    fs::hard_link(from, to).or_else(|_| fs::copy(from, to).map(drop)).map_err(|e| Error::io("copy", from, e))
}

/// What of a secret counts.
const SECRET_BYTES: u64 = 1 << 20;

/// Reads a secret, of which a mebibyte counts; refuses a file that users other than its owner may read.
///
/// # Errors
/// It can't be read, or others can read it.
pub fn read_secret(path: &Path) -> Result<Vec<u8>> {
    use std::os::unix::fs::MetadataExt;
    let file = open_local(path)?;
    let meta = file.metadata().map_err(|e| Error::io("look at", path, e))?;
    if meta.mode() & 0o077 != 0 {
        return Err(Error::pipeline(
            format!("identity.key_file {}", path.display()),
            format!("users other than its owner may use it (mode {:o})", meta.mode() & 0o777),
            format!("run: chmod 600 {}", path.display()),
        ));
    }
    let mut bytes = Vec::new();
    file.take(SECRET_BYTES).read_to_end(&mut bytes).map_err(|e| Error::io("read", path, e))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scratch_goes_to_the_nearest_folder_that_is_there() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(scratch_folder(&dir.path().join("a/b/c")), dir.path());
        assert_eq!(scratch_folder(Path::new("dataset")), Path::new("."));
    }
}
