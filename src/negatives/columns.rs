//! The generated columns of a batch, as Arrow arrays, with its statistics.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, FixedSizeBinaryArray, Float32Array, Int32Array, Int64Array, ListArray};
use arrow::buffer::{Buffer, OffsetBuffer};

use super::batch::BatchMasks;
use super::known_positive::Positives;
use crate::classes::Classes;
use crate::compose::plan::Plan;
use crate::error::{Error, Result};
use crate::keys::KeyPlane;
use crate::pipeline::{Encoding, Pipeline};
use crate::schema::{Generated, MAX_EXCLUSIONS, bitmap_bytes, excluded_element};
use crate::stats::BatchStats;

/// Everything that generated columns are made of.
pub struct Columns<'a> {
    pub pipeline: &'a Pipeline,
    pub plane: &'a KeyPlane,
    pub plan: &'a Plan,
    pub positives: Option<&'a Positives>,
    /// By position, where an item is mapped.
    pub log_q: Option<Vec<f32>>,
}

/// A batch's generated columns, in the order of [`Generated::of`], one value a slot.
pub struct BatchColumns {
    pub arrays: Vec<ArrayRef>,
    pub stats: BatchStats,
}

/// The mask columns of a batch, while its rows are walked.
struct Masks {
    same_user: Vec<u8>,
    negatives: Vec<u8>,
    excluded: Vec<i32>,
    ends: Vec<i32>,
    valid: Vec<i32>,
}

