//! Batches as a trainer reads them: row group by row group, cut where `bw_batch` changes, ranks' slices joined.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};

use polars::prelude::{DataFrame, ParallelStrategy};
use polars_io::parquet::metadata::FileMetadataRef;
use xxhash_rust::xxh3::xxh3_64;

use super::columns::{Named, parts_of, root_of};
use super::files::Readable;
use super::finding::{Finding, Findings};
use crate::reader::{Dataset, ints};
use crate::schema;
use crate::source::{polars_footer, read_row_group, unless_panic};
use crate::store;

/// All rows of one batch.
pub struct BatchRows {
    pub number: i64,
    /// One frame a rank, in rank order.
    pub frame: DataFrame,
    /// Shard and row group of each rank's slice, with its first slot.
    pub places: Vec<(usize, String, usize)>,
    /// The slices that could be read, in the frame's order, with their rows.
    pub slices: Vec<(SliceKey, usize)>,
}

/// Tells a rank's slice of a batch from all others, even where batches are numbered wrongly: number, shard and row group.
pub type SliceKey = (i64, String, usize);

impl BatchRows {
    /// A finding about a slot of this batch.
    pub fn finding(&self, slot: Option<usize>, column: &str, problem: impl Into<String>) -> Finding {
        let at = slot.unwrap_or(0);
        let place = self.places.iter().rev().find(|(first, ..)| *first <= at).or(self.places.first());
        let (file, row_group) = place.map(|(_, file, group)| (file.clone(), *group)).unwrap_or_default();
        Finding {
            file,
            row_group: Some(row_group),
            batch: Some(self.number),
            slot,
            column: (!column.is_empty()).then(|| column.to_owned()),
            problem: problem.into(),
        }
    }
}

/// What of a dataset is read.
pub struct Wanted {
    /// Columns of the payload; `None`: all.
    payload: Option<Vec<String>>,
    /// Masks, beside the other generated columns.
    masks: bool,
    sample: Option<f64>,
    /// Columns of which the digests of values are read through Arrow's reader.
    second: Vec<String>,
}

impl Wanted {
    /// All rows, with all columns.
    pub fn all() -> Self {
        Wanted { payload: None, masks: true, sample: None, second: Vec::new() }
    }

    /// All rows, with all payload columns and all generated ones but the masks.
    pub fn all_but_masks() -> Self {
        Wanted { payload: None, masks: false, sample: None, second: Vec::new() }
    }

    /// All rows, with these payload columns and all generated ones but the masks.
    pub fn without_masks(payload: &[String]) -> Self {
        Wanted { payload: Some(payload.to_vec()), masks: false, sample: None, second: Vec::new() }
    }

    /// The batches in the sample, with the columns that generated ones are recomputed from: all of them where copies have to
    /// be told by their payload.
    pub fn keys(dataset: &Dataset, sample: Option<f64>) -> Self {
        let roles = ["label", "request", "time"].iter().flat_map(|role| dataset.columns(role));
        let rules = dataset.list("mask.rules");
        let named = rules.iter().flat_map(|rule| parts_of(rule)).map(|part| match part {
            Named::Role(name) | Named::Column(name) => name,
        });
        let mut columns: Vec<String> = roles.chain(named).collect();
        if dataset.setting("requests.layout") == "first" {
            columns.extend(dataset.list("requests.columns"));
        }
        Wanted { payload: (dataset.count("copies") == 0).then_some(columns), masks: true, sample, second: Vec::new() }
    }

    /// And the digests of these columns' values.
    pub fn with_second(mut self, columns: &[String]) -> Self {
        self.second = columns.to_vec();
        self
    }

    /// Whether a payload column is read.
    fn wants(&self, name: &str) -> bool {
        // The column of a field is read whole.
        self.payload.as_ref().is_none_or(|payload| payload.iter().any(|wanted| root_of(wanted, |r| r == name) == name))
    }

    fn of(&self, path: &std::path::Path) -> Option<Vec<String>> {
        let readable = crate::reader::readable_columns(path);
        if self.payload.is_none() && self.masks {
            return readable;
        }
        let schema = crate::reader::schema_of(path)?;
        let names = schema.fields().iter().map(|f| f.name().clone());
        let is_mask =
            |n: &str| [schema::SAME_USER, schema::NEGATIVES, schema::EXCLUDED, schema::OWN_POSITIVES].contains(&n);
        let wanted = names.filter(|n| match n.starts_with(schema::RESERVED) {
            true => self.masks || !is_mask(n),
            false => self.wants(n),
        });
        Some(wanted.filter(|n| readable.as_ref().is_none_or(|r| r.contains(n))).collect())
    }
}

