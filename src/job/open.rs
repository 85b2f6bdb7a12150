//! The stage `job`: a pipeline and the footers of its input, checked against one another.

use super::bind::check_columns;
use crate::compose;
use crate::error::Result;
use crate::identity::Tokenizer;
use crate::negatives;
use crate::pipeline::{Hash, Pipeline};
use crate::progress::Progress;
use crate::source::{self, Source};

/// What is known once footers are read.
pub struct Job {
    pub source: Source,
    pub tokenizer: Tokenizer,
    /// What a person should hear of the input.
    pub notices: Vec<String>,
}

/// Finds the input and reads its footers.
///
/// # Errors
/// A pipeline that does not fit the input, an input that is not readable as one table, or a key file that is refused.
pub fn open(p: &Pipeline, progress: &Progress) -> Result<Job> {
    compose::mode(p).check(p)?;
    negatives::MaskRules::of(p)?;
    let tokenizer = match (p.hash, &p.key_file) {
        (Hash::Blake3, Some(key_file)) => Tokenizer::blake3(key_file)?,
        _ => Tokenizer::xxh3(),
    };
    progress.stage("reading footers", 0, "");
    source::check_apart(&p.shards, &p.output)?;
    let found = source::discover(&p.shards)?;
    let mut notices: Vec<String> = found.notice(p.hash == Hash::Blake3).into_iter().collect();
    let source = Source::open(found.files, &source::Options::of(p))?;
    notices.extend(source.notices.iter().cloned());
    check_columns(p, &source)?;
    Ok(Job { source, tokenizer, notices })
}