impl Columns<'_> {
    /// Statistics of a batch, without its columns.
    pub fn stats(&self, batch: usize) -> Result<BatchStats> {
        self.walk(batch, false).map(|(_, stats, _)| stats)
    }

    /// The generated columns of a batch. Fails if its exclusions pass 2³¹−1.
    pub fn batch(&self, batch: usize) -> Result<BatchColumns> {
        let (masks, stats, walked) = self.walk(batch, true)?;
        let mut masks = Some(masks);
        let (users, items) = (&walked.users, walked.items.as_ref());
        let requests = self.request_slots(batch);
        let arrays = Generated::of(self.pipeline)
            .into_iter()
            .map(|column| self.array(column, batch, users, items, &requests, &mut masks))
            .collect::<Result<_>>()?;
        Ok(BatchColumns { arrays, stats })
    }

    fn walk(&self, batch: usize, keep: bool) -> Result<(Masks, BatchStats, BatchMasks<'_>)> {
        let (p, rows) = (self.pipeline, self.plan.batch(batch).len());
        let mut context = BatchMasks::new(p, self.plane, self.plan, self.positives, batch);
        let mut stats = BatchStats::of(p, self.plane, self.plan, batch, &context.users);
        let width = bitmap_bytes(p.batch_size);
        let same_user = keep && Generated::of(p).contains(&Generated::SameUser);
        let slots = p.encoding == Encoding::Slots;
        let mut masks = Masks {
            same_user: Vec::with_capacity(if same_user { rows * width } else { 0 }),
            negatives: Vec::with_capacity(if keep && !slots { rows * width } else { 0 }),
            excluded: Vec::new(),
            ends: Vec::with_capacity(rows + 1),
            valid: Vec::with_capacity(rows),
        };
        masks.ends.push(0);
        for slot in 0..rows as u32 {
            if same_user {
                context.append_same_user(slot, width, &mut masks.same_user);
            }
            let mask = context.row(slot);
            stats.add_row(mask.valid, rows as u32);
            if stats.excluded_pairs > MAX_EXCLUSIONS {
                return Err(too_many(p, batch));
            }
            if !keep {
                continue;
            }
            masks.valid.push(mask.valid as i32);
            if slots {
                let before = masks.excluded.len();
                masks.excluded.extend(mask.excluded.slots().map(|s| s as i32));
                masks.ends.push(masks.excluded.len() as i32);
                let stored = masks.excluded.len() - before;
                stats.offered_exclusions += u64::from(mask.excluded.count()) - stored as u64;
            } else {
                let start = masks.negatives.len();
                mask.excluded.append_negatives(rows, slot, width, &mut masks.negatives);
                stats.offered_exclusions += mask.excluded.overlap(&masks.negatives[start..]);
            }
        }
        Ok((masks, stats, context))
    }

    fn array(
        &self,
        column: Generated,
        batch: usize,
        users: &Classes,
        items: Option<&Classes>,
        requests: &[(i32, bool)],
        masks: &mut Option<Masks>,
    ) -> Result<ArrayRef> {
        let (plan, plane) = (self.plan, self.plane);
        let first = batch * plan.batch_size;
        let rows = plan.batch(batch);
        let ints = |values: &mut dyn Iterator<Item = i32>| Arc::new(values.collect::<Int32Array>()) as ArrayRef;
        let tokens = |codes: &crate::keys::Codes| {
            let token = |row: &u32| codes.tokens[codes.rows[*row as usize] as usize] as u64 as i64;
            Arc::new(rows.iter().map(token).collect::<Int64Array>()) as ArrayRef
        };
        let width = bitmap_bytes(plan.batch_size) as i32;
        let bitmap = |bytes: Vec<u8>| -> Result<ArrayRef> {
            let array = FixedSizeBinaryArray::try_new(width, Buffer::from_vec(bytes), None);
            Ok(Arc::new(array.map_err(|e| too_wide(&e))?))
        };
        let taken =
            |masks: &mut Option<Masks>, pick: fn(&mut Masks) -> Vec<u8>| masks.as_mut().map(pick).unwrap_or_default();
        Ok(match column {
            Generated::Batch => ints(&mut rows.iter().map(|_| batch as i32)),
            Generated::Slot => ints(&mut (0..rows.len() as i32)),
            Generated::Copy => ints(&mut (first..first + rows.len()).map(|at| plan.copy_at(at) as i32)),
            Generated::Anchor => {
                let anchor = |(at, row): (usize, &u32)| Some(plane.is_positive(*row) && !plan.is_padding(first + at));
                Arc::new(rows.iter().enumerate().map(anchor).collect::<BooleanArray>())
            }
            Generated::User => tokens(&plane.identity),
            Generated::Item => tokens(plane.item.as_ref().unwrap_or(&plane.identity)),
            Generated::UserSlot => ints(&mut users.of.iter().map(|c| *c as i32)),
            Generated::ItemSlot => ints(&mut items.unwrap_or(users).of.iter().map(|c| *c as i32)),
            Generated::GroupSlot => ints(&mut (first..first + rows.len()).map(|at| plan.group_slot(at))),
            Generated::RequestSlot => ints(&mut requests.iter().map(|(slot, _)| *slot)),
            Generated::RequestFirst => {
                Arc::new(requests.iter().map(|(_, first)| Some(*first)).collect::<BooleanArray>())
            }
            Generated::SameUser => bitmap(taken(masks, |m| std::mem::take(&mut m.same_user)))?,
            Generated::Negatives => bitmap(taken(masks, |m| std::mem::take(&mut m.negatives)))?,
            Generated::Excluded => {
                let (ends, values) = masks
                    .as_mut()
                    .map(|m| (std::mem::take(&mut m.ends), std::mem::take(&mut m.excluded)))
                    .unwrap_or_default();
                let offsets = OffsetBuffer::new(ends.into());
                let values = Arc::new(Int32Array::from(values));
                Arc::new(ListArray::try_new(excluded_element(), offsets, values, None).map_err(|e| too_wide(&e))?)
            }
            Generated::ValidNegatives => {
                ints(&mut masks.as_mut().map(|m| std::mem::take(&mut m.valid)).unwrap_or_default().into_iter())
            }
            Generated::LogQ => {
                let values = self.log_q.as_ref().map(|q| q[first..first + rows.len()].to_vec());
                Arc::new(Float32Array::from(values.unwrap_or_default()))
            }
        })
    }

    /// For each slot: ordinal of its request in its rank slice by first appearance, and whether it is the first.
    fn request_slots(&self, batch: usize) -> Vec<(i32, bool)> {
        let Some(request) = &self.plane.request else { return Vec::new() };
        let mut out = Vec::with_capacity(self.plan.batch_size);
        for slice in self.plan.batch(batch).chunks(self.pipeline.slice()) {
            let classes = Classes::new(slice.iter().map(|row| u64::from(request.rows[*row as usize])));
            let first = |(slot, class): (usize, &u32)| (*class as i32, classes.members(*class)[0] as usize == slot);
            out.extend(classes.of.iter().enumerate().map(first));
        }
        out
    }
}

fn too_many(p: &Pipeline, batch: usize) -> Error {
    Error::pipeline(
        "mask.rules",
        format!("batch {batch} of {} rows has more than 2³¹−1 excluded pairs", p.batch_size),
        "use a smaller batch_size, or narrower rules",
    )
}

fn too_wide(error: &arrow::error::ArrowError) -> Error {
    Error::pipeline("compose.batch_size", format!("a batch's masks do not fit an array ({error})"), "use a smaller one")
}
