//! Which files are the input, and in which order.

use std::collections::{BTreeSet, HashSet};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::hive::hive_values;
use super::table_format::{check_folder, check_live};
use crate::error::{Error, Kind, Place, Result};
use crate::store::{self, EntryKind};

/// A file of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub path: PathBuf,
    /// The `key=value` folders of the path as the pipeline names it, outermost first, percent-decoded.
    pub hive: Vec<(String, String)>,
}

/// The files of the input, and what lies beside them.
#[derive(Debug, Default)]
pub struct Discovery {
    pub files: Vec<Found>,
    /// Files in the input's folders that are not read.
    pub unread: BTreeSet<PathBuf>,
}

/// How many unread files are named.
const NAMED: usize = 3;

impl Discovery {
    /// What a person should hear of files that are not read; if `discreet`, without names, which may be those of identities.
    pub fn notice(&self, discreet: bool) -> Option<String> {
        let number = self.unread.len();
        let names: Vec<String> = self.unread.iter().take(NAMED).map(|path| path.display().to_string()).collect();
        let more = if number > NAMED { ", …" } else { "" };
        let (files, are) = if number == 1 { ("file", "is") } else { ("files", "are") };
        (number > 0).then(|| {
            let names = if discreet { String::new() } else { format!(": {}{more}", names.join(", ")) };
            format!(
                "{number} {files} beside the shards {are} not read, as no name ends in .parquet, .parq or .pq{names}"
            )
        })
    }
}

/// Resolves files, directories and globs; roots in the order listed, below each by the bytes of the path; a file that
/// several roots name counts once, at its first place.
///
/// # Errors
/// A root that names nothing, or a folder of a table format, whose dead files only the table's log tells from its live ones.
pub fn discover(roots: &[String]) -> Result<Discovery> {
    let mut seen = HashSet::new();
    let mut found = Discovery::default();
    for root in roots {
        for path in below(root, &mut found)? {
            if seen.insert(store::canonical(&path)?) {
                let hive = path.parent().map(hive_values).unwrap_or_default();
                found.files.push(Found { path, hive });
            }
        }
    }
    // One root's stranger may be another root itself.
    let read: HashSet<&Path> = found.files.iter().map(|file| file.path.as_path()).collect();
    found.unread.retain(|path| !read.contains(path.as_path()));
    if found.files.is_empty() {
        return Err(Error::pipeline(
            "input.shards",
            "no Parquet files found",
            "name a folder that holds *.parquet files",
        ));
    }
    Ok(found)
}

fn below(root: &str, found: &mut Discovery) -> Result<Vec<PathBuf>> {
    let path = Path::new(root);
    let mut files = if store::is_dir(path) {
        check_live(path)?;
        walk(path, found)?
    } else if store::exists(path) {
        if !store::is_file(path) {
            let problem = "it cannot be read as a file: a pipe, a device, or a link to nothing";
            return Err(Error::input(Place::file(root), problem, "write it to a file, and name that"));
        }
        // Whoever names a file means it, whatever it is called and whichever table it is of.
        return Ok(vec![path.to_path_buf()]);
    } else if root.contains(['*', '?', '[']) {
        expand(root, found)?
    } else if root.is_empty() {
        return Err(Error::pipeline("input.shards", "a location is empty", "name a file, a directory or a glob"));
    } else {
        // What may not be looked at is no missing file.
        return Err(match store::len(path) {
            Err(e) if !matches!(e.kind(), Kind::Io { source, .. } if source.kind() == ErrorKind::NotFound) => e,
            _ => Error::input(Place::file(root), "there is no such file or folder", "check input.shards"),
        });
    };
    if files.is_empty() {
        let problem = "no Parquet files in it";
        let remedy = "check input.shards; files are read whose names end in .parquet, .parq or .pq";
        return Err(Error::input(Place::file(root), problem, remedy));
    }
    files.sort_by(|a, b| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()));
    Ok(files)
}

fn expand(root: &str, found: &mut Discovery) -> Result<Vec<PathBuf>> {
    let pattern = pattern_of(root);
    let paths = store::matching(&pattern)?
        .ok_or_else(|| Error::pipeline("input.shards", format!("`{root}` is not a pattern"), "use *, ? and ** only"))?;
    // Below the part without wildcards, hidden names are skipped as they are in folders.
    let fixed = fixed_components(root);
    let mut files = Vec::new();
    for path in paths {
        let hidden = named(&path).skip(fixed).any(|c| is_hidden(&c.as_os_str().to_string_lossy()));
        // A link to a folder above leads to files that are there already.
        if hidden || store::is_loop(&path) {
            continue;
        }
        if store::is_dir(&path) {
            // With `**`, folders come with their files: each file counts once.
            files.extend(walk(&path, found)?);
        } else if !store::is_file(&path) {
            found.unread.insert(path);
        } else if is_parquet(&path) || root.rsplit('/').next().is_some_and(|last| last.contains('.')) {
            // A pattern that spells a name's end means what it matches.
            files.push(path);
        } else {
            found.unread.insert(path);
        }
    }
    let folders: BTreeSet<&Path> = files.iter().filter_map(|file| file.parent()).collect();
    folders.into_iter().try_for_each(check_live)?;
    files.sort();
    files.dedup();
    Ok(files)
}

fn has_wildcard(component: Component<'_>) -> bool {
    component.as_os_str().to_string_lossy().contains(['*', '?', '['])
}

