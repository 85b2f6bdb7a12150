//! Single batches and whole columns of a dataset, for looking at.

use std::collections::HashMap;
use std::ops::Range;

use polars::prelude::{DataFrame, ParquetReader, SerReader, Series};

use super::dataset::{Dataset, RecordedFile};
use super::footers::schema_of;
use super::readable::readable_columns;
use super::values::{ints, words_of};
use crate::error::{Error, Place, Result};
use crate::schema;
use crate::source::{polars_footer, unless_panic};
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
    mask: Mask,
}

/// The mask as it is stored, a row for each anchor.
enum Mask {
    Negatives(Series),
    Excluded(Series),
    /// Slots of what the rules look at: equal ones exclude one another.
    Slots(Vec<Vec<i64>>),
}

impl Look {
    pub fn rows(&self) -> usize {
        self.user.len()
    }

    /// Calls `each` with every anchor and its valid negatives, a bit a slot.
    fn each_anchor(&self, mut each: impl FnMut(usize, &[u64])) {
        let rows = self.rows();
        let mut bits = vec![0u64; rows.div_ceil(64)];
        for anchor in 0..rows {
            match &self.mask {
                Mask::Negatives(column) => {
                    let stored = column.binary().ok().and_then(|c| c.get(anchor)).unwrap_or_default();
                    bits.iter_mut().zip(words_of(stored)).for_each(|(word, stored)| *word = stored);
                }
                Mask::Excluded(column) => {
                    bits.fill(u64::MAX);
                    let list = column.list().ok().and_then(|l| l.get_as_series(anchor));
                    let slots = list.map(|s| ints(&s.into())).unwrap_or_default();
                    for slot in slots.into_iter().filter_map(|s| usize::try_from(s).ok()).chain([anchor]) {
                        if let Some(word) = bits.get_mut(slot / 64) {
                            *word &= !(1 << (slot % 64));
                        }
                    }
                }
                Mask::Slots(columns) => {
                    bits.fill(u64::MAX);
                    for j in 0..rows {
                        let is_same = |slots: &Vec<i64>| slots.get(j) == slots.get(anchor);
                        if j == anchor || columns.iter().any(is_same) {
                            bits[j / 64] &= !(1 << (j % 64));
                        }
                    }
                }
            }
            if let (Some(last), 1..) = (bits.last_mut(), rows % 64) {
                *last &= (1 << (rows % 64)) - 1;
            }
            each(anchor, &bits);
        }
    }

    /// The number of valid negatives of each row, by slot.
    pub fn valid_negatives(&self) -> Vec<u32> {
        let mut valid = Vec::with_capacity(self.rows());
        self.each_anchor(|_, bits| valid.push(bits.iter().map(|word| word.count_ones()).sum()));
        valid
    }

    /// The share of cells (i, j), i ≠ j, in `size`×`size` squares that are excluded, row by row of squares.
    pub fn excluded(&self, size: usize) -> Vec<Vec<f64>> {
        let rows = self.rows();
        let side = rows.div_ceil(size);
        let mut counts = vec![vec![(0u64, 0u64); side]; side];
        self.each_anchor(|anchor, bits| {
            for (k, cell) in counts[anchor / size].iter_mut().enumerate() {
                let candidates = k * size..rows.min((k + 1) * size);
                let others = candidates.len() - usize::from(candidates.contains(&anchor));
                cell.0 += (others - ones(bits, candidates)) as u64;
                cell.1 += others as u64;
            }
        });
        let share = |(shut, all): (u64, u64)| if all == 0 { 0.0 } else { shut as f64 / all as f64 };
        counts.into_iter().map(|row| row.into_iter().map(share).collect()).collect()
    }
}

/// Bits that are set in a range.
fn ones(bits: &[u64], range: Range<usize>) -> usize {
    let upto = |end: usize| if end >= 64 { u64::MAX } else { (1 << end) - 1 };
    let words = range.start / 64..range.end.div_ceil(64);
    let own = words.map(|w| bits[w] & upto(range.end - w * 64) & !upto(range.start.saturating_sub(w * 64)));
    own.map(|word| word.count_ones() as usize).sum()
}

