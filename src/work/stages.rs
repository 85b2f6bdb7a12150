//! The stages up to the pieces, each of which may run in a process of its own.

use std::ops::Range;
use std::path::Path;

use arrow::datatypes::{Float32Type, Int64Type, UInt32Type};

use crate::job::Settings;

use crate::job::bind::time_type;
use crate::job::items::{ItemOrder, item_parts, write_positives};
use crate::job::open::Job;
use crate::job::origin::Origin;
use crate::job::output::Output;
use crate::job::prepare::{composed, gather};
use crate::job::routes::Routes;

use super::bundle::{self, Bundle};
use super::folder::{Opened, Work, nth};
use super::pieces::{PieceWriter, Seen};
use super::records::{ComposedRecord, JobRecord};
use super::routes::{SharedRequests, SplitRoutes};
use super::{keys, part, positives, routes};
use crate::dataset::{self, Cuts, ItemRow};
use crate::error::Result;
use crate::figures::{Measuring, baselines};
use crate::identity::KeyColumns;
use crate::job::scan::Scanner;
use crate::negatives::LogQOfBatches;
use crate::parallel::in_parallel;
use crate::payload::{RequestRows, SeenValue, SourceDecoder, scatter as scatter_payload};
use crate::pipeline::Pipeline;
use crate::progress::Progress;
use crate::schema;
use crate::source::{self, RowGroup, Source};
use crate::spill::MOST_PARTITIONS;
use crate::store;

/// Values of items that are held at a time while their table is written, in bytes.
const ITEM_BYTES: u64 = 64 << 20;

/// Places of the table of items that one bundle describes.
const ITEMS_AT_A_TIME: usize = 1 << 16;

/// Makes the folder ready and cuts the input into about `splits` stretches of row groups, or one a file; gives their number.
///
/// # Errors
/// An input that can't be read, a work folder inside it or one that holds something else, or an output that is taken.
pub fn start(
    p: &Pipeline,
    settings: &Settings,
    root: &Path,
    splits: Option<usize>,
    parts: Option<usize>,
    progress: &Progress,
) -> Result<usize> {
    // What `commit` would refuse is refused before any work.
    dataset::check_target(&p.output, settings.overwrite)?;
    source::check_apart(&p.shards, root)?;
    let opened = Opened::new(p, progress)?;
    let splits = cut(&opened.job, splits);
    let work = Work::at(root);
    let number = splits.len();
    work.begin(&JobRecord { run_id: opened.manifest.run_id, splits, parts })?;
    Ok(number)
}

/// Stretches of row groups with about as many rows each.
fn cut(job: &Job, number: Option<usize>) -> Vec<Range<usize>> {
    let groups = &job.source.row_groups;
    let share = number.map(|number| u64::from(job.source.rows).div_ceil(number.max(1) as u64).max(1));
    let key = |k: usize| match share {
        Some(share) => u64::from(groups[k].first_row) / share,
        None => groups[k].shard as u64,
    };
    let all: Vec<usize> = (0..groups.len()).collect();
    all.chunk_by(|a, b| key(*a) == key(*b)).map(|some| some[0]..some[some.len() - 1] + 1).collect()
}

/// Reads the keys of a split.
///
/// # Errors
/// A split that there is not, or one that can't be read.
pub fn scan(p: &Pipeline, root: &Path, split: usize, progress: &Progress) -> Result<()> {
    let (opened, work) = (Opened::new(p, progress)?, Work::at(root));
    let record = work.record(&opened)?;
    let groups: Vec<usize> = nth(&record.splits, "split", split)?.clone().collect();
    let scanner = Scanner::new(p, &opened.job)?;
    progress.stage("reading keys", groups.len(), "row groups");
    let bundles = groups.chunks(rayon::current_num_threads()).flat_map(|few| {
        let scanned = in_parallel(few, |_| 0, |group| scanner.scan(*group).map(|scanned| keys::bundle(&scanned)));
        progress.advance(few.len());
        match scanned {
            Ok(bundles) => bundles.into_iter().map(Ok).collect::<Vec<_>>(),
            Err(e) => vec![Err(e)],
        }
    });
    bundle::write(&work.keys(split), bundles)?;
    opened.job.source.check_unchanged()
}

