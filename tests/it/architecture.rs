//! Rooms know what lies below them, files of a room no one that knows them; what crosses is plain data.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// From top to bottom: each room, and what it may use, whole or by name.
const ROOMS: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    ("lib", &[]),
    (
        "cli",
        &[
            "check",
            "compose::Pool",
            "error",
            "figures",
            "identity",
            "init",
            "job",
            "pipeline",
            "progress",
            "reader",
            "report",
            "schema",
            "source",
            "stats",
            "store",
            "verify",
            "work",
        ],
    ),
    (
        "work",
        &[
            "compose",
            "dataset",
            "error",
            "figures",
            "identity",
            "job",
            "keys",
            "negatives",
            "parallel",
            "payload",
            "pipeline",
            "progress",
            "schema",
            "source",
            "spill",
            "stats",
            "store",
        ],
    ),
    (
        "job",
        &[
            "allocator",
            "classes",
            "compose",
            "dataset",
            "dedup",
            "error",
            "figures",
            "identity",
            "keys",
            "negatives",
            "parallel",
            "payload",
            "pipeline",
            "progress",
            "schema",
            "source",
            "spill",
            "stats",
            "store",
        ],
    ),
    ("init", &["error", "identity", "parallel", "source"]),
    ("report", &["check::escape_xml", "error", "reader", "schema", "stats", "verify"]),
    ("check", &["error", "pipeline", "schema", "stats", "store"]),
    (
        "verify",
        &[
            "error",
            "identity::IdentityShare",
            "identity::Tokenizer",
            "pipeline",
            "reader",
            "schema",
            "source",
            "stats",
            "store",
        ],
    ),
    ("reader", &["error", "pipeline", "schema", "source", "stats", "store"]),
    ("figures", &["compose", "error", "identity::LeftOut", "keys", "negatives", "pipeline", "spill", "stats"]),
    (
        "dataset",
        &[
            "compose::Head",
            "compose::Pool",
            "error",
            "identity::KeyFacts",
            "keys::from_ordered_bits",
            "parallel",
            "pipeline",
            "schema",
            "source",
            "stats",
            "store",
        ],
    ),
    ("payload", &["error", "keys", "parallel", "pipeline", "progress", "source", "spill"]),
    (
        "negatives",
        &[
            "classes",
            "compose::Composed",
            "compose::Head",
            "compose::Plan",
            "error",
            "keys",
            "pipeline",
            "schema",
            "spill",
            "stats",
        ],
    ),
    ("compose", &["error", "keys", "parallel", "pipeline", "spill"]),
    ("dedup", &["error", "keys", "pipeline", "spill"]),
    ("identity", &["error", "keys", "parallel", "pipeline", "spill", "store"]),
    ("stats", &["classes", "error", "keys", "pipeline", "schema"]),
    ("keys", &["error", "parallel", "pipeline", "spill"]),
    ("source", &["error", "parallel", "pipeline", "schema", "store"]),
    ("spill", &["error", "parallel", "store"]),
    ("pipeline", &["error", "schema", "store"]),
    ("schema", &[]),
    ("store", &["error"]),
    ("parallel", &["error"]),
    ("progress", &[]),
    ("allocator", &[]),
    ("classes", &[]),
    ("error", &[]),
    ("guide", &[]),
];

/// Crates that a room must not know.
const FOREIGN: &[(&str, &[&str])] = &[
    ("cli", &["arrow::", "parquet::", "polars::"]),
    ("compose", &["arrow::", "parquet::", "polars::", "std::fs", "std::time"]),
    ("dedup", &["arrow::", "parquet::", "polars::", "std::fs", "std::time"]),
    ("figures", &["arrow::", "parquet::", "polars::", "std::fs"]),
    ("negatives", &["parquet::", "polars::", "std::fs", "std::time"]),
    ("payload", &["parquet::", "polars::", "std::fs"]),
    ("check", &["arrow::", "parquet::", "polars::"]),
    ("report", &["arrow::", "parquet::", "polars::"]),
];

