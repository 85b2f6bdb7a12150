//! What of the input is compared beside its examples: its files, and the columns of requests.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde_json::Value;
use xxhash_rust::xxh3::xxh3_128;

use super::digest::{Column, row_digests};
use super::finding::{Finding, Findings};
use super::rows::BatchRows;
use crate::error::{Error, Result};
use crate::pipeline::{Hash, Pipeline};
use crate::reader::{Dataset, footer_of};
use crate::schema;
use crate::source::{Found, hive_value};
use crate::store;

/// The input must be the files that were composed: by name, size, rows and footer.
///
/// # Errors
/// An input that can't be read.
pub fn compare(p: &Pipeline, dataset: &Dataset, inputs: &[Found], findings: &mut Findings) -> Result<()> {
    let recorded = &dataset.recorded.inputs;
    if recorded.len() != inputs.len() {
        let problem = format!("it names {} inputs, and the pipeline finds {}", recorded.len(), inputs.len());
        findings.add(Finding::of(schema::MANIFEST, problem));
        return Ok(());
    }
    let paths: Vec<PathBuf> = inputs.iter().map(|input| store::canonical(&input.path)).collect::<Result<_>>()?;
    let shared = shared_folders(&paths);
    for (recorded, path) in recorded.iter().zip(&paths) {
        let (footer, bytes) = tail(path)?;
        let rows = footer_of(path).map(|footer| footer.metadata().file_metadata().num_rows());
        let now = [
            ("use", "examples".into()),
            ("path", named(p, path, shared).into()),
            ("bytes", bytes.into()),
            ("rows", rows.into()),
            ("footer_xxh3_128", format!("{:032x}", xxh3_128(&footer)).into()),
        ];
        let is_not = |(key, now): &&(&str, Value)| recorded[*key] != *now;
        if let Some((key, now)) = now.iter().find(is_not) {
            let (input, then) = (&recorded["path"], &recorded[*key]);
            let problem =
                format!("the input {input} is not the file that was composed: {key} was {then}, and is {now}");
            findings.add_of_kind("inputs", Finding::of(schema::MANIFEST, problem));
        }
    }
    Ok(())
}

/// The last bytes of a file, from where its footer starts (none, where it names a length that it has not), and its length.
fn tail(path: &Path) -> Result<(Vec<u8>, u64)> {
    let mut file = store::open(path)?.reader(0);
    let mut read = || -> std::io::Result<_> {
        let bytes = file.seek(SeekFrom::End(0))?;
        let mut last = [0; 8];
        file.seek(SeekFrom::Start(bytes.saturating_sub(8)))?;
        file.read_exact(&mut last)?;
        let [a, b, c, d, ..] = last;
        let start = bytes.checked_sub(8 + u64::from(u32::from_le_bytes([a, b, c, d])));
        let mut footer = Vec::new();
        if let Some(start) = start {
            file.seek(SeekFrom::Start(start))?;
            file.read_to_end(&mut footer)?;
        }
        Ok((footer, bytes))
    };
    read().map_err(|e| Error::io("read", path, e))
}

/// How many folders, from the root on, all paths lie in.
fn shared_folders(paths: &[PathBuf]) -> usize {
    let folders = |path: &PathBuf| path.components().count() - 1;
    let alike = |a: &PathBuf, b: &PathBuf| a.components().zip(b.components()).take_while(|(a, b)| a == b).count();
    let Some(first) = paths.first() else { return 0 };
    paths.iter().map(|path| alike(first, path).min(folders(path))).min().unwrap_or(0)
}

/// A path below the shared folders; with a key, folders of an identity do not say whose they are.
fn named(p: &Pipeline, path: &Path, shared: usize) -> String {
    let parts = path.components().skip(shared).map(|part| {
        let part = part.as_os_str().to_string_lossy();
        match hive_value(&part) {
            Some((key, _)) if p.hash == Hash::Blake3 && p.identity.contains(&key) => format!("{key}=…"),
            _ => part.into_owned(),
        }
    });
    parts.collect::<Vec<_>>().join("/")
}

/// The digests of request columns where they stand: on the first row of a request. Empty where there are none to compare.
pub fn first_values(batch: &BatchRows, columns: &[Column]) -> Vec<Option<u128>> {
    let first = batch.frame.column(schema::REQUEST_FIRST).ok().and_then(|c| c.bool().ok().cloned());
    let all_read = columns.iter().all(|column| batch.frame.column(&column.name).is_ok());
    let Some(first) = first.filter(|_| !columns.is_empty() && all_read) else { return Vec::new() };
    let digests = row_digests(&batch.frame, columns);
    first.iter().zip(digests).map(|(first, digest)| (first == Some(true)).then_some(digest)).collect()
}
