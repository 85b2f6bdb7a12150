//! The last two stages: the files of a part, and the dataset out of all parts.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Float32Type, Int64Type, UInt32Type};

use super::folder::{Opened, Work, nth};
use super::part::PartValues;
use super::pieces::{self, pieces_of, seen_in};
use super::records::{ComposedRecord, JobRecord, WrittenRecord};
use super::{bundle, positives};
use crate::dataset::{self, Cuts, ItemRow, ShardWriter};
use crate::error::{Error, Place, Result};
use crate::figures::Figures;
use crate::job::bind::time_type;
use crate::job::items::write_items;
use crate::job::memory::row_groups_at_a_time;
use crate::job::output::{Output, StatsSink};
use crate::job::parts::{LoadedPart, rows_of};
use crate::job::{Outcome, Settings};
use crate::negatives::{LogQOfBatches, need_positives};
use crate::payload::{Digest, Payload, differ, gathered};
use crate::pipeline::Pipeline;
use crate::progress::Progress;
use crate::schema;
use crate::source::Source;
use crate::stats::sampled_batches;
use crate::store::{self, Staging};

/// Writes and re-reads the files of a part, once all splits are scattered; the table of items is the last part.
///
/// # Errors
/// A part that there is not, or rows of it that did not come exactly once.
pub fn write(p: &Pipeline, settings: &Settings, root: &Path, part: usize, progress: &Progress) -> Result<()> {
    let (opened, work) = (Opened::new(p, progress)?, Work::at(root));
    let record = work.record(&opened)?;
    let composed: ComposedRecord = work.read(&work.composed())?;
    let all: Vec<usize> = (0..composed.writes()).collect();
    nth(&all, "part", part)?;
    let staged = store::private_folder_in(&work.all_written())?;
    store::create_dir_all(&staged.path().join(schema::TABLES))?;
    let task =
        Task { p, source: &opened.job.source, work: &work, record: &record, composed: &composed, root: staged.path() };
    let written = match composed.parts.get(part) {
        Some(batches) => task.batches(part, batches, settings, progress)?,
        None => task.items()?,
    };
    progress.stage("re-reading", 0, "");
    dataset::reread(staged.path(), &written.shards, &written.tables)?;
    store::put_folder(staged, &work.written(part))?;
    work.write(&work.written_record(part), &written)
}

/// What writing a part needs.
struct Task<'a> {
    p: &'a Pipeline,
    source: &'a Source,
    work: &'a Work,
    record: &'a JobRecord,
    composed: &'a ComposedRecord,
    /// Where the files go.
    root: &'a Path,
}