/// Whether a batch is in the sample; the same ones each time.
pub fn in_sample(sample: Option<f64>, batch: i64) -> bool {
    sample.is_none_or(|share| place_in_sample(batch) < share)
}

/// The share of `batches` batches that is sampled: one of them at least.
pub fn at_least_one(share: f64, batches: u64) -> f64 {
    // Whatever a damaged manifest says: of so many, one is early enough.
    let looked_at = batches.min(1 << 20) as i64;
    share.max((0..looked_at).map(place_in_sample).fold(1.0, f64::min).next_up())
}

/// From 0 to 1.
fn place_in_sample(batch: i64) -> f64 {
    (xxh3_64(&batch.to_le_bytes()) >> 11) as f64 / ((1u64 << 53) as f64)
}

/// Calls `see` with each batch, in order. Batches that ranks do not share, or whose slices have a wrong length, are findings.
pub fn each_batch(
    dataset: &Dataset,
    readable: &[Readable],
    wanted: &Wanted,
    findings: &mut Findings,
    mut see: impl FnMut(BatchRows, &mut Findings),
) {
    let mut parts: BTreeMap<usize, Vec<&Readable>> = BTreeMap::new();
    for shard in readable {
        parts.entry(dataset.recorded.shards[shard.shard].first_batch).or_default().push(shard);
    }
    let last = dataset.count("batches") as i64 - 1;
    let mut expected = 0i64;
    // A row group is read while the batches of the one before are checked.
    let (send, row_groups) = sync_channel(0);
    std::thread::scope(|scope| {
        scope.spawn(|| read_all(dataset, parts, wanted, send));
        for (group, read) in row_groups {
            let mut slices: BTreeMap<i64, Vec<(usize, DataFrame)>> = BTreeMap::new();
            for (shard, outcome) in read {
                match outcome {
                    Ok(frame) => cut(&frame).into_iter().for_each(|(number, rows)| {
                        slices.entry(number).or_default().push((shard, rows));
                    }),
                    Err(problem) => findings.add(Finding {
                        row_group: Some(group),
                        ..Finding::of(&dataset.recorded.shards[shard].path, problem)
                    }),
                }
            }
            let last_of_group = slices.keys().next_back().copied();
            for (number, slices) in slices {
                let (mut places, mut read) = (Vec::new(), Vec::new());
                let mut joined: Option<DataFrame> = None;
                let mut ranks = Vec::new();
                for (shard, rows) in slices {
                    let recorded = &dataset.recorded.shards[shard];
                    let place = (recorded.rank * dataset.slice(), recorded.path.clone(), group);
                    // With exact windows, a row group ends behind each batch that is short.
                    let ends_pool = dataset.has_exact_windows() && last_of_group == Some(number);
                    let short = (number == last || ends_pool)
                        && dataset.ranks == 1
                        && dataset.setting("compose.remainder") == "short";
                    if rows.height() != dataset.slice() && !short {
                        let problem = format!("{} rows in a row, not {}", rows.height(), dataset.slice());
                        let finding = Finding {
                            batch: Some(number),
                            row_group: Some(group),
                            ..Finding::of(&recorded.path, problem)
                        };
                        findings.add_of_kind("batches torn", finding.column(schema::BATCH));
                    }
                    ranks.push(recorded.rank);
                    places.push(place);
                    read.push(((number, recorded.path.clone(), group), rows.height()));
                    joined = match joined {
                        None => Some(rows),
                        Some(all) => all.vstack(&rows).ok(),
                    };
                }
                let file = places.first().map(|p| p.1.clone()).unwrap_or_default();
                if number != expected && wanted.sample.is_none() {
                    let problem = format!("batch {number} comes where batch {expected} should");
                    findings.add_of_kind("order of batches", Finding::of(&file, problem).column(schema::BATCH));
                }
                expected = number + 1;
                if ranks != (0..dataset.ranks).collect::<Vec<_>>() {
                    let problem = format!("batch {number} is in ranks {ranks:?} of {}", dataset.ranks);
                    findings.add_of_kind("ranks", Finding::of(&file, problem).column(schema::BATCH));
                }
                let Some(frame) = joined else { continue };
                let batch = BatchRows { number, frame, places, slices: read };
                match unfit(dataset, &batch.frame) {
                    None => see(batch, findings),
                    Some(problem) => {
                        findings.add_of_kind("batches that can't be checked", batch.finding(None, "", problem))
                    }
                }
            }
        }
    });
}

