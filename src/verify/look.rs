//! Single batches and whole columns of a dataset, for looking at.

use std::collections::HashMap;

use polars::prelude::{DataFrame, ParquetReader, SerReader};

use super::dataset::Dataset;
use super::rows::ints;
use crate::error::{Error, Place, Result};
use crate::schema;
use crate::source::unless_panic;
use crate::store;

/// One batch, as a person wants to see it.
pub struct Look {
    /// `bw_user` and its ordinal in the batch, by slot.
    pub user: Vec<i64>,
    pub user_slot: Vec<i64>,
    /// Ordinal of the group, −1 outside; empty without groups.
    pub group: Vec<i64>,
    pub label: Vec<String>,
    pub copies: usize,
    /// Valid negatives of each row, by slot.
    negatives: Vec<Vec<u64>>,
}

impl Look {
    pub fn rows(&self) -> usize {
        self.user.len()
    }

    /// Whether `candidate` is a valid negative of `anchor`.
    pub fn is_negative(&self, anchor: usize, candidate: usize) -> bool {
        self.negatives[anchor].get(candidate / 64).is_some_and(|w| w >> (candidate % 64) & 1 == 1)
    }

    /// The share of cells (i, j), i ≠ j, in `size`×`size` squares that are excluded, row by row of squares.
    pub fn excluded(&self, size: usize) -> Vec<Vec<f64>> {
        let n = self.rows();
        let side = n.div_ceil(size);
        let mut counts = vec![vec![(0u32, 0u32); side]; side];
        for i in 0..n {
            for j in (0..n).filter(|j| *j != i) {
                let cell = &mut counts[i / size][j / size];
                cell.0 += u32::from(!self.is_negative(i, j));
                cell.1 += 1;
            }
        }
        let share = |(shut, all): (u32, u32)| if all == 0 { 0.0 } else { f64::from(shut) / f64::from(all) };
        counts.into_iter().map(|row| row.into_iter().map(share).collect()).collect()
    }
}

/// Reads a batch.
pub fn look(dataset: &Dataset, batch: usize) -> Result<Look> {
    let last = dataset.count("batches");
    if batch as u64 >= last {
        let problem = format!("there is no batch {batch}");
        return Err(Error::pipeline("--batch", problem, format!("use 0 to {}", last.saturating_sub(1))));
    }
    let mut frame: Option<DataFrame> = None;
    for shard in &dataset.recorded.shards {
        if !(shard.first_batch..shard.first_batch + shard.batches).contains(&batch) {
            continue;
        }
        let start = (batch - shard.first_batch) * dataset.slice();
        let part = read(dataset, &shard.path, Some((start, dataset.slice())), Some(&looked_at(dataset)))?;
        frame = match frame {
            None => Some(part),
            Some(all) => Some(all.vstack(&part).map_err(|e| Error::damaged(Place::file(&shard.path), e))?),
        };
    }
    let frame = frame.ok_or_else(|| Error::damaged(Place::file(&dataset.root), "its shards do not hold the batch"))?;
    let get = |name: &str| frame.column(name).map(ints).unwrap_or_default();
    let rows = frame.height();
    let words = rows.div_ceil(64);
    let mut negatives = vec![vec![0u64; words]; rows];
    if let Ok(column) = frame.column(schema::NEGATIVES) {
        let column = column.as_materialized_series().clone();
        for (slot, row) in negatives.iter_mut().enumerate() {
            let bytes = column.binary().ok().and_then(|c| c.get(slot)).unwrap_or_default();
            for (k, byte) in bytes.iter().enumerate().take(words * 8) {
                row[k / 8] |= u64::from(*byte) << (8 * (k % 8));
            }
        }
    } else if let Ok(column) = frame.column(schema::EXCLUDED) {
        let column = column.as_materialized_series().clone();
        for (slot, row) in negatives.iter_mut().enumerate() {
            row.fill(u64::MAX);
            let list = column.list().ok().and_then(|l| l.get_as_series(slot));
            for s in list.map(|s| ints(&s.into())).unwrap_or_default().into_iter().filter(|s| *s >= 0) {
                if let Some(word) = row.get_mut(s as usize / 64) {
                    *word &= !(1 << (s % 64));
                }
            }
        }
    }
    let label = dataset.role("label").and_then(|name| frame.column(name).ok()).and_then(|c| {
        let text = c.cast(&polars::prelude::DataType::String).ok()?;
        let text = text.as_materialized_series().clone();
        text.str().ok().map(|t| t.iter().map(|v| v.unwrap_or("–").to_owned()).collect())
    });
    Ok(Look {
        user: get(schema::USER),
        user_slot: get(schema::USER_SLOT),
        group: get(schema::GROUP_SLOT),
        label: label.unwrap_or_default(),
        copies: get(schema::COPY).iter().filter(|c| **c > 0).count(),
        negatives,
    })
}

/// A column of `stats.parquet`, by batch; `None` where it has no value.
pub fn stats_column(dataset: &Dataset, name: &str) -> Result<Vec<Option<f64>>> {
    let frame = read(dataset, schema::STATS, None, None)?;
    let Ok(column) = frame.column(name) else { return Ok(Vec::new()) };
    let nulls = column.is_null();
    let values = ints(column).into_iter().zip(nulls.iter());
    Ok(values.map(|(v, null)| (null != Some(true)).then_some(v as f64)).collect())
}

/// Rows of each identity, by token, the most first.
pub fn rows_by_user(dataset: &Dataset) -> Result<Vec<(i64, u64)>> {
    let mut counts: HashMap<i64, u64> = HashMap::new();
    for shard in &dataset.recorded.shards {
        let frame = read(dataset, &shard.path, None, Some(&[schema::USER]))?;
        frame
            .column(schema::USER)
            .map(ints)
            .unwrap_or_default()
            .into_iter()
            .for_each(|u| *counts.entry(u).or_default() += 1);
    }
    let mut counts: Vec<(i64, u64)> = counts.into_iter().collect();
    counts.sort_unstable_by_key(|(token, rows)| (std::cmp::Reverse(*rows), *token));
    Ok(counts)
}

/// The columns of a [`Look`]; Polars does not read every payload.
fn looked_at(dataset: &Dataset) -> Vec<&str> {
    let generated =
        [schema::USER, schema::USER_SLOT, schema::GROUP_SLOT, schema::COPY, schema::NEGATIVES, schema::EXCLUDED];
    generated.into_iter().chain(dataset.role("label")).collect()
}

/// Reads a table, or those of `columns` that it has.
fn read(dataset: &Dataset, path: &str, rows: Option<(usize, usize)>, columns: Option<&[&str]>) -> Result<DataFrame> {
    let full = dataset.root.join(path);
    let file = store::open(&full)?;
    let there = columns.map(|columns| {
        let schema = super::files::schema_of(&full);
        let has = |name: &&&str| schema.as_ref().is_none_or(|schema| schema.index_of(name).is_ok());
        columns.iter().filter(has).map(|name| (*name).to_owned()).collect()
    });
    let read = || ParquetReader::new(file).with_slice(rows).with_columns(there).finish();
    match unless_panic(read) {
        Some(Ok(frame)) => Ok(frame),
        Some(Err(e)) => Err(Error::damaged(Place::file(full), e)),
        None => Err(Error::damaged(Place::file(full), "its bytes contradict one another")),
    }
}
