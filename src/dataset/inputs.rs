//! The record of the inputs.

use std::path::{Component, PathBuf};

use super::manifest::InputRecord;
use crate::error::Result;
use crate::pipeline::{Hash, Pipeline};
use crate::source::{Shard, Source, Stamp, hive_value};
use crate::store;

/// Paths (relative to the inputs' deepest common folder), sizes and digests of the input files' footers. With keyed tokens, folders that
/// name an identity do not say whose they are.
///
/// # Errors
/// A file that is no longer there.
pub fn input_records(p: &Pipeline, source: &Source) -> Result<Vec<InputRecord>> {
    let paths: Vec<PathBuf> = source.shards.iter().map(|s| store::canonical(&s.path)).collect::<Result<_>>()?;
    let common = common_folder(&paths);
    let record = |(shard, path): (&Shard, &PathBuf)| {
        let Stamp { bytes, footer_xxh3_128, .. } = shard.stamp.clone();
        let relative = path.strip_prefix(&common).unwrap_or(path);
        let rows = u64::try_from(shard.footer.metadata().file_metadata().num_rows()).unwrap_or(0);
        let parts = relative.components().map(|part| shown(p, &part.as_os_str().to_string_lossy()));
        let path = parts.collect::<Vec<_>>().join("/");
        InputRecord { use_: "examples", path, bytes, rows, footer_xxh3_128 }
    };
    Ok(source.shards.iter().zip(&paths).map(record).collect())
}

/// A part of a path, without the identity that it names.
fn shown(p: &Pipeline, part: &str) -> String {
    match hive_value(part) {
        Some((key, _)) if p.hash == Hash::Blake3 && p.identity.contains(&key) => format!("{key}=…"),
        _ => part.to_owned(),
    }
}

fn common_folder(paths: &[PathBuf]) -> PathBuf {
    let mut common: Option<Vec<Component<'_>>> = None;
    for folder in paths.iter().filter_map(|p| p.parent()) {
        let parts: Vec<Component<'_>> = folder.components().collect();
        common = Some(match common {
            None => parts,
            Some(known) => known.into_iter().zip(parts).take_while(|(a, b)| a == b).map(|(a, _)| a).collect(),
        });
    }
    common.unwrap_or_default().into_iter().collect()
}
