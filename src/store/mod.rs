//! Where bytes live: the only user of `std::fs`, `glob` and `walkdir`. Everything that touches a disk goes through here.
//!
//! Inputs and datasets are in a [`Store`]: this machine's disks, unless another is mounted at a folder by [`Mount`]. Scratch files, work folders and
//! secrets are this machine's alone.

mod blob;
mod faults;
mod local;
mod mounts;
mod scratch;
mod staging;
mod tally;

pub use blob::{Blob, BlobReader, Ranged, Version};
pub use faults::{Fault, Faults};
pub use local::Local;
pub use mounts::Mount;
pub use scratch::{
    create_private_dir, link, private_folder_in, put_folder, read_secret, replace, scratch, scratch_folder, write_whole,
};
pub use staging::Staging;
pub use tally::{DigestWriter, digest_file};

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use self::mounts::store_of;
use crate::error::{Error, Result};

/// Files by their paths.
pub trait Store: Send + Sync {
    /// What a path leads to.
    ///
    /// # Errors
    /// It leads to nothing, or may not be looked at.
    fn kind(&self, path: &Path) -> io::Result<EntryKind>;

    /// A path without links.
    ///
    /// # Errors
    /// It leads to nothing.
    fn canonical(&self, path: &Path) -> io::Result<PathBuf>;

    /// Sorted names in a folder.
    ///
    /// # Errors
    /// It can't be read.
    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>>;

    /// Everything below a folder at any depth, and the folder itself; what `is_hidden` says is left out with all that it holds.
    ///
    /// # Errors
    /// A folder that can't be read.
    fn below(&self, folder: &Path, is_hidden: fn(&str) -> bool) -> io::Result<Vec<Entry>>;

    /// What matches a pattern.
    ///
    /// # Errors
    /// `InvalidInput`: it is not a pattern. Else, a folder that can't be read.
    fn matching(&self, pattern: &str) -> io::Result<Vec<PathBuf>>;

    /// Opens a file to read ranges of it.
    ///
    /// # Errors
    /// It is not there, or can't be read.
    fn open(&self, path: &Path) -> io::Result<Blob>;

    /// Creates a file that is not there yet.
    ///
    /// # Errors
    /// It is there, or can't be written.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Sink>>;

    /// Creates a folder and those above it.
    ///
    /// # Errors
    /// It can't be created.
    fn create_folder(&self, path: &Path) -> io::Result<()>;

    /// Removes a folder and all in it.
    ///
    /// # Errors
    /// It can't be removed.
    fn remove(&self, folder: &Path) -> io::Result<()>;

    /// Flushes a file, or a folder's entries, to the device.
    ///
    /// # Errors
    /// It can't be flushed.
    fn sync(&self, path: &Path) -> io::Result<()>;

    /// Puts a folder where readers look for it: at once, or not at all.
    ///
    /// # Errors
    /// `target` is not what `how` expects, or the store can't do it.
    fn commit(&self, staged: &Path, target: &Path, how: Commit) -> io::Result<()>;
}

/// A file that is being written.
pub trait Sink: Write + Send {
    /// Flushes what was written to the device.
    ///
    /// # Errors
    /// It can't be flushed.
    fn finish(&mut self) -> io::Result<()>;
}

/// What a folder comes to where another may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// Nothing may be there.
    New,
    /// An empty folder is there.
    OverEmpty,
    /// A folder is there, and goes where the other was.
    Exchange,
}

/// What a path leads to, links followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A file that can be read anywhere.
    File,
    Folder,
    /// A pipe, a device or the like.
    Other,
}

/// Something below a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub path: PathBuf,
    pub kind: EntryKind,
}

/// Opens a file to read ranges of it.
///
/// # Errors
/// It is not there, or can't be read.
pub fn open(path: &Path) -> Result<Blob> {
    store_of(path).open(path).map_err(|e| Error::io("open", path, e))
}

/// Opens a file for a reader that takes files of this machine alone.
///
/// # Errors
/// It is not there, or can't be read.
pub fn open_local(path: &Path) -> Result<File> {
    open(path)?.local().map_err(|e| Error::io("open", path, e))
}

/// Creates a file that is not there yet.
///
/// # Errors
/// It is there, or can't be written.
pub fn create(path: &Path) -> Result<Box<dyn Sink>> {
    store_of(path).create(path).map_err(|e| Error::io("create", path, e))
}

/// Creates a folder and those above it.
///
/// # Errors
/// It can't be created.
pub fn create_dir_all(path: &Path) -> Result<()> {
    store_of(path).create_folder(path).map_err(|e| Error::io("create the folder", path, e))
}

/// A file's text.
///
/// # Errors
/// It can't be read, or is not UTF-8.
pub fn read_to_string(path: &Path) -> Result<String> {
    let read = || {
        // A pipe has no length, a file of the system says 0: they are read to their end.
        let blob = match store_of(path).kind(path)? {
            EntryKind::Other => return Local.text(path),
            _ => store_of(path).open(path)?,
        };
        if blob.version().bytes == 0 {
            return Local.text(path);
        }
        let mut text = String::new();
        blob.reader(0).read_to_string(&mut text).map(|_| text)
    };
    read().map_err(|e| Error::io("read", path, e))
}