/// Components without the `.` that a path may begin with, and that matches come without.
fn named(path: &Path) -> impl Iterator<Item = Component<'_>> {
    path.components().filter(|component| *component != Component::CurDir)
}

/// How many components of a pattern come before the first with a wildcard.
fn fixed_components(root: &str) -> usize {
    let mut literal = PathBuf::new();
    named(Path::new(root))
        .take_while(|component| {
            literal.push(component);
            !has_wildcard(*component) || store::exists(&literal)
        })
        .count()
}

/// The pattern, in which folders that are called so, brackets and all, stand for themselves; `**` at its end stands for all
/// files at any depth.
fn pattern_of(root: &str) -> String {
    let fixed = fixed_components(root);
    let mut pattern = PathBuf::new();
    for (k, component) in named(Path::new(root)).enumerate() {
        let text = component.as_os_str().to_string_lossy();
        if k < fixed { pattern.push(store::escape(&text)) } else { pattern.push(text.as_ref()) }
    }
    if pattern.ends_with("**") {
        pattern.push("*");
    }
    pattern.to_string_lossy().into_owned()
}

fn walk(root: &Path, found: &mut Discovery) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in store::below(root, is_hidden)? {
        match entry.kind {
            EntryKind::File if is_parquet(&entry.path) => files.push(entry.path),
            EntryKind::Folder => check_folder(&entry.path)?,
            EntryKind::File | EntryKind::Other => drop(found.unread.insert(entry.path)),
        }
    }
    Ok(files)
}

/// Whether a name's end says Parquet, in any of its spellings.
fn is_parquet(path: &Path) -> bool {
    let end = path.extension().map(|end| end.to_string_lossy().to_ascii_lowercase());
    end.is_some_and(|end| matches!(end.as_str(), "parquet" | "parq" | "pq"))
}

fn is_hidden(name: &str) -> bool {
    name.starts_with(['_', '.'])
}

/// Refuses an output that a later run would find in its own input.
///
/// # Errors
/// The output lies in a folder of the input, or a pattern of the input matches its shards.
pub fn check_apart(roots: &[String], output: &Path) -> Result<()> {
    let output = absolute(output)?;
    let shard = output.join("batches/part-00000.parquet");
    for root in roots {
        let path = Path::new(root);
        let inside = if store::is_dir(path) {
            output.starts_with(store::canonical(path)?)
        } else if root.contains(['*', '?', '[']) && !store::exists(path) {
            let fixed = fixed_components(root);
            let folder: PathBuf = named(path).take(fixed).collect();
            let rest: PathBuf = named(path).skip(fixed).collect();
            let folder = absolute(if fixed == 0 { Path::new(".") } else { &folder })?;
            let pattern = format!("{}/{}", store::escape(&folder.to_string_lossy()), rest.to_string_lossy());
            // A folder that matches is searched too.
            shard.ancestors().take_while(|p| p.starts_with(&folder)).any(|p| store::matches(&pattern, p))
        } else {
            false
        };
        if inside {
            return Err(Error::output(
                &output,
                format!("it lies inside the input {root}, and the next run would read it"),
                "choose a path outside of the input's folders",
            ));
        }
    }
    Ok(())
}

/// A path from the root on, links resolved as far as it exists.
fn absolute(path: &Path) -> Result<PathBuf> {
    let mut whole = if path.is_absolute() { PathBuf::from("/") } else { store::canonical(Path::new("."))? };
    for component in path.components() {
        match component {
            Component::ParentDir => _ = whole.pop(),
            Component::Normal(name) => {
                whole.push(name);
                if store::exists(&whole) {
                    whole = store::canonical(&whole)?;
                }
            }
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_told_from_the_input_around_it() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        store::create_dir_all(&at("data/day")).unwrap();
        let root = |name: &str| vec![at(name).display().to_string()];
        for (input, output, apart) in [
            ("data", "out", true),
            ("data", "data/out", false),
            ("data", "data", false),
            ("data", "data2", true),
            ("data/day", "data/out", true),
            ("data/*.parquet", "data/out", true),
            ("data/**/*.parquet", "data/out", false),
            ("data/*", "data/out", false),
            ("data/day/*", "data/out", true),
            ("data", "data/none/../out", false),
            ("data", "none/../data/out", false),
            ("data", "data/../out", true),
        ] {
            assert_eq!(check_apart(&root(input), &at(output)).is_ok(), apart, "{input} {output}");
        }
    }

    #[test]
    fn folders_with_brackets_stand_for_themselves() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("[2024] a*");
        store::create_dir_all(&folder).unwrap();
        for name in ["x.parquet", "y.PARQUET", "z.pq", "w.parq", "notes", "v.csv"] {
            store::write(&folder.join(name), b"").unwrap();
        }
        let folder = folder.display();
        let names = |root: String| {
            let found = discover(&[root]).unwrap();
            let name = |f: &Found| f.path.file_name().unwrap().to_string_lossy().into_owned();
            (found.files.iter().map(name).collect::<Vec<_>>(), found.unread.len())
        };
        assert_eq!(
            names(folder.to_string()),
            (["w.parq", "x.parquet", "y.PARQUET", "z.pq"].map(String::from).into(), 2)
        );
        assert_eq!(names(format!("{folder}/*.parquet")).0, ["x.parquet"]);
        assert_eq!(
            names(format!("{folder}/*")),
            (["w.parq", "x.parquet", "y.PARQUET", "z.pq"].map(String::from).into(), 2)
        );
    }
}
