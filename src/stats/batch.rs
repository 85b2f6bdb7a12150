//! Statistics of one batch; integers only, so that sums do not depend on their order.

use serde::{Deserialize, Serialize};

use super::false_negatives::FalseNegatives;
use crate::classes::Classes;
use crate::keys::{KeyView, Labels};
use crate::pipeline::{Field, Pipeline};

/// One row of `stats.parquet`, and what the dataset's metrics need beside it. Pairs are ordered pairs (i, j), i ≠ j.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchStats {
    pub batch: u32,
    pub rows: u32,
    pub users: u32,
    pub max_rows_per_user: u32,
    pub same_user_pairs: u64,
    pub excluded_pairs: u64,
    /// Where labels are mapped.
    pub matched_rows: Option<u32>,
    pub min_valid_negatives: u32,
    pub max_valid_negatives: u32,
    /// Distinct requests, where they are mapped.
    pub requests: Option<u32>,
    /// Distinct requests of the rank slice that has most.
    pub max_requests_per_slice: u32,
    pub copies: u32,
    /// The first and the last, in the unit of the time column, where one is mapped.
    pub time: Option<(i64, i64)>,
    /// Where an item is mapped, in batches of the sample.
    pub false_negatives: Option<FalseNegatives>,
}

impl BatchStats {
    /// All but what masks tell, of the batch in which these rows stand; `users` are its slots by identity.
    pub fn of(p: &Pipeline, plane: &KeyView<'_>, batch: usize, rows: &[u32], users: &Classes) -> Self {
        let slices = || rows.chunks(p.slice());
        let distinct = |rows: &[u32], codes: &[u32]| {
            let mut seen: Vec<u32> = rows.iter().map(|r| codes[*r as usize]).collect();
            // In packed batches little is left to sort.
            seen.dedup();
            seen.sort_unstable();
            seen.dedup();
            seen.len() as u32
        };
        let request = plane.codes(&Field::Request);
        let requests = request.map(|codes| distinct(rows, codes));
        BatchStats {
            batch: batch as u32,
            rows: rows.len() as u32,
            users: users.len() as u32,
            max_rows_per_user: users.largest(),
            same_user_pairs: users.pairs(),
            min_valid_negatives: u32::MAX,
            matched_rows: plane
                .label
                .as_ref()
                .map(|labels| slices().map(|slice| matched(slice, &plane.identity.rows, labels, p)).sum()),
            requests,
            max_requests_per_slice: match (request, p.ranks) {
                (Some(codes), 2..) => slices().map(|slice| distinct(slice, codes)).max().unwrap_or(0),
                _ => requests.unwrap_or(0),
            },
            time: plane.time.as_ref().map(|time| {
                let times = rows.iter().map(|row| time[*row as usize]);
                times.fold((i64::MAX, i64::MIN), |(first, last), time| (first.min(time), last.max(time)))
            }),
            ..BatchStats::default()
        }
    }

    /// Statistics of a batch whose masks do not matter.
    pub fn without_masks(p: &Pipeline, plane: &KeyView<'_>, batch: usize, rows: &[u32]) -> Self {
        let codes = rows.iter().map(|row| u64::from(plane.identity.rows[*row as usize]));
        BatchStats::of(p, plane, batch, rows, &Classes::new(codes))
    }

    /// Adds what the masks of `anchors` rows say: each has `valid` negatives in a batch of `rows`.
    pub fn add_anchors(&mut self, anchors: u32, valid: u32, rows: u32) {
        self.excluded_pairs += u64::from(anchors) * u64::from(rows - 1 - valid);
        self.min_valid_negatives = self.min_valid_negatives.min(valid);
        self.max_valid_negatives = self.max_valid_negatives.max(valid);
    }

    /// Ordered pairs of the batch.
    pub fn pairs(&self) -> u64 {
        u64::from(self.rows) * u64::from(self.rows.saturating_sub(1))
    }
}

/// Rows whose slice holds, of the row's identity, all classes of the group; without groups, some other label.
fn matched(slice: &[u32], identity: &[u32], labels: &Labels<'_>, p: &Pipeline) -> u32 {
    let wanted = p.group.as_ref().map(|g| {
        let code = |class: &String| labels.text.iter().position(|t| t.as_ref() == Some(class)).map(|c| c as u32);
        g.classes.iter().map(|(class, _)| code(class)).collect::<Vec<_>>()
    });
    let mut keyed: Vec<(u32, u32)> = slice.iter().map(|r| (identity[*r as usize], labels.rows[*r as usize])).collect();
    keyed.sort_unstable();
    keyed
        .chunk_by(|a, b| a.0 == b.0)
        .filter(|own| match &wanted {
            Some(classes) => {
                classes.iter().all(|c| c.is_some_and(|c| own.binary_search_by_key(&c, |(_, label)| *label).is_ok()))
            }
            None => own[0].1 != own[own.len() - 1].1,
        })
        .map(|own| own.len() as u32)
        .sum()
}
