//! Folders of table formats, whose logs say which of their files are alive.

use std::path::Path;

use crate::error::{Error, Place, Result};
use crate::store;

/// Refuses a folder that a table format keeps, or that lies in one: deleted rows would come back.
///
/// # Errors
/// The folder, or one above it, holds a Delta log, a Hudi timeline or Iceberg's metadata.
pub fn check_live(folder: &Path) -> Result<()> {
    // A path as the pipeline names it may begin anywhere: what lies above is found by the real one.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    store::canonical(folder)?.ancestors().try_for_each(check_folder)
}

/// [`check_live`] of the folder alone.
///
/// # Errors
/// It is the folder of a table format.
pub fn check_folder(folder: &Path) -> Result<()> {
    let (format, how) = if store::is_dir(&folder.join("_delta_log")) {
        ("a Delta", "such as deltalake's `DeltaTable(path).file_uris()`")
    } else if store::is_dir(&folder.join(".hoodie")) {
        ("a Hudi", "such as hudi's `HudiTable(path).get_file_slices()`")
    } else if is_iceberg(folder) {
        ("an Iceberg", "such as pyiceberg's `table.scan().plan_files()`")
    } else {
        return Ok(());
    };
    Err(Error::input(
        Place::file(folder),
        format!("this is {format} table, and some of its files may hold deleted rows"),
        format!("hand over its live files, {how}, one a line, with --input @FILE"),
    ))
}

fn is_iceberg(folder: &Path) -> bool {
    let metadata = folder.join("metadata");
    let names = if store::is_dir(&metadata) { store::list_dir(&metadata).unwrap_or_default() } else { Vec::new() };
    names.iter().any(|name| name.to_string_lossy().ends_with(".metadata.json"))
}