/// Composes, once all splits are scanned; gives the number of parts to write.
///
/// # Errors
/// A split that was not scanned, or what composing says.
pub fn compose(p: &Pipeline, settings: &Settings, root: &Path, progress: &Progress) -> Result<usize> {
    let (opened, work) = (Opened::new(p, progress)?, Work::at(root));
    let record = work.record(&opened)?;
    let job = opened.job;
    let columns = KeyColumns::new(p, &job.tokenizer, time_type(p, &job.source));
    progress.stage("reading keys", record.splits.len(), "splits");
    let gathered = gather(p, &job, &columns, settings, |builder| {
        for (split, groups) in record.splits.iter().enumerate() {
            let path = work.keys(split);
            let mut bundles = bundle::read(&path)?;
            for group in groups.clone() {
                let bundle = bundles.next().unwrap_or_else(|| Err(bundle::damaged(&path, "it lacks a row group")))?;
                builder.add(group, keys::keys(&bundle, columns.runs(), rows_of(&job, group))?)?;
            }
            progress.advance(1);
        }
        Ok(())
    })?;
    let finest = |cuts: &Cuts| cuts.shards.iter().map(|shard| shard.batches.clone()).collect::<Vec<_>>();
    let few = |cuts: &Cuts| joined(&finest(cuts), MOST_PARTITIONS);
    let prepared = composed(p, job, gathered, few, progress)?;
    let source = &prepared.source;

    progress.stage("writing parts", 0, "");
    let head = prepared.composition.composed.head();
    let cuts = Cuts::new(p, head, source.row_bytes());
    let parts = prepared.composition.composed.cut(few(&cuts), record.parts.unwrap_or(MOST_PARTITIONS));
    let counts = prepared.composition.keys.shape().item.is_some().then_some(&prepared.composition.facts.items.rows);
    let log_q = counts
        .map(|counts| {
            LogQOfBatches::new(
                &prepared.composition.keys,
                &prepared.composition.composed,
                counts,
                &prepared.composition.room,
            )
        })
        .transpose()?;
    let output = Output::new(p, source, None)?;
    let items = ItemOrder::new(&prepared.composition);
    let item_parts = match (&items, output.item()) {
        (Some(items), Some(column)) => item_parts(source, column, items.len(), ITEM_BYTES),
        _ => Vec::new(),
    };
    if let Some(items) = &items {
        bundle::write(&work.items(), item_bundles(items))?;
    }
    if let Some(known) = &prepared.composition.positives {
        positives::write(&work.positives(), known, prepared.composition.keys.shape().identity.len())?;
    }
    let of_items = items.as_ref().map(|items| (items, item_parts.as_slice()));
    let (mut measuring, mut numbers) = (Measuring::new(p, &prepared.composition)?, 0..);
    let routes = Routes::new(&prepared, output.purposes(), &parts, of_items, |part| {
        measuring.look_at(part)?;
        let log_q = log_q.as_ref().map(|log_q| log_q.of(head, &part.plan.batches)).transpose()?;
        let path = work.part(numbers.next().unwrap_or(0));
        bundle::write(&path, std::iter::once(Ok(part::bundle(part, log_q.as_deref()))))
    })?;
    let ends: Vec<u64> = record.splits.iter().map(|groups| rows_of_all(&prepared.source, groups).end).collect();
    let shared = SharedRequests::new(&prepared.composition.keys, &ends)?;
    for (split, groups) in record.splits.iter().enumerate() {
        let groups = (groups.start, &source.row_groups[groups.clone()]);
        routes::write(&work.routes(split), groups, &routes, &prepared.composition.keys, &shared)?;
    }
    let tables = work.tables();
    store::create_dir_all(&tables.join(schema::TABLES))?;
    let tables = write_positives(p, &prepared.composition, &tables)?.into_iter().collect();
    let columns = prepared.composition.keys.shape().columns.iter().map(|(name, _)| name.clone()).collect();
    let (measured, baselines) = rayon::join(|| measuring.finish(p), || baselines(p, &prepared.composition));
    prepared.warnings(p)?.iter().for_each(|line| progress.warn(line));
    let composed = ComposedRecord {
        head: head.clone(),
        parts,
        item_parts,
        columns,
        measured: measured?,
        baselines: baselines?,
        tables,
    };
    work.write(&work.composed(), &composed)?;
    Ok(composed.writes())
}

