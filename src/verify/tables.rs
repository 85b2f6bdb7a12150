//! The tables beside the shards, against what the shards gave.

use std::collections::HashMap;

use polars::prelude::{DataFrame, ParquetReader, SerReader};

use super::columns::times;
use super::finding::{Finding, Findings};
use super::totals::Totals;
use crate::reader::{Dataset, ints};
use crate::schema;
use crate::stats::BatchStats;
use crate::store;

impl Totals {
    /// `stats.parquet`, batch by batch.
    pub(super) fn compare_stats(&self, dataset: &Dataset, findings: &mut Findings) {
        let Some(frame) = read_table(dataset, schema::STATS, findings) else { return };
        let column = |name: &str| frame.column(name).map(ints).unwrap_or_default();
        let recorded = column(schema::BATCH);
        if self.sample.is_none() && recorded.len() != self.stats.len() {
            let problem = format!("it has {} rows for {} batches", recorded.len(), self.stats.len());
            findings.add(Finding::of(schema::STATS, problem));
        }
        if recorded.iter().zip(0..).any(|(found, batch)| *found != batch) {
            findings.add(Finding::of(schema::STATS, "its batches are not 0, 1, 2, …").column(schema::BATCH));
        }
        type Pick = fn(&BatchStats) -> Option<i64>;
        let picks: [(&str, Pick); 9] = [
            ("rows", |s| Some(s.rows.into())),
            ("users", |s| Some(s.users.into())),
            ("max_rows_per_user", |s| Some(s.max_rows_per_user.into())),
            ("same_user_pairs", |s| Some(s.same_user_pairs as i64)),
            ("excluded_pairs", |s| Some(s.excluded_pairs as i64)),
            ("matched_rows", |s| s.matched_rows.map(i64::from)),
            ("min_valid_negatives", |s| Some(s.min_valid_negatives.into())),
            ("requests", |s| s.requests.map(i64::from)),
            ("copies", |s| Some(s.copies.into())),
        ];
        for (name, pick) in picks {
            let recorded = column(name);
            if recorded.len() != frame.height() {
                findings.add(Finding::of(schema::STATS, "the column is missing").column(name));
            }
            for stats in &self.stats {
                // A role that is not in the payload can't be recounted.
                let (Some(expected), Some(found)) = (pick(stats), recorded.get(stats.batch as usize)) else { continue };
                if *found != expected {
                    let finding = Finding::of(schema::STATS, format!("it is {found}, and the shards give {expected}"));
                    let finding = Finding { batch: Some(stats.batch.into()), ..finding.column(name) };
                    findings.add_of_kind("statistics", finding);
                }
            }
        }
        let pools = column("pool");
        let steps = pools.first() == Some(&0) && pools.windows(2).all(|pair| (0..=1).contains(&(pair[1] - pair[0])));
        let is_one = pools.iter().all(|pool| *pool == 0);
        if !pools.is_empty() && (!steps || dataset.value("compose.window").is_null() && !is_one) {
            findings
                .add(Finding::of(schema::STATS, "its pools are not 0, 1, 2, …, as windows make them").column("pool"));
        }
        for (name, low) in [("time_min", true), ("time_max", false)] {
            let Ok(recorded) = frame.column(name).map(times) else { continue };
            for stats in &self.stats {
                let Some(time) = stats.time else { continue };
                let expected = if low { time.0 } else { time.1 };
                if recorded.get(stats.batch as usize).is_some_and(|found| *found != expected) {
                    let finding = Finding::of(schema::STATS, "it is not what the shards give");
                    findings
                        .add_of_kind("statistics", Finding { batch: Some(stats.batch.into()), ..finding.column(name) });
                }
            }
        }
    }

    /// `items.parquet`, item by item.
    pub(super) fn check_items(&self, dataset: &Dataset, findings: &mut Findings) {
        let Some(frame) = read_table(dataset, schema::ITEMS, findings) else { return };
        let column = |name: &str| frame.column(name).map(ints).unwrap_or_default();
        let (tokens, rows, positives) = (column(schema::ITEM), column("rows"), column("positives"));
        if !tokens.is_sorted() {
            findings.add(Finding::of(schema::ITEMS, "it is not ordered").column(schema::ITEM));
        }
        let exact = dataset.count("dropped") == 0;
        self.check_item_shares(&frame, &rows, findings);
        let table: HashMap<i64, (i64, i64)> = tokens.into_iter().zip(rows.into_iter().zip(positives)).collect();
        for (token, seen) in &self.items {
            let found = table.get(token).copied();
            let fits = |found: i64, seen: u64| if exact { found == seen as i64 } else { found >= seen as i64 };
            if found.is_none_or(|(rows, positives)| !fits(rows, seen.originals) || !fits(positives, seen.positives)) {
                let problem = format!(
                    "item {token}: (rows, positives) are {found:?}, and the shards give {:?}",
                    (seen.originals, seen.positives)
                );
                findings.add_of_kind("items", Finding::of(schema::ITEMS, problem).column("rows"));
            }
        }
    }

    /// `log_q` over the dataset, by the table's own rows.
    fn check_item_shares(&self, frame: &DataFrame, rows: &[i64], findings: &mut Findings) {
        let Ok(log_q) = frame.column("log_q").map(|c| c.as_materialized_series().clone()) else { return };
        let Ok(log_q) = log_q.f32() else { return };
        let total: i64 = rows.iter().sum();
        for (row, (found, rows)) in log_q.iter().zip(rows).enumerate() {
            let expected = libm::log(*rows as f64 / total as f64) as f32;
            if found != Some(expected) {
                let problem = format!("row {row}: it is {}, and its share gives {expected}", found.unwrap_or(f32::NAN));
                findings.add_of_kind("logQ", Finding::of(schema::ITEMS, problem).column("log_q"));
            }
        }
    }
}

pub(super) fn read_table(dataset: &Dataset, name: &str, findings: &mut Findings) -> Option<DataFrame> {
    let path = dataset.root.join(name);
    let columns = crate::reader::readable_columns(&path);
    let read = |file| crate::source::unless_panic(|| ParquetReader::new(file).with_columns(columns).finish().ok());
    let frame = store::open_local(&path).ok().and_then(read).flatten();
    if frame.is_none() && dataset.table(name).is_some() {
        findings.add(Finding::of(name, "it can't be read as Parquet"));
    }
    frame
}