/// A source file.
struct File {
    /// Of its module, from the crate's root.
    module: Vec<String>,
    path: PathBuf,
    text: String,
}

impl File {
    fn room(&self) -> &str {
        self.module.first().map_or("lib", String::as_str)
    }

    /// Without tests and comments.
    fn code(&self) -> String {
        let production = self.text.split("\n#[cfg(test)]\n").next().unwrap();
        production.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
    }

    /// What it names of the crate, as paths from the crate's root.
    fn names(&self) -> Vec<Vec<String>> {
        let code = self.code();
        let mut names = Vec::new();
        for (at, _) in code.match_indices("crate::").chain(code.match_indices("super::")) {
            if code[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | ':')) {
                continue;
            }
            let mut path: Vec<String> = Vec::new();
            let mut rest = &code[at..];
            match rest.strip_prefix("crate::") {
                Some(behind) => rest = behind,
                None => path = self.module.clone(),
            }
            while let Some(behind) = rest.strip_prefix("super::") {
                path.pop();
                rest = behind;
            }
            spell(&path, rest, &mut names);
        }
        names
    }
}

/// The paths that a use begins, behind `path`; gives what follows them.
fn spell<'a>(path: &[String], text: &'a str, names: &mut Vec<Vec<String>>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        while !rest.trim_start().starts_with('}') {
            rest = spell(path, rest, names).trim_start();
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
        return &rest.trim_start()[1..];
    }
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '*')).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let whole = if matches!(name, "self" | "*") { path.to_vec() } else { [path, &[name.to_owned()]].concat() };
    if let Some(behind) = rest.strip_prefix("::").filter(|behind| !behind.starts_with('<')) {
        return spell(&whole, behind, names);
    }
    names.push(whole);
    let renamed = rest.strip_prefix(" as ");
    renamed.map_or(rest, |rest| &rest[rest.find([',', '}', ';']).unwrap_or(0)..])
}

fn files() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut files) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let inner = path.strip_prefix(&root).unwrap().with_extension("");
                let parts = inner.components().map(|part| part.as_os_str().to_str().unwrap().to_owned());
                let module = parts.filter(|part| part != "mod" && part != "lib").collect();
                files.push(File { module, text: std::fs::read_to_string(&path).unwrap(), path });
            }
        }
    }
    files
}

#[test]
fn rooms_know_only_what_lies_below_and_is_listed() {
    for file in files() {
        let at = ROOMS.iter().position(|(room, _)| *room == file.room());
        let at = at.unwrap_or_else(|| panic!("{} is in no room that is listed", file.path.display()));
        for name in file.names().into_iter().filter(|name| name[0] != file.room()) {
            let fits = |allowed: &&str| {
                let allowed: Vec<&str> = allowed.split("::").collect();
                allowed.iter().zip(&name).all(|(a, b)| a == b) && name.len() >= allowed.len()
            };
            let name = name.join("::");
            assert!(ROOMS[at].1.iter().any(fits), "{} must not use crate::{name}", file.path.display());
        }
    }
    for (at, (room, allowed)) in ROOMS.iter().enumerate() {
        for other in *allowed {
            let other = other.split("::").next().unwrap();
            assert!(ROOMS[at + 1..].iter().any(|(below, _)| *below == other), "{other} does not lie below {room}");
        }
    }
}

