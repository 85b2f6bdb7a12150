//! The figures of a plan: counts and metrics.

use std::borrow::Cow;
use std::ops::Range;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::composition::Composition;
use crate::compose::Part;
use crate::error::Result;
use crate::keys::{Codes, KeyView};
use crate::negatives::{Columns, MaskRules};
use crate::pipeline::{Field, Pipeline};
use crate::spill::Column;
use crate::stats::{BatchStats, Counts, Metrics, Users, co_user_ratio, sampled_batches};

/// What was composed, in numbers.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    pub counts: Counts,
    #[serde(rename = "stats")]
    pub metrics: Metrics,
}

/// What keys and plan alone tell.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Measured {
    /// All but those of batches.
    counts: Counts,
    co_user_ratio: Option<f64>,
    /// Rows of the identity that has most.
    largest: u64,
}

impl Measured {
    /// The figures, with the statistics of all batches.
    pub fn with(&self, p: &Pipeline, stats: &[BatchStats]) -> Figures {
        let most = stats.iter().map(|s| s.max_requests_per_slice.into()).max().unwrap_or(0);
        let counts = Counts { max_requests_per_batch: most, ..self.counts };
        Figures { metrics: Metrics::new(stats, &counts, p.batch_size, (self.largest, self.co_user_ratio)), counts }
    }
}

/// Counts what there is in a plan, part by part.
pub struct Measuring<'a> {
    composition: &'a Composition,
    /// Whether each identity, request and item occurs.
    seen: [Vec<bool>; 3],
    /// Identities by position.
    reading: Column<u32>,
    /// By identity: rows that are no copies.
    examples: Vec<u32>,
    /// By identity: all rows.
    rows: Vec<u32>,
    /// Whether each identity has rows in the batches whose false negatives are counted.
    sampled: Vec<bool>,
    sample: Vec<usize>,
}

impl<'a> Measuring<'a> {
    /// # Errors
    /// A scratch file that can't be created.
    pub fn new(p: &Pipeline, composition: &'a Composition) -> Result<Self> {
        let shape = composition.keys.shape();
        let number = |codes: Option<&Codes<'_>>| codes.map_or(0, Codes::len);
        let identities = shape.identity.len();
        Ok(Measuring {
            seen: [identities, number(shape.request.as_ref()), number(shape.item.as_ref())]
                .map(|number| vec![false; number]),
            reading: Column::new(&composition.room)?,
            examples: vec![0; identities],
            rows: vec![0; identities],
            sampled: vec![false; identities],
            sample: sampled_batches(p.seed, composition.composed.head().batches(), p.batch_size),
            composition,
        })
    }

    /// Looks at the next part. Keys on file are counted on the way; those that are held are counted in the end, since what is
    /// counted takes memory.
    ///
    /// # Errors
    /// A scratch file that can't be written.
    pub fn look_at(&mut self, part: &Part<'_>) -> Result<()> {
        for batch in self.sample.iter().filter(|batch| part.plan.batches.contains(batch)) {
            let rows = part.plan.batch(*batch).iter();
            rows.for_each(|row| self.sampled[part.view.identity.rows[*row as usize] as usize] = true);
        }
        if self.composition.room.is_on_file() { self.count(part) } else { Ok(()) }
    }

    fn count(&mut self, part: &Part<'_>) -> Result<()> {
        let columns = [Some(&part.view.identity), part.view.request.as_ref(), part.view.item.as_ref()];
        for (seen, codes) in self.seen.iter_mut().zip(columns) {
            let Some(codes) = codes else { continue };
            part.plan.order.iter().for_each(|row| seen[codes.rows[*row as usize] as usize] = true);
        }
        let identities = part.plan.order.iter().map(|row| part.view.identity.rows[*row as usize]);
        let identities: Vec<u32> = identities.collect();
        for (at, identity) in identities.iter().enumerate() {
            self.rows[*identity as usize] += 1;
            self.examples[*identity as usize] += u32::from(part.plan.copy.get(at).is_none_or(|ordinal| *ordinal == 0));
        }
        self.reading.extend(&identities)
    }

    /// Whether each identity has rows in the batches whose false negatives are counted.
    pub fn sampled(&self) -> &[bool] {
        &self.sampled
    }

