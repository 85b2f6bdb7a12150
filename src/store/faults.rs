//! A store that counts what it is asked, and fails when it is told to: for tests of what a failure leaves behind.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::blob::{Blob, Ranged, Version};
use super::{Commit, Entry, EntryKind, Sink, Store};

/// What becomes of the operation that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It gives an error, and others after it go on.
    Once,
    /// It gives an error, and so does every one after it, as if the process had died.
    ForGood,
}

/// Another store, of which each operation counts: a listing, an opened file, a range that is read, bytes that are written.
pub struct Faults<S> {
    store: S,
    counter: Arc<Counter>,
}

/// How many operations there were, and which of them fails.
#[derive(Debug)]
struct Counter {
    seen: AtomicU64,
    failing: u64,
    fault: Fault,
}

impl Counter {
    fn count(&self) -> io::Result<()> {
        let number = self.seen.fetch_add(1, Ordering::Relaxed);
        let fails = number == self.failing || (number > self.failing && self.fault == Fault::ForGood);
        if fails { Err(io::Error::other(format!("the store fails at operation {number}"))) } else { Ok(()) }
    }
}

impl<S: Store> Faults<S> {
    /// Fails at an operation, counted from 0; `u64::MAX`: at none.
    pub fn new(store: S, failing: u64, fault: Fault) -> Self {
        Faults { store, counter: Arc::new(Counter { seen: AtomicU64::new(0), failing, fault }) }
    }

    /// Number of operations so far.
    pub fn seen(&self) -> u64 {
        self.counter.seen.load(Ordering::Relaxed)
    }
}

impl<S: Store> Store for Faults<S> {
    fn kind(&self, path: &Path) -> io::Result<EntryKind> {
        self.counter.count()?;
        self.store.kind(path)
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        self.counter.count()?;
        self.store.canonical(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        self.counter.count()?;
        self.store.list(folder)
    }

    fn below(&self, folder: &Path, is_hidden: fn(&str) -> bool) -> io::Result<Vec<Entry>> {
        self.counter.count()?;
        self.store.below(folder, is_hidden)
    }

    fn matching(&self, pattern: &str) -> io::Result<Vec<PathBuf>> {
        self.counter.count()?;
        self.store.matching(pattern)
    }

    fn open(&self, path: &Path) -> io::Result<Blob> {
        self.counter.count()?;
        Ok(Blob::new(CountedFile { blob: self.store.open(path)?, counter: Arc::clone(&self.counter) }))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Sink>> {
        self.counter.count()?;
        Ok(Box::new(CountedSink { sink: self.store.create(path)?, counter: Arc::clone(&self.counter) }))
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.counter.count()?;
        self.store.create_folder(path)
    }

    fn remove(&self, folder: &Path) -> io::Result<()> {
        self.counter.count()?;
        self.store.remove(folder)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.counter.count()?;
        self.store.sync(path)
    }

    fn commit(&self, staged: &Path, target: &Path, how: Commit) -> io::Result<()> {
        self.counter.count()?;
        self.store.commit(staged, target, how)
    }
}

struct CountedFile {
    blob: Blob,
    counter: Arc<Counter>,
}

impl Ranged for CountedFile {
    fn version(&self) -> Version {
        self.blob.version()
    }

    fn read_at(&self, place: u64, into: &mut [u8]) -> io::Result<()> {
        self.counter.count()?;
        self.blob.read_at(place, into)
    }

    fn local(&self) -> io::Result<File> {
        self.counter.count()?;
        self.blob.local()
    }
}

struct CountedSink {
    sink: Box<dyn Sink>,
    counter: Arc<Counter>,
}

impl Write for CountedSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.counter.count()?;
        self.sink.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

impl Sink for CountedSink {
    fn finish(&mut self) -> io::Result<()> {
        self.counter.count()?;
        self.sink.finish()
    }
}
