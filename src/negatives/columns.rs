//! The generated columns of a batch, as Arrow arrays, with its statistics.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Float32Array, Int32Array, Int64Array};
use arrow::datatypes::DataType;

use super::batch::BatchMasks;
use super::false_negatives::false_negatives;
use super::log_q::LogQ;
use super::patterns::{Patterns, measure};
use super::positives::Positives;
use super::rules::MaskRules;
use super::slot_lists::written_out;
use crate::classes::Classes;
use crate::compose::Plan;
use crate::error::Result;
use crate::keys::KeyView;
use crate::pipeline::Pipeline;
use crate::schema::Generated;
use crate::stats::{BatchStats, FalseNegatives};

/// Everything that generated columns are made of: of a dataset, or of consecutive batches of it.
pub struct Columns<'a> {
    pub pipeline: &'a Pipeline,
    pub plane: &'a KeyView<'a>,
    pub plan: &'a Plan<'a>,
    pub rules: &'a MaskRules,
    pub positives: Option<&'a Positives>,
    /// Where an item is mapped.
    pub log_q: Option<&'a LogQ>,
    /// Batches whose false negatives are counted, ascending.
    pub sampled: &'a [usize],
}

/// A batch's generated columns, in the order of [`Pipeline::generated`], one value a slot.
pub struct BatchColumns {
    /// Masks as dictionaries, of bitmaps or of lists of slots.
    pub arrays: Vec<ArrayRef>,
    pub stats: BatchStats,
}

impl BatchColumns {
    /// The `k`-th column of these slots, in pieces: lists of slots written out, bitmaps still as dictionaries.
    pub fn pieces(&self, k: usize, slots: Range<usize>) -> Box<dyn Iterator<Item = ArrayRef> + Send> {
        let array = &self.arrays[k];
        match array.data_type() {
            DataType::Dictionary(_, values) if matches!(**values, DataType::List(_)) => {
                Box::new(written_out(Arc::clone(array), slots))
            }
            _ => Box::new(std::iter::once(array.slice(slots.start, slots.len()))),
        }
    }
}

