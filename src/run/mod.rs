//! The order of the stages; the only module that knows it.

mod advice;
mod baselines;
mod decoder;
mod facts;
mod figures;
mod inputs;
mod items;
mod memory;
mod output;
mod prepare;
mod requests;
mod room;
mod rows;
mod rules;
mod sources;
mod wanted;

pub use advice::{advice, warnings};
pub use baselines::baselines;
pub use figures::{ClassBalance, Figures, class_balance, figures};
pub use memory::{Memory, memory};
pub use prepare::{Prepared, prepare};
pub use rules::rule_shares;

use std::path::PathBuf;

use bytesize::ByteSize;

use crate::dataset::{self, Cuts, Manifest, ShardWriter};
use crate::error::Result;
use crate::heap;
use crate::negatives::LogQOfBatches;
use crate::pipeline::Pipeline;
use crate::progress::Progress;
use crate::store::{self, Staging};

/// What is not part of the pipeline and enters no output byte.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub overwrite: bool,
    /// Bytes for the whole process; `None`: half of what is free.
    pub memory: Option<u64>,
    /// Where scratch files go; `None`: beside the output.
    pub spill_dir: Option<PathBuf>,
}

/// What a run gives.
pub struct Outcome {
    pub manifest: Manifest,
    /// Bytes that went through scratch files.
    pub spilled: u64,
}

/// Composes a dataset at `output.path`, or leaves nothing there.
pub fn run(p: &Pipeline, settings: &Settings, progress: &Progress) -> Result<Outcome> {
    heap::keep_freed(settings.memory);
    dataset::check_target(&p.output, settings.overwrite)?;
    let prepared = prepare(p, settings, progress)?;
    let Prepared { source, composed, positives, .. } = &prepared;
    dataset::check_inputs(&p.output, source.shards.iter().map(|shard| shard.path.as_path()))?;
    let staging = Staging::beside(&p.output)?;
    let root = staging.dataset();
    store::create_dir_all(&root.join("_batchwright"))?;

    progress.stage("digesting inputs", 0);
    let inputs = inputs::records(p, source)?;
    let mut manifest = Manifest::new(p.record()?, prepared.tokenizer.key_facts(), inputs);

    let items = prepared.keys.shape().item.is_some().then_some(&prepared.facts.items.rows);
    let log_q = items.map(|counts| LogQOfBatches::new(&prepared.keys, composed, counts, &prepared.room)).transpose()?;
    let output = output::Output::new(p, source, positives.as_ref(), log_q);
    let head = composed.head();
    let cuts = Cuts::new(p, head, source.row_bytes());
    progress.stage("reading payload", output.columns() * source.row_groups.len());
    let budget = memory::budget(p, &prepared, settings.memory);
    if let (Some(least), Some(limit)) = (budget.short_of, settings.memory) {
        progress.warn(&format!(
            "--memory {} is short for {} rows: this run may take about {}",
            ByteSize(limit).display().iec(),
            head.rows(),
            ByteSize(least).display().iec()
        ));
    }
    let memory = (memory::payload_bytes(p, &prepared), budget.payload);
    let spill_dir = settings.spill_dir.clone().unwrap_or_else(|| staging.spill());
    let rows = output.load(&prepared, &cuts, memory, &spill_dir, progress)?;
    let spilled = rows.spilled_bytes() + prepared.spilled;

    progress.stage("writing batches", head.rows());
    let first = cuts.first_row_group();
    rows.prepare(first.clone())?;
    let writer = ShardWriter {
        pipeline: p,
        root: &root,
        schema: output.schema(),
        properties: output.properties(source, &rows, &first)?,
        cuts: &cuts,
        side_by_side: budget.row_groups,
    };
    let stats = output::StatsSink::new(head.batches());
    manifest.shards = dataset::write_shards(
        &writer,
        |batches| rows.prepare(batches),
        |batches| output.row_group(&rows, batches, &stats),
        |rows| progress.advance(rows),
    )?;
    drop((rows, output));

    progress.stage("writing tables", 0);
    let stats = stats.finish();
    let time = prepare::time_type(p, source);
    manifest.tables.push(dataset::write_stats(&root, &stats, time.as_ref(), source.dates_as_days())?);
    let (tables, (figures, baselines)) = rayon::join(
        || items::write(p, &prepared, &root, budget.payload / 3, &spill_dir),
        || rayon::join(|| figures::measured(p, &prepared, &stats), || baselines(p, &prepared)),
    );
    manifest.tables.extend(tables?);
    let figures = figures?;
    (manifest.counts, manifest.stats, manifest.baselines) = (figures.counts, figures.metrics, baselines?);

    // A run that fails says but why it does.
    warnings(p, &prepared, &rule_shares(p, &prepared)?).iter().for_each(|line| progress.warn(line));
    progress.stage("re-reading and publishing", 0);
    dataset::commit(&staging, &p.output, settings.overwrite, &manifest)?;
    Ok(Outcome { manifest, spilled })
}
