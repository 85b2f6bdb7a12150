//! The one commit point: re-read what was written, then make it appear with one rename.

use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};

use super::manifest::{Manifest, ShardRecord, TableRecord};
use crate::error::{Error, Result};
use crate::parallel::in_parallel;
use crate::schema;
use crate::store::{self, Staging};

/// Refuses a target that a run may not write, before any work is done.
///
/// # Errors
/// Something is there that may not be replaced.
pub fn check_target(target: &Path, overwrite: bool) -> Result<()> {
    if !store::exists(target) || store::is_empty_folder(target) {
        return Ok(());
    }
    if !overwrite {
        return Err(Error::output(target, "it exists", "use --overwrite to replace a dataset, or choose another path"));
    }
    if store::is_link(target) {
        return Err(Error::output(
            target,
            "it is a symbolic link, which would be replaced itself",
            "name the folder that it leads to, or choose another path",
        ));
    }
    if !holds_dataset(target) {
        return Err(Error::output(
            target,
            "it holds no batchwright dataset, so it is not replaced",
            "choose another path, or move what is there away",
        ));
    }
    Ok(())
}

/// Refuses to replace a folder that holds some of the input.
///
/// # Errors
/// An input lies in the output.
pub fn check_inputs<'a>(target: &Path, inputs: impl Iterator<Item = &'a Path>) -> Result<()> {
    if !store::exists(target) {
        return Ok(());
    }
    let folder = store::canonical(target)?;
    for input in inputs {
        if store::canonical(input)?.starts_with(&folder) {
            return Err(Error::output(
                target,
                format!("{} is input of this run, and would be replaced with it", input.display()),
                "choose another path, or move the input away",
            ));
        }
    }
    Ok(())
}

/// Whether a folder holds our manifest.
pub fn holds_dataset(path: &Path) -> bool {
    let text = store::read_to_string(&path.join(schema::MANIFEST)).unwrap_or_default();
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    manifest["format"].as_str().is_some_and(|f| f.starts_with("batchwright/"))
}

/// Re-reads files against their digests and row counts.
///
/// # Errors
/// What the disk gives back is not what was written.
pub fn reread(root: &Path, shards: &[ShardRecord], tables: &[TableRecord]) -> Result<()> {
    let shards = shards.iter().map(|s| (root.join(&s.path), s.bytes, s.rows, &s.xxh3_128));
    let tables = tables.iter().map(|t| (root.join(&t.path), t.bytes, t.rows, &t.xxh3_128));
    let files: Vec<_> = shards.chain(tables).collect();
    in_parallel(
        &files,
        |(_, bytes, ..)| *bytes,
        |(path, bytes, rows, digest)| {
            if store::digest_file(path)? != (*bytes, (*digest).clone()) {
                return Err(Error::output(path, "what the disk gives back is not what was written", "check the disk"));
            }
            let footer = SerializedFileReader::new(store::open(path)?);
            let found = footer.map(|f| f.metadata().file_metadata().num_rows()).unwrap_or(-1);
            if u64::try_from(found) != Ok(*rows) {
                return Err(Error::output(path, format!("it should hold {rows} rows"), "report this as a bug"));
            }
            Ok(())
        },
    )?;
    Ok(())
}

/// Writes the manifest of files that were re-read, and makes the dataset appear.
///
/// # Errors
/// The manifest can't be written, or the target is taken; it then stays as it was.
pub fn publish(staging: &Staging, target: &Path, overwrite: bool, manifest: &Manifest) -> Result<()> {
    let root = staging.dataset();
    let mut folders = vec![root.clone(), root.join(schema::TABLES)];
    let files = manifest.shards.iter().map(|s| &s.path).chain(manifest.tables.iter().map(|t| &t.path));
    for path in files.map(|path| root.join(path)) {
        folders.extend(path.ancestors().skip(1).take_while(|a| a.starts_with(&root)).map(Path::to_path_buf));
    }
    let path = root.join(schema::MANIFEST);
    store::write(&path, manifest.to_json().as_bytes())?;
    store::sync(&path)?;
    folders.sort();
    folders.dedup();
    folders.iter().try_for_each(|folder| store::sync(folder))?;
    check_target(target, overwrite)?;
    if !store::exists(target) {
        store::publish(&root, target)
    } else if store::is_empty_folder(target) {
        store::publish_over_empty(&root, target)
    } else {
        store::exchange(&root, target)
    }?;
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => store::sync(parent),
        _ => store::sync(Path::new(".")),
    }
}