impl Task<'_> {
    fn batches(
        &self,
        part: usize,
        batches: &Range<usize>,
        settings: &Settings,
        progress: &Progress,
    ) -> Result<WrittenRecord> {
        let Task { p, source, work, composed, .. } = self;
        let head = &composed.head;
        let positions = head.positions(batches);
        let mut values = PartValues::read(&bundle::read_one(&work.part(part))?, positions.len(), &composed.columns)?;
        let mut sample = sampled_batches(p.seed, head.batches(), p.batch_size);
        sample.retain(|batch| batches.contains(batch));
        let known = p.item.is_some() && (!sample.is_empty() || need_positives(p));
        let known = known.then(|| positives::read(&work.positives(), &values)).transpose()?;
        let log_q = values.take_log_q(positions.start).map(LogQOfBatches::OfOnePool);
        let output = Output::new(p, source, log_q)?.knowing(known.as_ref(), sample);
        let loaded = LoadedPart::new(values.into_part(head, batches.clone()), |own, carriers| {
            let mut rows = rows_of(&output.origins(), own, carriers);
            rows.resize(output.columns(), 0);
            self.payload(part, &output.decoded_types(source), &rows)
        });
        let loaded = Arc::new(loaded?);

        progress.stage("writing batches", positions.len(), "rows");
        let cuts = Cuts::new(p, head, source.row_bytes());
        let within =
            |shard: &&dataset::ShardCut| shard.batches.start >= batches.start && shard.batches.end <= batches.end;
        let first = cuts.shards.iter().position(|shard| within(&shard)).unwrap_or(0);
        let shards = first..first + cuts.shards.iter().filter(within).count();
        let writer = ShardWriter {
            pipeline: p,
            root: self.root,
            schema: output.schema(),
            properties: &|first| output.properties(source, &loaded, first),
            run_id: &self.record.run_id,
            cuts: &cuts,
            shards,
            side_by_side: row_groups_at_a_time(p, source, settings.memory),
        };
        let stats = StatsSink::new(batches.len());
        let shards = dataset::write_shards(
            &writer,
            |_| Ok(()),
            |batches| output.row_group(&loaded, batches, &stats),
            |rows| progress.advance(rows),
        )?;
        Ok(WrittenRecord { shards, tables: Vec::new(), stats: stats.finish() })
    }

    fn items(&self) -> Result<WrittenRecord> {
        let Task { source, work, composed, .. } = self;
        let output = Output::new(self.p, source, None)?;
        let Some(column) = output.item() else { return Ok(WrittenRecord::default()) };
        let mut all: Vec<(ItemRow, u32)> = Vec::new();
        for bundle in bundle::read(&work.items())? {
            let bundle = bundle?;
            let narrow = |name: &str| bundle.get::<UInt32Type>(name);
            let (before, rows, positives) = (narrow("rows_before_dedup")?, narrow("rows")?, narrow("positives")?);
            let (log_q, shown) = (bundle.get::<Float32Type>("log_q")?, narrow("shown_by")?);
            let counts = before.into_iter().zip(rows).zip(positives).zip(log_q).zip(shown);
            let row = |(token, ((((rows_before_dedup, rows), positives), log_q), shown))| {
                (ItemRow { token, rows_before_dedup, rows, positives, log_q }, shown)
            };
            all.extend(bundle.get::<Int64Type>("token")?.into_iter().zip(counts).map(row));
        }
        if composed.item_parts.last().is_some_and(|last| last.end != all.len()) {
            return Err(bundle::damaged(&work.items(), "it lacks items"));
        }
        let (types, last) = (output.decoded_types(source), output.columns() - 1);
        let load = |part: usize| {
            let mut rows = vec![0; output.columns()];
            rows[last] = composed.item_parts[part].len();
            Ok(self.payload(composed.parts.len() + part, &types, &rows)?.split_off(last))
        };
        let places = (all.len(), composed.item_parts.as_slice());
        let table = write_items(source, column, self.root, places, |place| all[place], load)?;
        Ok(WrittenRecord { tables: vec![table], ..WrittenRecord::default() })
    }

    /// The payload of a part, out of the pieces of all splits.
    fn payload(&self, part: usize, types: &[DataType], rows: &[usize]) -> Result<Payload> {
        let mut all = Vec::new();
        for split in 0..self.record.splits.len() {
            let (bytes, index) = self.work.pieces(split);
            all.extend(pieces_of(&index, &bytes, part)?.into_iter().map(|piece| (piece, split)));
        }
        all.sort_unstable();
        if all.iter().any(|(piece, _)| piece.column >= types.len()) {
            return Err(bundle::damaged(&self.work.pieces(0).1, "it is of another pipeline"));
        }
        let pieces: Vec<_> = all.iter().map(|(piece, _)| *piece).collect();
        // Pieces are read in their order, and those of a column and split follow one another: one file is open at a time.
        let mut splits = all.iter().map(|(_, split)| *split);
        let mut open: Option<(usize, crate::store::Blob)> = None;
        gathered(&pieces, types, rows, |piece, bytes| {
            let split = splits.next().unwrap_or(0);
            let path = self.work.pieces(split).0;
            if open.as_ref().is_none_or(|(own, _)| *own != split) {
                open = Some((split, store::open(&path)?));
            }
            open.iter().try_for_each(|(_, file)| pieces::read(file, &path, piece, bytes))
        })
    }
}

