//! What collections may take, and where the rest goes.

use std::path::{Path, PathBuf};

/// Most partitions into which records are best handed out: each is a buffer while they come, and a file is read in as many pieces.
pub const MOST_PARTITIONS: usize = 256;

/// Rows of a partition: it then takes some megabytes, unless there are more rows than the most partitions hold. A few are worked on
/// side by side.
const PARTITION_ROWS: usize = 1 << 18;

/// Taken for granted where the system does not tell what is free.
const UNKNOWN: u64 = 4 << 30;

/// What collections may take of the memory, and the folder of what it has no room for.
#[derive(Debug, Clone)]
pub struct Room {
    /// Bytes that records may take before they go into a file.
    pub bytes: u64,
    folder: PathBuf,
    rows: usize,
    on_file: bool,
}

impl Room {
    /// An eighth of `limit` bytes (`None`: of half of what is free); nameless files are in `folder`.
    pub fn new(limit: Option<u64>, folder: PathBuf) -> Self {
        let bytes = limit.unwrap_or_else(half_of_free) / 8;
        Room { bytes, folder, rows: PARTITION_ROWS, on_file: false }
    }

    /// Room for everything.
    pub fn unlimited() -> Self {
        Room { bytes: u64::MAX, folder: std::env::temp_dir(), rows: PARTITION_ROWS, on_file: false }
    }

    /// Everything on file, in partitions of so many rows; records are held up to so many bytes.
    pub fn filed(bytes: u64, folder: PathBuf, rows: usize) -> Self {
        Room { bytes, folder, rows, on_file: true }
    }

    /// For so many rows, which take so many bytes each: on file, if there is no room for all.
    pub fn for_rows(mut self, rows: u64, row_bytes: u64) -> Self {
        self.on_file |= rows.saturating_mul(row_bytes) > self.bytes;
        self
    }

    /// The number of partitions in which so many rows are worked on: one, if they are in memory.
    pub fn partitions(&self, rows: usize) -> usize {
        if self.on_file { rows.div_ceil(self.rows).clamp(1, MOST_PARTITIONS) } else { 1 }
    }

    /// Most rows that are looked at at a time.
    pub fn rows_at_a_time(&self) -> usize {
        self.rows
    }

    /// The folder of columns; `None`: they are held.
    pub(super) fn column_folder(&self) -> Option<&Path> {
        self.on_file.then_some(&self.folder)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Bytes that the records of an exchange may take, which has this share of the room.
    pub(super) fn share(&self, share: u64) -> u64 {
        if self.on_file { self.bytes / share.max(1) } else { u64::MAX }
    }

    /// Whether columns are on file.
    pub fn is_on_file(&self) -> bool {
        self.on_file
    }
}

/// Half of the memory that nobody uses.
pub fn half_of_free() -> u64 {
    let Ok(mut system) = sysinfo::System::new() else { return UNKNOWN };
    system.refresh_memory();
    let limit = system.cgroup_limits().map_or(u64::MAX, |c| c.free_memory);
    system.available_memory().min(limit) / 2
}