    /// All parts were looked at.
    ///
    /// # Errors
    /// A scratch file that can't be read.
    pub fn finish(mut self, p: &Pipeline) -> Result<Measured> {
        if !self.composition.room.is_on_file() {
            self.composition.composed.each_part(&self.composition.keys, |part| self.count(part))?;
        }
        let Composition { rows_in, composed, left_out, duplicates, keys, .. } = self.composition;
        let [users, requests, items] = self.seen.map(|seen| seen.into_iter().filter(|seen| *seen).count() as u64);
        let head = composed.head();
        let counts = Counts {
            rows_in: *rows_in,
            filtered: left_out.filtered,
            null_identity: left_out.null_identity,
            duplicates: *duplicates,
            dropped: head.dropped,
            copies: head.copies as u64,
            rows_out: head.rows() as u64,
            users,
            requests,
            items,
            batches: head.batches() as u64,
            max_requests_per_batch: 0,
            mixed_requests: keys.shape().request.as_ref().map(|_| self.composition.facts.mixed_requests),
        };
        let reading = (&Reading(&self.reading), head.ends());
        let co_user_ratio = met_ratio(p, keys.shape(), (reading.0, &reading.1), &self.examples)?;
        let largest = self.rows.iter().copied().max().unwrap_or(0).into();
        Ok(Measured { counts, co_user_ratio, largest })
    }
}

/// Counts and metrics of a plan, measured without writing it.
///
/// # Errors
/// A scratch file that can't be read or written.
pub fn figures(p: &Pipeline, composition: &Composition) -> Result<Figures> {
    let mut stats: Vec<BatchStats> = Vec::with_capacity(composition.composed.head().batches());
    let sampled = sampled_batches(p.seed, composition.composed.head().batches(), p.batch_size);
    let mut measuring = Measuring::new(p, composition)?;
    let rules = MaskRules::of(p)?;
    composition.composed.each_part(&composition.keys, |part| {
        measuring.look_at(part)?;
        let columns = Columns {
            pipeline: p,
            plane: &part.view,
            plan: &part.plan,
            rules: &rules,
            positives: composition.positives.as_ref(),
            log_q: None,
            sampled: &sampled,
        };
        let measured = part.plan.batches.clone().into_par_iter().map(|batch| columns.stats(batch));
        stats.extend(measured.collect::<Result<Vec<_>>>()?);
        Ok(())
    })?;
    Ok(measuring.finish(p)?.with(p, &stats))
}

/// Identities by position.
struct Reading<'a>(&'a Column<u32>);

impl Users for Reading<'_> {
    fn rows(&self) -> usize {
        self.0.len()
    }

    fn of(&self, rows: Range<usize>) -> Result<Cow<'_, [u32]>> {
        self.0.read(rows)
    }
}

/// co_user_ratio of some order, cut into batches at `ends`, in which each identity has so many examples.
///
/// # Errors
/// A scratch file that can't be read.
pub fn met_ratio(
    p: &Pipeline,
    shape: &KeyView<'_>,
    (users, ends): (&impl Users, &[usize]),
    examples: &[u32],
) -> Result<Option<f64>> {
    let tokens: Vec<i64> = shape.identity.tokens.iter().map(|token| *token as u64 as i64).collect();
    co_user_ratio(users, examples, &tokens, (p.batch_size, ends), p.seed)
}

/// A label's share of the examples, and of the composed rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassBalance {
    /// `None`: rows without a label.
    pub label: Option<String>,
    pub before: f64,
    pub after: f64,
}

/// Most labels that [`class_balance`] lists.
const CLASSES: usize = 12;

/// The balance of the classes before and after composition, the most frequent first.
///
/// # Errors
/// A scratch file that can't be read.
pub fn class_balance(composition: &Composition) -> Result<Vec<ClassBalance>> {
    let Some(labels) = &composition.keys.shape().label else { return Ok(Vec::new()) };
    let before = &composition.facts.labels;
    let mut after = vec![0u64; before.len()];
    composition.composed.each_part(&composition.keys, |part| {
        let codes = part.view.codes(&Field::Label).unwrap_or_default();
        part.plan.order.iter().for_each(|row| after[codes[*row as usize] as usize] += 1);
        Ok(())
    })?;
    let share = |n: u64, of: usize| n as f64 / of.max(1) as f64;
    let mut codes: Vec<usize> = (0..labels.text.len()).filter(|c| before[*c] > 0).collect();
    codes.sort_by_key(|c| (std::cmp::Reverse(before[*c]), labels.text[*c].clone()));
    codes.truncate(CLASSES);
    let balance = |c: usize| ClassBalance {
        label: labels.text[c].clone(),
        before: share(before[c], composition.keys.len()),
        after: share(after[c], composition.composed.head().rows()),
    };
    Ok(codes.into_iter().map(balance).collect())
}