/// Writes a file; one that is there is written anew.
///
/// # Errors
/// It can't be written.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    Local.write(path, bytes).map_err(|e| Error::io("write", path, e))
}

/// Removes a folder and all in it.
///
/// # Errors
/// It can't be removed.
pub fn remove_dir_all(path: &Path) -> Result<()> {
    store_of(path).remove(path).map_err(|e| Error::io("remove", path, e))
}

/// Whether there is anything, be it a link to nothing.
pub fn exists(path: &Path) -> bool {
    is_link(path) || store_of(path).kind(path).is_ok()
}

pub fn is_link(path: &Path) -> bool {
    path.is_symlink()
}

/// Whether a path leads through more links than the system follows.
pub fn is_loop(path: &Path) -> bool {
    store_of(path).canonical(path).is_err_and(|e| e.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()))
}

pub fn is_dir(path: &Path) -> bool {
    store_of(path).kind(path).is_ok_and(|kind| kind == EntryKind::Folder)
}

/// Whether there is a file that can be read anywhere, no pipe or device; links are followed.
pub fn is_file(path: &Path) -> bool {
    store_of(path).kind(path).is_ok_and(|kind| kind == EntryKind::File)
}

/// A file's size in bytes.
///
/// # Errors
/// It is not there.
pub fn len(path: &Path) -> Result<u64> {
    Ok(store_of(path).open(path).map_err(|e| Error::io("look at", path, e))?.version().bytes)
}

/// A path without links.
///
/// # Errors
/// It is not there.
pub fn canonical(path: &Path) -> Result<PathBuf> {
    store_of(path).canonical(path).map_err(|e| Error::io("look at", path, e))
}

/// Sorted names in a folder.
///
/// # Errors
/// It can't be read.
pub fn list_dir(path: &Path) -> Result<Vec<OsString>> {
    store_of(path).list(path).map_err(|e| Error::io("list", path, e))
}

/// Everything below a folder at any depth, and the folder itself; what `is_hidden` says is left out with all that it holds.
///
/// # Errors
/// A folder that can't be read.
pub fn below(folder: &Path, is_hidden: fn(&str) -> bool) -> Result<Vec<Entry>> {
    store_of(folder).below(folder, is_hidden).map_err(|e| Error::io("list", folder, e))
}

/// What matches a pattern of `*`, `?`, `[…]` and `**`; `None`: it is not a pattern.
///
/// # Errors
/// A folder that can't be read.
pub fn matching(pattern: &str) -> Result<Option<Vec<PathBuf>>> {
    let path = Path::new(pattern);
    match store_of(path).matching(pattern) {
        Ok(paths) => Ok(Some(paths)),
        Err(e) if e.kind() == io::ErrorKind::InvalidInput => Ok(None),
        Err(e) => Err(Error::io("list", path, e)),
    }
}

/// A text in which the signs of patterns stand for themselves.
pub fn escape(text: &str) -> String {
    glob::Pattern::escape(text)
}

/// Whether a pattern matches a path.
pub fn matches(pattern: &str, path: &Path) -> bool {
    let options = glob::MatchOptions { require_literal_separator: true, ..glob::MatchOptions::new() };
    glob::Pattern::new(pattern).is_ok_and(|pattern| pattern.matches_path_with(path, options))
}

/// Flushes a file or a folder's entries to the device.
///
/// # Errors
/// It can't be flushed.
pub fn sync(path: &Path) -> Result<()> {
    store_of(path).sync(path).map_err(|e| Error::io("flush", path, e))
}

/// Whether there is a folder with nothing in it, and no link to one.
pub fn is_empty_folder(path: &Path) -> bool {
    !is_link(path) && is_dir(path) && list_dir(path).is_ok_and(|names| names.is_empty())
}

/// Puts `staged` in place of an empty folder: one atomic rename.
///
/// # Errors
/// Something is in it by now, or it can't be moved.
pub fn publish_over_empty(staged: &Path, target: &Path) -> Result<()> {
    commit(staged, target, Commit::OverEmpty)
}

/// Puts `staged` at `target`, which must not exist: one atomic rename.
///
/// # Errors
/// Something is there, or it can't be moved.
pub fn publish(staged: &Path, target: &Path) -> Result<()> {
    commit(staged, target, Commit::New)
}

/// Swaps two existing folders: one atomic exchange.
///
/// # Errors
/// The file system can't exchange them.
pub fn exchange(staged: &Path, target: &Path) -> Result<()> {
    commit(staged, target, Commit::Exchange)
}

fn commit(staged: &Path, target: &Path, how: Commit) -> Result<()> {
    store_of(target).commit(staged, target, how).map_err(|e| Error::io("move the dataset to", target, e))
}
