//! The judge: proves a dataset correct from its own files, read through Polars. Knows the contract, nothing
//! of composition, masks or writing. What it shares with them: how counts become metrics, predicates, and which files are
//! inputs.
//!
//! Takes a dataset, and for `--against` the pipeline that made it; gives every finding, not just the first. What a dataset
//! alone can't prove is said in the notes. Works a row group at a time.

mod against;
mod batch;
mod chains;
mod columns;
mod digest;
mod example_keys;
mod files;
mod finding;
mod identities;
mod input;
mod inputs;
mod intervals;
mod item_tables;
mod lookalikes;
mod masks;
mod matching;
mod modes;
mod one_to_one;
mod orders;
mod positives;
mod predicates;
mod rows;
mod rules;
mod second;
mod sums;
mod tables;
mod totals;
mod view;
mod widened;

pub use finding::{Finding, Findings};

use std::path::Path;

use serde::Serialize;

use crate::error::Result;
use crate::pipeline::Pipeline;
use crate::reader::{Dataset, readable_columns};
use crate::stats::{BatchStats, Counts, Metrics};

/// What a verification found.
#[derive(Debug, Serialize)]
pub struct Verdict {
    pub findings: Vec<Finding>,
    /// What could not be proven, and what would prove it.
    pub notes: Vec<String>,
    pub batches: usize,
    pub rows: u64,
}

/// Recomputed figures of a dataset, from its shards.
pub struct Recomputed {
    pub stats: Vec<BatchStats>,
    pub counts: Counts,
    pub metrics: Metrics,
}

/// Checks everything; `sample` (0 to 1) of the batches, if given, has its rows checked. A dataset that can't be opened at all is
/// an error; whatever else is wrong is a finding.
///
/// # Errors
/// A dataset that can't be opened, or an input that can't be read.
pub fn verify(root: &Path, against: Option<&Pipeline>, sample: Option<f64>) -> Result<Verdict> {
    let dataset = Dataset::open(root)?;
    let sample = sample.map(|share| rows::at_least_one(share, dataset.count("batches")));
    let mut findings = Findings::default();
    let readable = files::check(&dataset, &mut findings);
    let orders = orders::check(&dataset, &readable, &mut findings);
    let mut witness = against.map(|p| against::Witness::new(p, &dataset, &orders, &mut findings)).transpose()?;
    if let Some(witness) = &mut witness {
        // Who is who, then which item is which, are known once every row was seen: masks are compared in a third reading.
        let payload = rows::Wanted::without_masks(&witness.payload()).with_second(witness.foreign());
        rows::each_batch(&dataset, &readable, &payload, &mut Findings::default(), |batch, _| witness.learn(&batch));
        witness.settle();
        let tokens = rows::Wanted::without_masks(&[]);
        rows::each_batch(&dataset, &readable, &tokens, &mut Findings::default(), |batch, _| {
            witness.learn_items(&batch)
        });
        witness.settle_items();
    }
    let witnessed = witness.as_ref().is_some_and(|witness| witness.who_is_who);
    let mut totals = totals::Totals::new(&dataset, sample, witnessed);
    let prior = lookalikes::Prior::read(&dataset, &readable, witnessed);
    let wanted = match &witness {
        Some(witness) => rows::Wanted::all().with_second(witness.foreign()),
        None => rows::Wanted::keys(&dataset, sample),
    };
    rows::each_batch(&dataset, &readable, &wanted, &mut findings, |batch, findings| {
        if rows::in_sample(sample, batch.number) {
            batch::check(&dataset, &batch, &prior, witness.as_ref(), findings, &mut totals);
        }
        if let Some(witness) = &mut witness {
            witness.see(&batch, findings);
        }
    });
    let (batches, rows) = (totals.batches(), totals.rows());
    let mut notes = totals.finish(&dataset, against.is_some(), &mut findings);
    let first = dataset.recorded.shards.first().map(|s| dataset.root.join(&s.path));
    if witness.is_some() && first.is_some_and(|path| readable_columns(&path).is_some()) {
        notes.push("payload of types that Polars does not read is compared through the reader that wrote it".into());
    }
    match witness {
        Some(witness) => witness.finish(&dataset, &mut findings),
        None => notes.push("payload, dedup and filters are proven with --against PIPELINE.toml".into()),
    }
    Ok(Verdict { findings: findings.finish(), notes, batches, rows })
}

/// Recomputes a dataset's figures from its shards; findings tell of what can't be read.
///
/// # Errors
/// A dataset that can't be opened.
pub fn recompute(root: &Path) -> Result<(Recomputed, Vec<Finding>)> {
    let dataset = Dataset::open(root)?;
    let mut findings = Findings::default();
    let readable = files::open_all(&dataset, &mut findings);
    let mut totals = totals::Totals::new(&dataset, None, false);
    let mut quiet = Findings::default();
    let prior = lookalikes::Prior::read(&dataset, &readable, false);
    let wanted = rows::Wanted::keys(&dataset, None);
    rows::each_batch(&dataset, &readable, &wanted, &mut findings, |batch, _| {
        batch::check(&dataset, &batch, &prior, None, &mut quiet, &mut totals);
    });
    Ok((totals.recomputed(&dataset), findings.finish()))
}