#[test]
fn no_files_know_one_another_in_a_circle() {
    let files = files();
    let by_module: BTreeMap<&[String], usize> = files.iter().enumerate().map(|(k, f)| (&f.module[..], k)).collect();
    // Where a room's face hands a name on from one of its files, by the face and the name.
    let mut handed_on = BTreeMap::new();
    for (k, file) in files.iter().enumerate() {
        for statement in file.code().split("pub use ").skip(1) {
            let mut names = Vec::new();
            let statement = statement.trim_start_matches("self::");
            spell(&file.module, statement.trim_start_matches("crate::"), &mut names);
            names.into_iter().for_each(|name| drop(handed_on.insert((k, name.last().unwrap().clone()), name)));
        }
    }
    let home = |name: &[String]| {
        let mut name = name.to_vec();
        loop {
            let (length, file) = (0..=name.len()).rev().find_map(|n| Some((n, *by_module.get(&name[..n])?))).unwrap();
            match name.get(length).and_then(|own| handed_on.get(&(file, own.clone()))) {
                Some(next) if *next != name => name = next.clone(),
                _ => return file,
            }
        }
    };
    let mut knows: Vec<BTreeSet<usize>> = Vec::new();
    for (k, file) in files.iter().enumerate() {
        knows.push(file.names().iter().map(|name| home(name)).filter(|other| *other != k).collect());
    }
    // Files that know none of the others, or that none of them knows, are in no circle.
    let mut left: BTreeSet<usize> = (0..files.len()).collect();
    loop {
        let known: BTreeSet<usize> = left.iter().flat_map(|k| &knows[*k]).copied().collect();
        let before = left.len();
        let all = left.clone();
        left.retain(|k| known.contains(k) && !knows[*k].is_disjoint(&all));
        if left.len() == before {
            break;
        }
    }
    let shown = |k: &usize| files[*k].module.join("/");
    let arrow =
        |k: &usize| format!("{} → {:?}", shown(k), knows[*k].intersection(&left).map(shown).collect::<Vec<_>>());
    assert!(left.is_empty(), "circles: {:#?}", left.iter().map(arrow).collect::<Vec<_>>());
}

#[test]
fn rooms_do_not_know_foreign_crates() {
    for file in files() {
        for (_, foreign) in FOREIGN.iter().filter(|(room, _)| *room == file.room()) {
            for name in *foreign {
                assert!(!file.text.contains(name), "{} must not know {name}", file.path.display());
            }
        }
    }
}

/// A comment that begins with "Of" makes its reader look for the subject.
#[test]
fn comments_begin_with_their_subject() {
    for file in files() {
        for (number, line) in file.text.lines().enumerate() {
            let comment = line.trim_start().trim_start_matches(['/', '!']);
            let begins = line.trim_start().starts_with("//") && comment.trim_start().starts_with("Of ");
            assert!(!begins, "{}:{}: {line}", file.path.display(), number + 1);
        }
    }
}

#[test]
fn generated_names_are_spelled_in_one_place() {
    for file in files().into_iter().filter(|file| file.room() != "schema") {
        for (number, line) in file.code().lines().enumerate() {
            let literal = line.split('"').skip(1).step_by(2).any(|literal| literal.contains("bw_"));
            assert!(!literal, "{}: line {number} spells a generated column's name", file.path.display());
        }
    }
}

#[test]
fn public_functions_say_how_they_fail() {
    // Commands fail as what they call does; they have no callers but `main`.
    for file in files().into_iter().filter(|file| file.room() != "cli") {
        let production = file.text.split("\n#[cfg(test)]\n").next().unwrap();
        let lines: Vec<&str> = production.lines().collect();
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.trim_start().starts_with("pub fn ")) {
            let signature: String = lines[at..].join("\n").split(['{', ';']).next().unwrap().to_owned();
            let documented = lines[..at].iter().rev().take_while(|line| {
                let line = line.trim_start();
                line.starts_with("///") || line.starts_with("#[")
            });
            let says = documented.into_iter().any(|line| line.contains("# Errors"));
            let fails = signature.rsplit("->").next().is_some_and(|given| given.contains("Result<"));
            assert!(says || !fails, "{}: {line}", file.path.display());
        }
    }
}

#[test]
fn files_are_short() {
    for file in files() {
        let lines = file.text.lines().count();
        assert!(lines <= 400, "{} has {lines} lines", file.path.display());
    }
}
