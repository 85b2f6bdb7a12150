//! Which rows of the input are examples, and which of them positives.

use std::collections::HashMap;

use crate::error::Result;
use crate::identity::{IdentityShare, Tokenizer};
use crate::pipeline::{Hash, Pipeline};
use crate::source::{Found, Options, Predicate, RowGroup, Source, decode};

/// The pipeline's predicates and share of identities, which are the writer's: row by row, true or not.
pub struct Predicates {
    source: Option<Source>,
    keep: Option<Predicate>,
    positive: Option<Predicate>,
    share: Option<IdentityShare>,
    /// By shard and row group.
    groups: HashMap<(usize, usize), RowGroup>,
}

impl Predicates {
    /// # Errors
    /// A predicate that the input has no columns for, or a key file that is refused.
    pub fn new(p: &Pipeline, found: Vec<Found>) -> Result<Self> {
        if p.predicate.is_none() && p.positive.is_none() && p.share.is_none() {
            return Ok(Predicates { source: None, keep: None, positive: None, share: None, groups: HashMap::new() });
        }
        let source = Source::open(found, &Options::of(p))?;
        let discreet = p.hash == Hash::Blake3;
        let predicate =
            |at, sql: &Option<String>| sql.as_ref().map(|sql| Predicate::new(at, sql, &source, discreet)).transpose();
        let (keep, positive) = (predicate("input.where", &p.predicate)?, predicate("mask.positive", &p.positive)?);
        let groups = source.row_groups.iter().map(|group| ((group.shard, group.ordinal), *group)).collect();
        let tokenizer = match (p.hash, &p.key_file) {
            (Hash::Blake3, Some(key_file)) => Tokenizer::blake3(key_file)?,
            _ => Tokenizer::xxh3(),
        };
        Ok(Predicates { source: Some(source), keep, positive, share: IdentityShare::new(p, &tokenizer), groups })
    }

    /// Takes rows of identities outside the share out of `keep`, which have an identity.
    ///
    /// # Errors
    /// An input that can't be read.
    pub fn share(&self, p: &Pipeline, (shard, row_group): (usize, usize), keep: &mut [bool]) -> Result<()> {
        let group = self.groups.get(&(shard, row_group));
        let (Some(share), Some(source), Some(group)) = (&self.share, &self.source, group) else { return Ok(()) };
        let columns = p.identity.iter().map(|name| decode(source, group, source.column("columns.identity", name)?.0));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        share.select(&columns, &source.place(group), group.first_row, keep).map(drop)
    }

    /// Whether each row of a row group is an example, and whether it is a positive.
    ///
    /// # Errors
    /// An input that can't be read.
    pub fn truths(&self, shard: usize, row_group: usize, rows: usize) -> Result<(Vec<bool>, Vec<bool>)> {
        let of = |predicate: &Option<Predicate>| -> Result<Vec<bool>> {
            match (predicate, &self.source, self.groups.get(&(shard, row_group))) {
                (Some(predicate), Some(source), Some(group)) => {
                    let values = predicate.evaluate(source, group)?;
                    Ok(values.iter().map(|value| value == Some(true)).collect())
                }
                _ => Ok(vec![true; rows]),
            }
        };
        Ok((of(&self.keep)?, of(&self.positive)?))
    }
}
