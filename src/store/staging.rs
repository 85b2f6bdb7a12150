//! A hidden folder beside the output, in which a dataset is built before it appears.
#![allow(clippy::disallowed_methods)]

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::error::{Error, Result};

/// Removed with everything in it when dropped; holds a lock, so that the next start
/// can tell a folder that a dead run left behind from one that is in use.
pub struct Staging {
    dir: PathBuf,
    _lock: File,
}

impl Staging {
    /// `DIR/.NAME.batchwright-RANDOM/` beside `target`, after sweeping what dead runs left there.
    ///
    /// # Errors
    /// The folder can't be written.
    pub fn beside(target: &Path) -> Result<Self> {
        let name = target.file_name().ok_or_else(|| {
            Error::output(target, "it names no folder", "set output.path to a path that ends in the dataset's name")
        })?;
        let parent = match target.parent() {
            Some(p) if !p.as_os_str().is_empty() => p.to_path_buf(),
            _ => PathBuf::from("."),
        };
        fs::create_dir_all(&parent).map_err(|e| Error::io("create the folder", &parent, e))?;
        let prefix = format!(".{}.batchwright-", name.to_string_lossy());
        // Nobody sweeps a folder between its creation and its lock. Where folders can't be locked, that is left to luck.
        let alone = File::open(&parent).ok();
        let _alone = alone.as_ref().map(|parent| flock(parent, FlockOperation::LockExclusive));
        sweep(&parent, &prefix)?;
        let dir = tempfile::Builder::new()
            .prefix(&prefix)
            .tempdir_in(&parent)
            .map_err(|e| Error::io("create a folder in", &parent, e))?
            .keep();
        let lock = lock_file(&dir)?
            .ok_or_else(|| Error::output(target, "another run took the staging folder", "run again"))?;
        Ok(Staging { dir, _lock: lock })
    }

    /// Where the dataset is built.
    pub fn dataset(&self) -> PathBuf {
        self.dir.join("dataset")
    }

    /// Where sorted spill files go.
    pub fn spill(&self) -> PathBuf {
        self.dir.join("spill")
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Nothing to do about a failure here: the next start sweeps it.
        let _ = remove(&self.dir);
    }
}

/// Removes a staging folder; its lock last, by which it is known as one.
fn remove(dir: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else if entry.file_name() != LOCK {
            fs::remove_file(entry.path())?;
        }
    }
    fs::remove_dir_all(dir)
}

const LOCK: &str = "lock";

fn lock_file(dir: &Path) -> Result<Option<File>> {
    let path = dir.join(LOCK);
    let file = File::options().create(true).append(true).open(&path).map_err(|e| Error::io("create", &path, e))?;
    Ok(flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok().then_some(file))
}

fn sweep(parent: &Path, prefix: &str) -> Result<()> {
    for name in super::list_dir(parent)? {
        if name.to_string_lossy().starts_with(prefix) {
            let dir = parent.join(name);
            // Others may have folders of such a name too.
            let is_ours = dir.join(LOCK).is_file() || super::list_dir(&dir).is_ok_and(|names| names.is_empty());
            if dir.is_dir() && !dir.is_symlink() && is_ours && lock_file(&dir).is_ok_and(|lock| lock.is_some()) {
                remove(&dir).map_err(|e| Error::io("remove", &dir, e))?;
            }
        }
    }
    Ok(())
}
