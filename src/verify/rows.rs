//! Batches as a trainer reads them: row group by row group, cut where `bw_batch` changes, ranks' slices joined.

use std::collections::BTreeMap;

use polars::prelude::{Column, DataFrame, ParallelStrategy, ParquetReader, SerReader};
use xxhash_rust::xxh3::xxh3_64;

use super::dataset::Dataset;
use super::files::Readable;
use super::finding::{Finding, Findings};
use crate::schema;
use crate::store;

/// All rows of one batch.
pub struct BatchRows {
    pub number: i64,
    /// One frame a rank, in rank order.
    pub frame: DataFrame,
    /// Shard and row group of each rank's slice, with its first slot.
    pub places: Vec<(usize, String, usize)>,
}

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
    /// `None`: all columns.
    columns: Option<Vec<String>>,
    sample: Option<f64>,
}

impl Wanted {
    /// All rows, with all columns.
    pub fn all() -> Self {
        Wanted { columns: None, sample: None }
    }

    /// The batches in the sample, with the columns that generated ones are recomputed from: all of them where copies have to
    /// be told by their payload.
    pub fn keys(dataset: &Dataset, sample: Option<f64>) -> Self {
        let mut columns: Vec<String> =
            ["label", "request", "time"].iter().filter_map(|r| dataset.role(r)).map(str::to_owned).collect();
        for rule in dataset.list("mask.rules") {
            columns.extend(rule.trim_start_matches("same:").split('+').map(str::to_owned));
        }
        if dataset.setting("requests.layout") == "first" {
            columns.extend(dataset.list("requests.columns"));
        }
        Wanted { columns: (dataset.count("copies") == 0).then_some(columns), sample }
    }

    fn of(&self, path: &std::path::Path) -> Option<Vec<String>> {
        let readable = super::files::readable_columns(path);
        let Some(columns) = self.columns.as_ref() else { return readable };
        let schema = super::files::schema_of(path)?;
        let names = schema.fields().iter().map(|f| f.name().clone());
        let wanted = names.filter(|n| n.starts_with(schema::RESERVED) || columns.contains(n));
        Some(wanted.filter(|n| readable.as_ref().is_none_or(|r| r.contains(n))).collect())
    }
}

/// Whether a batch is in the sample; the same ones each time.
pub fn in_sample(sample: Option<f64>, batch: i64) -> bool {
    sample.is_none_or(|share| (xxh3_64(&batch.to_le_bytes()) >> 11) as f64 / ((1u64 << 53) as f64) < share)
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
    for shards in parts.values() {
        let groups = shards.iter().map(|s| s.row_groups.len()).max().unwrap_or(0);
        for group in 0..groups {
            if !touched(dataset, shards, group, wanted.sample) {
                continue;
            }
            let mut slices: BTreeMap<i64, Vec<(usize, DataFrame)>> = BTreeMap::new();
            for shard in shards.iter().filter(|s| s.row_groups.len() > group) {
                let recorded = &dataset.recorded.shards[shard.shard];
                let start: usize = shard.row_groups[..group].iter().sum();
                match read(dataset, &recorded.path, start, shard.row_groups[group], wanted) {
                    Ok(frame) => cut(&frame).into_iter().for_each(|(number, rows)| {
                        slices.entry(number).or_default().push((shard.shard, rows));
                    }),
                    Err(problem) => {
                        findings.add(Finding { row_group: Some(group), ..Finding::of(&recorded.path, problem) })
                    }
                }
            }
            for (number, slices) in slices {
                let mut places = Vec::new();
                let mut joined: Option<DataFrame> = None;
                let mut ranks = Vec::new();
                for (shard, rows) in slices {
                    let recorded = &dataset.recorded.shards[shard];
                    let place = (recorded.rank * dataset.slice(), recorded.path.clone(), group);
                    if rows.height() != dataset.slice() && (number != last || dataset.ranks > 1) {
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
                if let Some(frame) = joined {
                    see(BatchRows { number, frame, places }, findings);
                }
            }
        }
    }
}

/// Whether a row group holds a batch of the sample.
fn touched(dataset: &Dataset, shards: &[&Readable], group: usize, sample: Option<f64>) -> bool {
    shards.iter().filter(|s| s.row_groups.len() > group).any(|shard| {
        let start: usize = shard.row_groups[..group].iter().sum();
        let first = dataset.recorded.shards[shard.shard].first_batch + start / dataset.slice();
        let last = first + shard.row_groups[group].div_ceil(dataset.slice());
        (first..last).any(|batch| in_sample(sample, batch as i64))
    })
}

fn read(dataset: &Dataset, path: &str, start: usize, rows: usize, wanted: &Wanted) -> Result<DataFrame, String> {
    let columns = wanted.of(&dataset.root.join(path));
    let file = store::open(&dataset.root.join(path)).map_err(|e| e.to_string())?;
    let read = || {
        ParquetReader::new(file)
            .with_slice(Some((start, rows)))
            .with_columns(columns)
            .read_parallel(ParallelStrategy::Columns)
            .set_rechunk(true)
            .finish()
    };
    match crate::source::unless_panic(read) {
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

/// An integer column; null is −1, which no generated column holds where it counts.
pub fn ints(column: &Column) -> Vec<i64> {
    let wide = column.cast(&polars::prelude::DataType::Int64);
    wide.ok()
        .and_then(|c| c.as_materialized_series().i64().ok().map(|c| c.iter().map(|v| v.unwrap_or(-1)).collect()))
        .unwrap_or_default()
}
