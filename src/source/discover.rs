//! Which files are the input, and in which order.

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use walkdir::WalkDir;

use crate::error::{Error, Place, Result};
use crate::store;

/// A file of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub path: PathBuf,
    /// The `key=value` folders of the path as the pipeline names it, outermost first.
    pub hive: Vec<(String, String)>,
}

/// Resolves files, directories and globs; roots in the order listed, below each by the bytes of the path; a file that
/// several roots name counts once, at its first place.
pub fn discover(roots: &[String]) -> Result<Vec<Found>> {
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for root in roots {
        for path in below(root)? {
            if seen.insert(store::canonical(&path)?) {
                let hive = path.parent().map(hive_values).unwrap_or_default();
                found.push(Found { path, hive });
            }
        }
    }
    if found.is_empty() {
        return Err(Error::pipeline(
            "input.shards",
            "no Parquet files found",
            "name a folder that holds *.parquet files",
        ));
    }
    Ok(found)
}

fn below(root: &str) -> Result<Vec<PathBuf>> {
    let path = Path::new(root);
    let mut files = if path.is_dir() {
        walk(path)?
    } else if path.exists() {
        return Ok(vec![path.to_path_buf()]);
    } else if root.contains(['*', '?', '[']) {
        expand(root)?
    } else {
        return Err(Error::input(Place::file(root), "there is no such file or folder", "check input.shards"));
    };
    if files.is_empty() {
        let problem = "no Parquet files in it";
        return Err(Error::input(Place::file(root), problem, "check input.shards; only *.parquet files are read"));
    }
    files.sort_by(|a, b| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()));
    Ok(files)
}

fn expand(root: &str) -> Result<Vec<PathBuf>> {
    let paths = glob::glob(root)
        .map_err(|e| Error::pipeline("input.shards", format!("`{root}` is no glob ({e})"), "use *, ? and ** only"))?;
    // Below the part without wildcards, hidden names are skipped as they are in folders.
    let fixed =
        Path::new(root).components().take_while(|c| !c.as_os_str().to_string_lossy().contains(['*', '?', '['])).count();
    let mut files = Vec::new();
    for path in paths {
        let path = path.map_err(|e| Error::io("list", e.path().to_path_buf(), std::io::Error::other(e.to_string())))?;
        let hidden = path.components().skip(fixed).any(|c| is_hidden(&c.as_os_str().to_string_lossy()));
        if path.is_dir() && !hidden {
            // With `**`, folders come with their files: each file counts once.
            files.extend(walk(&path)?);
        } else if !hidden {
            files.push(path);
        }
    }
    files.sort();
    files.dedup();
    Ok(files)
}

fn walk(root: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let visible = |e: &walkdir::DirEntry| e.depth() == 0 || !is_hidden(&e.file_name().to_string_lossy());
    for entry in WalkDir::new(root).follow_links(true).into_iter().filter_entry(visible) {
        let entry = match entry {
            Ok(entry) => entry,
            // A link to a folder above leads to files that are there already.
            Err(e) if e.loop_ancestor().is_some() => continue,
            Err(e) => return Err(Error::io("list", root, e.into())),
        };
        if entry.file_type().is_file() && entry.path().extension().is_some_and(|e| e == "parquet") {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}

fn is_hidden(name: &str) -> bool {
    name.starts_with(['_', '.'])
}

fn hive_values(folder: &Path) -> Vec<(String, String)> {
    folder
        .components()
        .filter_map(|c| match c {
            Component::Normal(name) => name.to_str()?.split_once('='),
            _ => None,
        })
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}
