//! The order of the stages; the only module that knows it.

pub(crate) mod bind;
pub(crate) mod items;
pub(crate) mod memory;
pub(crate) mod open;
pub(crate) mod origin;
pub(crate) mod output;
pub(crate) mod parts;
pub(crate) mod prepare;
pub(crate) mod routes;
mod row_sources;
pub(crate) mod scan;
mod scatter;

pub use memory::{Memory, memory};
pub use prepare::{Prepared, prepare};

use std::path::PathBuf;

use bytesize::ByteSize;

use crate::allocator;
use crate::dataset::{self, Cuts, Manifest, ShardWriter};
use crate::error::Result;
use crate::figures::{Composition, Measuring, baselines};
use crate::negatives::{LogQOfBatches, need_positives};
use crate::pipeline::Pipeline;
use crate::progress::Progress;
use crate::schema;
use crate::stats::sampled_batches;
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
///
/// # Errors
/// A pipeline that does not fit the input, an input that can't be read, or an output that can't be written.
pub fn run(p: &Pipeline, settings: &Settings, progress: &Progress) -> Result<Outcome> {
    allocator::keep_freed(settings.memory);
    dataset::check_target(&p.output, settings.overwrite)?;
    let mut prepared = prepare(p, settings, progress)?;
    let budget = memory::budget(p, &prepared, settings.memory);
    // Known positives that only a sample of batches asks for are kept for its identities alone, once these are known.
    let asked = p.positives || need_positives(p);
    let mut known = if asked { None } else { prepared.composition.positives.take() };
    let Prepared { source, composition, .. } = &prepared;
    let Composition { composed, positives, .. } = composition;
    dataset::check_inputs(&p.output, source.shards.iter().map(|shard| shard.path.as_path()))?;
    let staging = Staging::beside(&p.output)?;
    let root = staging.dataset();
    store::create_dir_all(&root.join(schema::TABLES))?;

    let inputs = dataset::input_records(p, source)?;
    let mut manifest = Manifest::new(p.record()?, prepared.tokenizer.key_facts(), inputs);

    let items = prepared.composition.keys.shape().item.is_some().then_some(&prepared.composition.facts.items.rows);
    let log_q = items
        .map(|counts| LogQOfBatches::new(&prepared.composition.keys, composed, counts, &prepared.composition.room))
        .transpose()?;
    let output = output::Output::new(p, source, log_q)?;
    let order = items::ItemOrder::new(&prepared.composition);
    let head = composed.head();
    let cuts = Cuts::new(p, head, source.row_bytes());
    progress.stage("reading payload", output.columns() * source.row_groups.len(), "column chunks");
    if let (Some(least), Some(limit)) = (budget.short_of, settings.memory) {
        progress.warn(&format!(
            "--memory {} is short for {} rows: this run may take about {}",
            ByteSize(limit).display().iec(),
            head.rows(),
            ByteSize(least).display().iec()
        ));
    }
    let spill_dir = settings.spill_dir.clone().unwrap_or_else(|| staging.spill());
    let room = scatter::PayloadRoom {
        needs: memory::payload_bytes(p, &prepared),
        budget: budget.payload,
        spill_dir: &spill_dir,
    };
    let mut measuring = Measuring::new(p, &prepared.composition)?;
    let (parts, item_parts) =
        scatter::scattered(&output, &prepared, order.as_ref(), &cuts, room, &mut measuring, progress)?;
    let spilled = parts.spilled_bytes() + prepared.spilled;
    known = known.map(|all| all.only(measuring.sampled()));
    let output =
        output.knowing(positives.as_ref().or(known.as_ref()), sampled_batches(p.seed, head.batches(), p.batch_size));

    progress.stage("writing batches", head.rows(), "rows");
    let writer = ShardWriter {
        pipeline: p,
        root: &root,
        schema: output.schema(),
        properties: &|first| output.properties(source, &*parts.of(first)?, first),
        run_id: &manifest.run_id,
        cuts: &cuts,
        shards: 0..cuts.shards.len(),
        side_by_side: budget.row_groups,
    };
    let stats = output::StatsSink::new(head.batches());
    let shards = dataset::write_shards(
        &writer,
        |batches| parts.prepare(batches),
        |batches| output.row_group(&parts.of(&batches)?, batches, &stats),
        |rows| progress.advance(rows),
    )?;
    manifest.shards = shards;
    let (column, mut values) = (output.item(), parts.into_items());
    drop(output);

    progress.stage("writing tables", 0, "");
    let stats = stats.finish();
    let time = bind::time_type(p, source);
    manifest.tables.push(dataset::write_stats(
        &root,
        (&stats, &head.pool_of_batches()),
        time.as_ref(),
        source.dates_as_days(),
    )?);
    let (tables, (figures, baselines)) = rayon::join(
        || write_tables(&prepared, &root, order.zip(column), &item_parts, &mut values),
        || rayon::join(|| measuring.finish(p), || baselines(p, &prepared.composition)),
    );
    manifest.tables.extend(tables?);
    manifest.tables.extend(items::write_positives(p, &prepared.composition, &root)?);
    let figures = figures?.with(p, &stats);
    (manifest.counts, manifest.stats, manifest.baselines) = (figures.counts, figures.metrics, baselines?);

    // A run that fails says but why it does.
    prepared.warnings(p)?.iter().for_each(|line| progress.warn(line));
    source.check_unchanged()?;
    progress.stage("re-reading and publishing", 0, "");
    dataset::reread(&root, &manifest.shards, &manifest.tables)?;
    dataset::publish(&staging, &p.output, settings.overwrite, &manifest)?;
    Ok(Outcome { manifest, spilled })
}

/// Writes the table of items, where one is mapped.
fn write_tables(
    prepared: &Prepared,
    root: &std::path::Path,
    items: Option<(items::ItemOrder<'_>, crate::source::InputColumn)>,
    parts: &[std::ops::Range<usize>],
    values: &mut parts::ItemValues,
) -> Result<Option<dataset::TableRecord>> {
    let write = |(order, column): (items::ItemOrder<'_>, _)| {
        let load = |part: usize| values.load(part, parts[part].len());
        items::write_items(&prepared.source, column, root, (order.len(), parts), |place| order.at(place), load)
    };
    items.map(write).transpose()
}