/// Puts the dataset together, once all parts are written, and makes it appear.
///
/// # Errors
/// A part that was not written, or a request column that varies between splits; the output then stays as it was.
pub fn commit(p: &Pipeline, settings: &Settings, root: &Path, progress: &Progress) -> Result<Outcome> {
    dataset::check_target(&p.output, settings.overwrite)?;
    let (opened, work) = (Opened::new(p, progress)?, Work::at(root));
    let record = work.record(&opened)?;
    let source = &opened.job.source;
    dataset::check_inputs(&p.output, source.shards.iter().map(|shard| shard.path.as_path()))?;
    let composed: ComposedRecord = work.read(&work.composed())?;
    check_requests(p, source, &work, record.splits.len())?;

    progress.stage("publishing", 0, "");
    let staging = Staging::beside(&p.output)?;
    let dataset = staging.dataset();
    store::create_dir_all(&dataset.join(schema::TABLES))?;
    let mut all = WrittenRecord::default();
    for part in 0..composed.writes() {
        let own: WrittenRecord = work.read(&work.written_record(part))?;
        let paths = own.shards.iter().map(|shard| &shard.path).chain(own.tables.iter().map(|table| &table.path));
        paths.into_iter().try_for_each(|path| bring(&work.written(part).join(path), &dataset.join(path)))?;
        all.shards.extend(own.shards);
        all.tables.extend(own.tables);
        all.stats.extend(own.stats);
    }
    composed.tables.iter().try_for_each(|table| bring(&work.tables().join(&table.path), &dataset.join(&table.path)))?;
    all.shards.sort_by_key(|shard| (shard.rank, shard.first_batch));
    all.stats.sort_by_key(|stats| stats.batch);
    if !all.stats.iter().map(|stats| stats.batch as usize).eq(0..composed.head.batches()) {
        return Err(Error::input(Place::file(root), "not every batch was written once", "write all parts again"));
    }
    let mut manifest = opened.manifest;
    let time = time_type(p, source);
    manifest.tables.push(dataset::write_stats(
        &dataset,
        (&all.stats, &composed.head.pool_of_batches()),
        time.as_ref(),
        source.dates_as_days(),
    )?);
    manifest.tables.extend(all.tables);
    manifest.tables.extend(composed.tables);
    manifest.shards = all.shards;
    let Figures { counts, metrics } = composed.measured.with(p, &all.stats);
    (manifest.counts, manifest.stats, manifest.baselines) = (counts, metrics, composed.baselines);
    dataset::publish(&staging, &p.output, settings.overwrite, &manifest)?;
    Ok(Outcome { manifest, spilled: 0 })
}

/// Puts a file into the dataset; it stays in the work folder too.
fn bring(from: &Path, to: &Path) -> Result<()> {
    to.parent().into_iter().try_for_each(store::create_dir_all)?;
    store::link(from, to)
}

/// Requests that lie in several splits were seen with the same values in all of them.
fn check_requests(p: &Pipeline, source: &Source, work: &Work, splits: usize) -> Result<()> {
    let output = Output::new(p, source, None)?;
    let mut known: HashMap<(u32, u32), (u32, Digest)> = HashMap::new();
    for split in 0..splits {
        for (column, seen) in seen_in(&work.pieces(split).1)? {
            let (first, digest) = *known.entry((column, seen.request)).or_insert((seen.input_row, seen.digest));
            if digest != seen.digest {
                let group = source.row_groups.partition_point(|group| group.first_row <= seen.input_row) - 1;
                let place = source.place(&source.row_groups[group]);
                return Err(differ(place, output.name(column as usize), first, seen.input_row));
            }
        }
    }
    Ok(())
}