impl Columns<'_> {
    /// Statistics of a batch, without its columns.
    ///
    /// # Errors
    /// Exclusions that pass 2³¹−1.
    pub fn stats(&self, batch: usize) -> Result<BatchStats> {
        let (mut masks, mut stats) = self.masks(batch);
        measure(self.pipeline, &mut masks, &mut stats)?;
        stats.false_negatives = self.false_negatives(batch, &mut masks);
        Ok(stats)
    }

    /// The generated columns of a batch. Fails if its exclusions pass 2³¹−1.
    ///
    /// # Errors
    /// Exclusions that pass 2³¹−1.
    pub fn batch(&self, batch: usize) -> Result<BatchColumns> {
        let (mut masks, mut stats) = self.masks(batch);
        let generated = self.pipeline.generated();
        let same_user = generated.contains(&Generated::SameUser);
        let patterns = Patterns::new(self.pipeline, &mut masks, same_user, &mut stats)?;
        stats.false_negatives = self.false_negatives(batch, &mut masks);
        let first_only = generated.contains(&Generated::RequestSlot);
        let requests = if first_only { self.request_slots(batch) } else { Vec::new() };
        let array = |column: Generated| self.array(column, batch, &masks, &requests, &patterns);
        Ok(BatchColumns { arrays: generated.into_iter().map(array).collect(), stats })
    }

    fn masks(&self, batch: usize) -> (BatchMasks<'_>, BatchStats) {
        let masks = BatchMasks::new(self.rules, self.plane, self.plan, self.positives, batch);
        let stats = BatchStats::of(self.pipeline, self.plane, batch, self.plan.batch(batch), &masks.users);
        let copies = self.plan.copies(batch).iter().filter(|ordinal| **ordinal > 0).count() as u32;
        (masks, BatchStats { copies, ..stats })
    }

    fn false_negatives(&self, batch: usize, masks: &mut BatchMasks<'_>) -> Option<FalseNegatives> {
        let positives = self.positives.filter(|_| self.sampled.binary_search(&batch).is_ok())?;
        let rows = self.plan.batch(batch);
        let codes: Vec<u32> = rows.iter().map(|row| self.plane.identity.rows[*row as usize]).collect();
        false_negatives(masks, positives, &codes, &self.anchors(batch))
    }

    /// Whether each slot is an anchor.
    fn anchors(&self, batch: usize) -> Vec<bool> {
        let anchor = |(slot, row): (usize, &u32)| self.plane.is_positive(*row) && !self.plan.is_padding(batch, slot);
        self.plan.batch(batch).iter().enumerate().map(anchor).collect()
    }

    fn array(
        &self,
        column: Generated,
        batch: usize,
        masks: &BatchMasks<'_>,
        requests: &[(i32, bool)],
        patterns: &Patterns,
    ) -> ArrayRef {
        let (plan, plane) = (self.plan, self.plane);
        let rows = plan.batch(batch);
        let ints = |values: Vec<i32>| Arc::new(Int32Array::from(values)) as ArrayRef;
        let classes = |classes: &Classes| ints(classes.of.iter().map(|class| *class as i32).collect());
        let tokens = |codes: &crate::keys::Codes<'_>| {
            let token = |row: &u32| codes.tokens[codes.rows[*row as usize] as usize] as u64 as i64;
            Arc::new(Int64Array::from_iter_values(rows.iter().map(token))) as ArrayRef
        };
        // A column that is not stored is not asked for.
        let empty = arrow::array::new_empty_array(&DataType::Null);
        match column {
            Generated::Batch => ints(vec![batch as i32; rows.len()]),
            Generated::Slot => ints((0..rows.len() as i32).collect()),
            Generated::Copy => match plan.copies(batch) {
                [] => ints(vec![0; rows.len()]),
                copies => ints(copies.iter().map(|ordinal| *ordinal as i32).collect()),
            },
            Generated::Anchor => Arc::new(BooleanArray::from(self.anchors(batch))),
            Generated::User => tokens(&plane.identity),
            Generated::Item => tokens(plane.item.as_ref().unwrap_or(&plane.identity)),
            Generated::UserSlot => classes(&masks.users),
            Generated::ItemSlot => classes(masks.items.as_ref().unwrap_or(&masks.users)),
            Generated::GroupSlot => ints((0..rows.len()).map(|slot| plan.head.group_slot(batch, slot)).collect()),
            Generated::RequestSlot => ints(requests.iter().map(|(slot, _)| *slot).collect()),
            Generated::RequestFirst => {
                Arc::new(requests.iter().map(|(_, first)| Some(*first)).collect::<BooleanArray>())
            }
            Generated::SameUser => Arc::clone(patterns.same_user.as_ref().unwrap_or(&empty)),
            Generated::Negatives | Generated::Excluded => Arc::clone(patterns.negatives.as_ref().unwrap_or(&empty)),
            Generated::Positives | Generated::PositiveSlots => {
                Arc::clone(patterns.positives.as_ref().map_or(&empty, |(array, _)| array))
            }
            Generated::ValidPositives => match &patterns.positives {
                Some((_, number)) => Arc::new(number.clone()),
                None => empty,
            },
            Generated::ValidNegatives => Arc::new(patterns.valid.clone()),
            Generated::LogQ => {
                let items = plane.item.as_ref().map_or(&plane.identity.rows, |item| &item.rows);
                let first = plan.head.positions(&(batch..batch + 1)).start;
                let value = |(at, row): (usize, &u32)| {
                    self.log_q.map_or(f32::NAN, |log_q| log_q.at(first + at, items[*row as usize]))
                };
                Arc::new(Float32Array::from_iter_values(rows.iter().enumerate().map(value)))
            }
        }
    }

    /// For each slot: ordinal of its request in its rank slice by first appearance, and whether it is the first.
    fn request_slots(&self, batch: usize) -> Vec<(i32, bool)> {
        let Some(request) = &self.plane.request else { return Vec::new() };
        let mut out = Vec::with_capacity(self.plan.batch(batch).len());
        for slice in self.plan.batch(batch).chunks(self.pipeline.slice()) {
            let classes = Classes::new(slice.iter().map(|row| u64::from(request.rows[*row as usize])));
            let first = |(slot, class): (usize, &u32)| (*class as i32, classes.members(*class)[0] as usize == slot);
            out.extend(classes.of.iter().enumerate().map(first));
        }
        out
    }
}
