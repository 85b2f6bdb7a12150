//! Which store a path belongs to.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use super::Store;
use super::local::Local;

/// Stores by the folder that they are mounted at; all else is this machine's.
static MOUNTS: RwLock<Vec<(PathBuf, Arc<dyn Store>)>> = RwLock::new(Vec::new());

/// A store stands for all paths below a folder, until this is dropped.
#[must_use]
pub struct Mount(PathBuf);

impl Mount {
    /// Mounts a store at a folder, before the stores that were mounted there or above.
    pub fn new(folder: &Path, store: Arc<dyn Store>) -> Self {
        MOUNTS.write().unwrap_or_else(PoisonError::into_inner).push((folder.to_path_buf(), store));
        Mount(folder.to_path_buf())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let mut mounts = MOUNTS.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = mounts.iter().rposition(|(folder, _)| *folder == self.0) {
            mounts.remove(last);
        }
    }
}

/// The store of a path.
pub fn store_of(path: &Path) -> Arc<dyn Store> {
    let mounts = MOUNTS.read().unwrap_or_else(PoisonError::into_inner);
    let own = mounts.iter().rev().find(|(folder, _)| path.starts_with(folder));
    own.map_or_else(|| Arc::new(Local) as Arc<dyn Store>, |(_, store)| Arc::clone(store))
}