/// The input rows of a row group.
fn rows_of(job: &Job, group: usize) -> Range<u64> {
    rows_of_all(&job.source, &(group..group + 1))
}

/// The input rows of consecutive row groups.
fn rows_of_all(source: &Source, groups: &Range<usize>) -> Range<u64> {
    let of = |group: &RowGroup| u64::from(group.first_row)..u64::from(group.first_row) + u64::from(group.rows);
    let all = &source.row_groups[groups.clone()];
    all.first().map_or(0, |group| of(group).start)..all.last().map_or(0, |group| of(group).end)
}

/// Consecutive ranges as about `number` ranges.
fn joined(ranges: &[Range<usize>], number: usize) -> Vec<Range<usize>> {
    let size = ranges.len().div_ceil(number.max(1)).max(1);
    ranges.chunks(size).map(|some| some[0].start..some[some.len() - 1].end).collect()
}

/// The table of items without their values.
fn item_bundles<'a>(items: &'a ItemOrder<'_>) -> impl Iterator<Item = Result<Bundle>> + 'a {
    (0..items.len()).step_by(ITEMS_AT_A_TIME).map(move |start| {
        let (rows, shown): (Vec<ItemRow>, Vec<u32>) =
            (start..items.len().min(start + ITEMS_AT_A_TIME)).map(|place| items.at(place)).unzip();
        let narrow = |of: &dyn Fn(&ItemRow) -> u32| rows.iter().map(of).collect::<Vec<u32>>();
        Ok(Bundle::default()
            .numbers::<Int64Type>("token", rows.iter().map(|row| row.token).collect())
            .numbers::<UInt32Type>("rows_before_dedup", narrow(&|row| row.rows_before_dedup))
            .numbers::<UInt32Type>("rows", narrow(&|row| row.rows))
            .numbers::<UInt32Type>("positives", narrow(&|row| row.positives))
            .numbers::<Float32Type>("log_q", rows.iter().map(|row| row.log_q).collect())
            .numbers::<UInt32Type>("shown_by", shown))
    })
}

/// Decodes the payload of a split and cuts it into pieces, once all is composed.
///
/// # Errors
/// A split that there is not or can't be read, or a request column that varies in it.
pub fn scatter(p: &Pipeline, root: &Path, split: usize, progress: &Progress) -> Result<()> {
    let (opened, work) = (Opened::new(p, progress)?, Work::at(root));
    let groups = nth(&work.record(&opened)?.splits, "split", split)?.clone();
    let source = &opened.job.source;
    let output = Output::new(p, source, None)?;
    let routes = SplitRoutes::read(&work.routes(split), groups.start, output.purposes())?;
    if routes.groups() != groups {
        return Err(bundle::damaged(&work.routes(split), "it lacks row groups"));
    }
    let checked = !p.request.is_empty() && output.origins().iter().any(|origin| *origin != Origin::Row);
    let requests = checked.then(|| RequestRows::new(&routes)).transpose()?;
    let columns = output.decoded(source, requests.as_ref());
    progress.stage("reading payload", groups.len() * columns.len(), "column chunks");
    let decoder = SourceDecoder::new(source, columns, &routes, u64::MAX, progress);
    let (bytes, index) = work.pieces(split);
    store::write_whole(&bytes, |file| {
        let pieces = PieceWriter::new(&bytes, file);
        scatter_payload(&decoder, groups, &output.compressed(source), &routes, &|part, piece, bytes| {
            pieces.put(part, piece, &bytes)
        })?;
        let seen: Vec<Seen> = decoder
            .seen()
            .into_iter()
            .map(|(column, seen)| (column, SeenValue { request: routes.codes[seen.request as usize], ..seen }))
            .collect();
        source.check_unchanged()?;
        bundle::write(&index, std::iter::once(Ok(pieces.index(&seen))))
    })
}
