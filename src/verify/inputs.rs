//! What of the input is compared beside its examples: its files, and the columns of requests.

use std::os::unix::fs::FileExt;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_128;

use super::dataset::Dataset;
use super::digest::{Column, row_digests};
use super::finding::{Finding, Findings};
use super::rows::BatchRows;
use crate::error::{Error, Result};
use crate::schema;
use crate::source::Found;
use crate::store;

/// The input must be the files that were composed.
pub fn compare(dataset: &Dataset, inputs: &[Found], findings: &mut Findings) -> Result<()> {
    let recorded = &dataset.recorded.inputs;
    if recorded.len() != inputs.len() {
        let problem = format!("it names {} inputs, and the pipeline finds {}", recorded.len(), inputs.len());
        findings.add(Finding::of(schema::MANIFEST, problem));
        return Ok(());
    }
    for (recorded, input) in recorded.iter().zip(inputs) {
        let (bytes, digest) = length_and_footer(&input.path)?;
        if recorded["use"] != "examples" || recorded["bytes"] != bytes || recorded["footer_xxh3_128"] != digest.as_str()
        {
            let problem = format!("the input {} is not the file that was composed", recorded["path"]);
            findings.add_of_kind("inputs", Finding::of(schema::MANIFEST, problem));
        }
    }
    Ok(())
}

/// A file's length, and the digest of its footer with the 8 bytes behind it.
fn length_and_footer(path: &Path) -> Result<(u64, String)> {
    let (file, bytes) = (store::open(path)?, store::len(path)?);
    let tail = |length: u64| -> Result<Vec<u8>> {
        let mut tail = vec![0; usize::try_from(length.min(bytes)).unwrap_or(0)];
        let place = bytes - tail.len() as u64;
        file.read_exact_at(&mut tail, place).map_err(|e| Error::io("read", path, e))?;
        Ok(tail)
    };
    let length = tail(8)?.first_chunk().map_or(0, |length| u32::from_le_bytes(*length));
    Ok((bytes, format!("{:032x}", xxh3_128(&tail(u64::from(length) + 8)?))))
}

/// The digests of request columns where they stand: on the first row of a request. Empty where there are none to compare.
pub fn first_values(batch: &BatchRows, columns: &[Column]) -> Vec<Option<u128>> {
    let first = batch.frame.column(schema::REQUEST_FIRST).ok().and_then(|c| c.bool().ok().cloned());
    let all_read = columns.iter().all(|column| batch.frame.column(&column.name).is_ok());
    let Some(first) = first.filter(|_| !columns.is_empty() && all_read) else { return Vec::new() };
    let digests = row_digests(&batch.frame, columns);
    first.iter().zip(digests).map(|(first, digest)| (first == Some(true)).then_some(digest)).collect()
}