/// Why a batch can't be checked further: it has more rows than it may, or lacks columns that everything else needs.
fn unfit(dataset: &Dataset, frame: &DataFrame) -> Option<String> {
    if frame.height() > dataset.batch_size {
        return Some(format!("the batch has {} rows, more than {}", frame.height(), dataset.batch_size));
    }
    let item = dataset.role("item").is_some().then_some(schema::ITEM);
    let needed = [schema::USER, schema::COPY, schema::SLOT].into_iter().chain(item);
    let missing = |name: &&str| frame.column(name).map(ints).map_or(0, |values| values.len()) != frame.height();
    needed.into_iter().find(missing).map(|name| format!("no `{name}` can be read"))
}

/// The ordinal of a row group in its shard, and it of each rank: the shard, and its rows or why they can't be read.
type ReadGroup = (usize, Vec<(usize, Result<DataFrame, String>)>);

/// Reads row groups in order, those of all ranks together, until nobody takes them.
fn read_all(dataset: &Dataset, parts: BTreeMap<usize, Vec<&Readable>>, wanted: &Wanted, send: SyncSender<ReadGroup>) {
    for shards in parts.values() {
        let groups = shards.iter().map(|s| s.row_groups.len()).max().unwrap_or(0);
        let path = |shard: &Readable| dataset.root.join(&dataset.recorded.shards[shard.shard].path);
        let columns: Vec<Option<Vec<String>>> = shards.iter().map(|shard| wanted.of(&path(shard))).collect();
        let mut footers: Vec<Option<FileMetadataRef>> = vec![None; shards.len()];
        for group in (0..groups).filter(|group| touched(dataset, shards, *group, wanted.sample)) {
            let of_ranks = shards.iter().zip(&mut footers).zip(&columns);
            let of_ranks = of_ranks.filter(|((shard, _), _)| shard.row_groups.len() > group);
            let of_ranks = of_ranks.map(|((shard, footer), columns)| {
                let rows = shard.row_groups[group];
                (shard.shard, read(&path(shard), footer, (group, rows), columns.clone(), wanted))
            });
            if send.send((group, of_ranks.collect())).is_err() {
                return;
            }
        }
    }
}

/// Whether a row group holds a batch of the sample.
fn touched(dataset: &Dataset, shards: &[&Readable], group: usize, sample: Option<f64>) -> bool {
    if dataset.has_exact_windows() {
        // Batches of several lengths: what a row group holds is not told by its place.
        return true;
    }
    shards.iter().filter(|s| s.row_groups.len() > group).any(|shard| {
        let start: usize = shard.row_groups[..group].iter().sum();
        let first = dataset.recorded.shards[shard.shard].first_batch + start / dataset.slice();
        let last = first + shard.row_groups[group].div_ceil(dataset.slice());
        (first..last).any(|batch| in_sample(sample, batch as i64))
    })
}

/// Reads a row group of `rows` rows; `footer` is read where it is not there.
fn read(
    path: &Path,
    footer: &mut Option<FileMetadataRef>,
    (row_group, rows): (usize, usize),
    columns: Option<Vec<String>>,
    wanted: &Wanted,
) -> Result<DataFrame, String> {
    let open = || store::open_local(path).map_err(|e| e.to_string());
    let (first, second) = (open()?, open()?);
    let read = || {
        let footer = match footer {
            Some(footer) => footer,
            none => none.insert(polars_footer(first)?),
        };
        let mut frame = read_row_group(second, footer, row_group, columns.clone(), ParallelStrategy::Columns)?;
        // What Polars does not read and can be told otherwise.
        for column in super::intervals::columns(path, row_group, |name| wanted.wants(name)).unwrap_or_default() {
            frame.with_column(column)?;
        }
        for column in wanted.second.iter().filter_map(|name| super::second::column(path, row_group, name, &[])) {
            frame.with_column(column)?;
        }
        polars::prelude::PolarsResult::Ok(frame)
    };
    match unless_panic(read) {
        Some(Ok(frame)) if frame.height() == rows => Ok(frame),
        Some(Ok(frame)) => Err(format!("{} rows can be read of {rows}", frame.height())),
        Some(Err(e)) => Err(format!("it can't be read ({e})").replace('\n', " ")),
        None => Err("its bytes contradict one another".into()),
    }
}

/// Runs of equal `bw_batch`.
fn cut(frame: &DataFrame) -> Vec<(i64, DataFrame)> {
    let numbers: Vec<i64> = frame.column(schema::BATCH).map(ints).unwrap_or_default();
    let mut start = 0;
    let mut out = Vec::new();
    for run in numbers.chunk_by(|a, b| a == b) {
        out.push((run[0], frame.slice(start as i64, run.len())));
        start += run.len();
    }
    out
}
