//! The stage `scan`: a row group's key columns in, the tokens of its examples out.

use super::bind::time_type;
use super::open::Job;
use crate::error::Result;
use crate::identity::{ChunkKeys, KeyChunk, KeyColumns};
use crate::parallel::in_parallel;
use crate::pipeline::{Hash, Pipeline};
use crate::source::{self, InputColumn, Predicate, Source};

/// Reads the keys of row groups.
pub struct Scanner<'a> {
    source: &'a Source,
    /// How keys are made.
    pub keys: KeyColumns,
    columns: Vec<InputColumn>,
    keep: Option<Predicate>,
    positive: Option<Predicate>,
}

impl<'a> Scanner<'a> {
    /// # Errors
    /// A predicate that is none of this input.
    pub fn new(p: &Pipeline, job: &'a Job) -> Result<Self> {
        let source = &job.source;
        let discreet = p.hash == Hash::Blake3;
        let predicate =
            |at, text: &Option<String>| text.as_ref().map(|t| Predicate::new(at, t, source, discreet)).transpose();
        let keys = KeyColumns::new(p, &job.tokenizer, time_type(p, source));
        let columns = keys.names().iter().map(|name| Ok(source.column("columns", name)?.0));
        Ok(Scanner {
            columns: columns.collect::<Result<_>>()?,
            keep: predicate("input.where", &p.predicate)?,
            positive: predicate("mask.positive", &p.positive)?,
            source,
            keys,
        })
    }

    /// The keys of a row group's examples.
    ///
    /// # Errors
    /// A file that can't be read, or a value that can't play its role.
    pub fn scan(&self, row_group: usize) -> Result<ChunkKeys> {
        let Scanner { source, columns, .. } = self;
        let group = &source.row_groups[row_group];
        let evaluate = |p: &Option<Predicate>| p.as_ref().map(|p| p.evaluate(source, group)).transpose();
        self.keys.chunk(KeyChunk {
            place: source.place(group),
            first_row: group.first_row,
            columns: in_parallel(columns, |_| 0, |column| source::decode(source, group, *column))?,
            keep: evaluate(&self.keep)?,
            positive: evaluate(&self.positive)?,
        })
    }
}