/// Reads a batch.
///
/// # Errors
/// There is no such batch, or it can't be read.
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
        let part = read(dataset, &shard.path, Some(rows_of(dataset, shard, batch)?), Some(&looked_at(dataset)))?;
        frame = match frame {
            None => Some(part),
            Some(all) => Some(all.vstack(&part).map_err(|e| Error::damaged(Place::file(&shard.path), e))?),
        };
    }
    let frame = frame.ok_or_else(|| Error::damaged(Place::file(&dataset.root), "its shards do not hold the batch"))?;
    let get = |name: &str| frame.column(name).map(ints).unwrap_or_default();
    let column = |name: &str| frame.column(name).ok().map(|c| c.as_materialized_series().clone());
    let mask = match (column(schema::NEGATIVES), column(schema::EXCLUDED)) {
        (Some(negatives), _) => Mask::Negatives(negatives),
        (None, Some(excluded)) => Mask::Excluded(excluded),
        (None, None) => Mask::Slots(
            dataset
                .list("mask.rules")
                .iter()
                .map(|rule| get(if rule == "same:item" { schema::ITEM_SLOT } else { schema::USER_SLOT }))
                .collect(),
        ),
    };
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
        mask,
    })
}

/// Where a batch begins in its shard, and how many rows it has there.
fn rows_of(dataset: &Dataset, shard: &RecordedFile, batch: usize) -> Result<(usize, usize)> {
    if !dataset.has_exact_windows() {
        return Ok(((batch - shard.first_batch) * dataset.slice(), dataset.slice()));
    }
    let rows = stats_column(dataset, "rows")?;
    let of_slice = |batch: usize| {
        let rows = rows.get(batch).copied().flatten().unwrap_or(0.0) as usize;
        rows.div_ceil(dataset.ranks)
    };
    Ok(((shard.first_batch..batch).map(of_slice).sum(), of_slice(batch)))
}

/// A column of `stats.parquet`, by batch; `None` where it has no value.
///
/// # Errors
/// The table can't be read.
pub fn stats_column(dataset: &Dataset, name: &str) -> Result<Vec<Option<f64>>> {
    let frame = read(dataset, schema::STATS, None, None)?;
    let Ok(column) = frame.column(name) else { return Ok(Vec::new()) };
    let nulls = column.is_null();
    let values = ints(column).into_iter().zip(nulls.iter());
    Ok(values.map(|(v, null)| (null != Some(true)).then_some(v as f64)).collect())
}

/// Rows of each identity, by token, the most first.
///
/// # Errors
/// A shard can't be read.
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
    let generated = [
        schema::USER,
        schema::USER_SLOT,
        schema::ITEM_SLOT,
        schema::GROUP_SLOT,
        schema::COPY,
        schema::NEGATIVES,
        schema::EXCLUDED,
    ];
    generated.into_iter().chain(dataset.role("label")).collect()
}

/// Reads a table, or those of `columns` that it has.
fn read(dataset: &Dataset, path: &str, rows: Option<(usize, usize)>, columns: Option<&[&str]>) -> Result<DataFrame> {
    let full = dataset.root.join(path);
    let file = store::open_local(&full)?;
    let there = columns.map(|columns| {
        let schema = schema_of(&full);
        let readable = readable_columns(&full);
        let has = |name: &&&str| {
            let known = readable.as_ref().is_none_or(|readable| readable.iter().any(|known| known == *name));
            known && schema.as_ref().is_none_or(|schema| schema.index_of(name).is_ok())
        };
        columns.iter().filter(has).map(|name| (*name).to_owned()).collect()
    });
    let footer = store::open_local(&full)?;
    let read = || {
        let mut reader = ParquetReader::new(file).with_slice(rows).with_columns(there);
        reader.set_metadata(polars_footer(footer)?);
        reader.finish()
    };
    match unless_panic(read) {
        Some(Ok(frame)) => Ok(frame),
        Some(Err(e)) => Err(Error::damaged(Place::file(full), e)),
        None => Err(Error::damaged(Place::file(full), "its bytes contradict one another")),
    }
}

#[cfg(test)]
mod tests {
    use super::ones;

    #[test]
    fn ones_are_counted_in_any_range() {
        let bits = [0xdead_beef_0123_4567u64, !0, 0x8000_0000_0000_0001];
        let is_set = |at: &usize| bits[at / 64] >> (at % 64) & 1 == 1;
        for start in 0..=192 {
            for end in start..=192 {
                assert_eq!(ones(&bits, start..end), (start..end).filter(is_set).count(), "{start}..{end}");
            }
        }
    }
}
