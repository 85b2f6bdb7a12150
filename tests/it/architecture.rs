//! Stages never import one another; what crosses is plain data.

use std::path::Path;

/// For each stage: the crate modules that it may use.
const ALLOWED: &[(&str, &[&str])] = &[
    ("source", &["error", "pipeline", "schema", "store", "tasks"]),
    ("identity", &["error", "keys", "pipeline", "spill", "store", "tasks"]),
    ("dedup.rs", &["error", "keys", "pipeline", "spill"]),
    ("keys", &["error", "pipeline", "spill"]),
    ("spill", &["error", "store"]),
    ("compose", &["error", "keys", "pipeline", "spill"]),
    (
        "negatives",
        &[
            "classes",
            "compose::{Composed, Head, Plan}",
            "compose::Plan",
            "error",
            "keys",
            "pipeline",
            "schema",
            "spill",
            "stats",
        ],
    ),
    ("payload", &["error", "spill", "tasks"]),
    (
        "dataset",
        &[
            "compose::Head",
            "compose::Pool",
            "error",
            "identity",
            "keys::from_ordered_bits",
            "pipeline",
            "schema",
            "stats",
            "store",
            "tasks",
        ],
    ),
    ("stats", &["classes", "error", "keys", "pipeline"]),
    ("verify", &["error", "pipeline", "schema", "source", "stats", "store"]),
    ("check", &["error", "pipeline", "store"]),
    ("report", &["check::escape_xml", "error", "schema", "stats", "verify"]),
    ("store", &["error"]),
    ("pipeline", &["error", "schema", "store"]),
];

/// Crates that a module must not know.
const FOREIGN: &[(&str, &[&str])] = &[
    ("cli", &["arrow::", "parquet::", "polars::"]),
    ("compose", &["arrow::", "parquet::", "polars::", "std::fs", "std::time"]),
    ("dedup.rs", &["arrow::", "parquet::", "polars::", "std::fs", "std::time"]),
    ("negatives", &["parquet::", "polars::", "std::fs", "std::time"]),
    ("payload", &["parquet::", "polars::", "std::fs"]),
    ("check", &["arrow::", "parquet::", "polars::"]),
    ("report", &["arrow::", "parquet::", "polars::"]),
];

/// The files of a module, at any depth, with their text.
fn sources(name: &str) -> Vec<(String, String)> {
    let mut paths = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(name)];
    let mut files = Vec::new();
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            files.push((path.display().to_string(), std::fs::read_to_string(path).unwrap()));
        }
    }
    files
}

#[test]
fn stages_use_only_what_crosses() {
    for (stage, allowed) in ALLOWED {
        for (file, text) in sources(stage) {
            for part in text.split("crate::").skip(1) {
                let own = part.starts_with(stage.trim_end_matches(".rs"));
                let fits = allowed.iter().any(|a| part.starts_with(a));
                let line = part.lines().next().unwrap_or_default();
                assert!(own || fits, "{file} must not use crate::{line}");
            }
        }
    }
}

#[test]
fn modules_do_not_know_foreign_crates() {
    for (module, foreign) in FOREIGN {
        for (file, text) in sources(module) {
            for name in *foreign {
                assert!(!text.contains(name), "{file} must not know {name}");
            }
        }
    }
}

#[test]
fn generated_names_are_spelled_in_one_place() {
    let spelled = |text: &str| text.lines().any(|l| l.contains("\"bw_") && !l.trim_start().starts_with("//"));
    for module in [
        "source",
        "identity",
        "compose",
        "negatives",
        "payload",
        "dataset",
        "stats",
        "job",
        "cli",
        "verify",
        "check",
        "report",
    ] {
        for (file, text) in sources(module) {
            assert!(!spelled(&text), "{file} spells a generated column's name");
        }
    }
}
