//! The disks of this machine.
#![allow(clippy::disallowed_methods)]

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};
use walkdir::{DirEntry, WalkDir};

use super::blob::{Blob, Ranged, Version};
use super::{Commit, Entry, EntryKind, Sink, Store};

/// Files and folders by their paths.
#[derive(Debug, Clone, Copy, Default)]
pub struct Local;

impl Store for Local {
    fn kind(&self, path: &Path) -> io::Result<EntryKind> {
        fs::metadata(path).map(|about| kind(about.file_type()))
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        fs::canonicalize(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        let mut names = fs::read_dir(folder)?.map(|e| Ok(e?.file_name())).collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    fn below(&self, folder: &Path, is_hidden: fn(&str) -> bool) -> io::Result<Vec<Entry>> {
        let visible = |e: &DirEntry| e.depth() == 0 || !is_hidden(&e.file_name().to_string_lossy());
        let mut entries = Vec::new();
        for entry in WalkDir::new(folder).follow_links(true).into_iter().filter_entry(visible) {
            match entry {
                Ok(entry) => entries.push(Entry { kind: kind(entry.file_type()), path: entry.into_path() }),
                // A link to a folder above leads to files that are there already.
                Err(e) if e.loop_ancestor().is_some() || e.path().is_some_and(super::is_loop) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(entries)
    }

    fn matching(&self, pattern: &str) -> io::Result<Vec<PathBuf>> {
        let paths = glob::glob(pattern).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        paths.map(|path| path.map_err(|e| io::Error::other(e.to_string()))).collect()
    }

    fn open(&self, path: &Path) -> io::Result<Blob> {
        let file = File::open(path)?;
        let about = file.metadata()?;
        let version = Version { bytes: about.len(), modified: about.modified().ok() };
        Ok(Blob::new(LocalFile { path: path.to_path_buf(), file, version }))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Sink>> {
        Ok(Box::new(File::create_new(path)?))
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn remove(&self, folder: &Path) -> io::Result<()> {
        fs::remove_dir_all(folder)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn commit(&self, staged: &Path, target: &Path, how: Commit) -> io::Result<()> {
        let flags = match how {
            Commit::New => RenameFlags::NOREPLACE,
            Commit::OverEmpty => return fs::rename(staged, target),
            Commit::Exchange => RenameFlags::EXCHANGE,
        };
        Ok(rustix::fs::renameat_with(CWD, staged, CWD, target, flags)?)
    }
}

fn kind(of: fs::FileType) -> EntryKind {
    match (of.is_file(), of.is_dir()) {
        (true, _) => EntryKind::File,
        (_, true) => EntryKind::Folder,
        _ => EntryKind::Other,
    }
}

impl Sink for File {
    fn finish(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

impl Local {
    /// The text of what may be a pipe.
    pub(super) fn text(self, path: &Path) -> io::Result<String> {
        fs::read_to_string(path)
    }

    /// Writes to a file, or to what takes bytes as they come.
    pub(super) fn write(self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        fs::write(path, bytes)
    }
}

struct LocalFile {
    path: PathBuf,
    file: File,
    version: Version,
}

impl Ranged for LocalFile {
    fn version(&self) -> Version {
        self.version
    }

    fn read_at(&self, place: u64, into: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(into, place)
    }

    fn local(&self) -> io::Result<File> {
        // Anew: a reader moves the place of its file.
        File::open(&self.path)
    }
}
