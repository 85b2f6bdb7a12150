//! The mask columns of one batch. Rows with equal masks share one, which is worked out once.

use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeBinaryArray, Int32Array};
use arrow::buffer::Buffer;
use arrow::error::ArrowError;

use super::batch::BatchMasks;
use super::slot_lists::{SlotLists, dictionary};
use crate::classes::Classes;
use crate::error::{Error, Result};
use crate::pipeline::{Encoding, Pipeline};
use crate::schema::{MAX_EXCLUSIONS, bitmap_bytes};
use crate::stats::BatchStats;

/// The mask columns of a batch.
pub struct Patterns {
    /// Dictionary of bitmaps.
    pub same_user: Option<ArrayRef>,
    /// Dictionary of bitmaps, or of lists of slots; `None`: no mask is stored.
    pub negatives: Option<ArrayRef>,
    /// Number of valid negatives, by slot.
    pub valid: Int32Array,
    /// Where rules tell positives: dictionary of bitmaps, or of lists of slots, and their number by slot.
    pub positives: Option<(ArrayRef, Int32Array)>,
}

impl Patterns {
    /// Works out the masks and adds what they say to `stats`. Fails if exclusions pass 2³¹−1.
    ///
    /// # Errors
    /// Exclusions that pass 2³¹−1.
    pub fn new(p: &Pipeline, masks: &mut BatchMasks<'_>, same_user: bool, stats: &mut BatchStats) -> Result<Self> {
        let width = bitmap_bytes(p.batch_size);
        let kinds = masks.kinds();
        let is_bitmap = p.encoding == Encoding::Bitmap;
        let mut bitmaps = Vec::with_capacity(if is_bitmap { kinds.len() * width } else { 0 });
        let mut lists = SlotLists::default();
        let valid = walk(p, masks, &kinds, stats, |excluded, first| match p.encoding {
            Encoding::Bitmap => excluded.append_negatives(kinds.of.len(), first, width, &mut bitmaps),
            Encoding::Slots => lists.push(excluded.slots()),
            Encoding::None => {}
        })?;
        let negatives = match p.encoding {
            Encoding::Bitmap => Some(bitmap_dictionary(&kinds, width, bitmaps)),
            Encoding::Slots => Some(lists.dictionary(&kinds)),
            Encoding::None => None,
        };
        let same_user = same_user.then(|| {
            let mut bitmaps = Vec::with_capacity(masks.users.len() * width);
            (0..masks.users.len() as u32).for_each(|user| masks.append_same_user(user, width, &mut bitmaps));
            bitmap_dictionary(&masks.users, width, bitmaps)
        });
        let fail = |e: ArrowError| {
            Error::pipeline(
                "compose.batch_size",
                format!("a batch's masks do not fit an array ({e})"),
                "use a smaller one",
            )
        };
        Ok(Patterns {
            same_user: same_user.transpose().map_err(fail)?,
            negatives: negatives.transpose().map_err(fail)?,
            valid: kinds.of.iter().map(|kind| valid[*kind as usize]).collect::<Vec<i32>>().into(),
            positives: positives(p, masks).transpose().map_err(fail)?,
        })
    }
}

/// The positives of each row, and their number; `None` where no rule tells any. A row is no positive of its own, so hardly two rows
/// share theirs.
fn positives(
    p: &Pipeline,
    masks: &mut BatchMasks<'_>,
) -> Option<std::result::Result<(ArrayRef, Int32Array), ArrowError>> {
    let rows = masks.users.of.len();
    let width = bitmap_bytes(p.batch_size);
    let (mut bitmaps, mut lists, mut number) = (Vec::new(), SlotLists::default(), Vec::with_capacity(rows));
    for slot in 0..rows as u32 {
        let own = masks.positives(slot)?;
        number.push(own.count() as i32);
        match p.encoding {
            Encoding::Slots => lists.push(own.slots()),
            _ => own.append(width, &mut bitmaps),
        }
    }
    let each = Classes::new((0..rows).map(|slot| slot as u64));
    let array = match p.encoding {
        Encoding::Slots => lists.dictionary(&each),
        _ => bitmap_dictionary(&each, width, bitmaps),
    };
    Some(array.map(|array| (array, number.into())))
}

/// Adds what a batch's masks say to its statistics, without keeping them.
///
/// # Errors
/// Exclusions that pass 2³¹−1.
pub fn measure(p: &Pipeline, masks: &mut BatchMasks<'_>, stats: &mut BatchStats) -> Result<()> {
    let kinds = masks.kinds();
    walk(p, masks, &kinds, stats, |_, _| {}).map(|_| ())
}

/// Calls `each` with the exclusions of each kind of row, and a slot of that kind. Gives the number of valid negatives
/// by kind.
fn walk(
    p: &Pipeline,
    masks: &mut BatchMasks<'_>,
    kinds: &Classes,
    stats: &mut BatchStats,
    mut each: impl FnMut(&super::Bits, u32),
) -> Result<Vec<i32>> {
    let rows = kinds.of.len() as u32;
    let mut valid = Vec::with_capacity(kinds.len());
    for kind in 0..kinds.len() as u32 {
        let members = kinds.members(kind);
        let (first, number) = (members[0], members.len() as u32);
        let mask = masks.row(first);
        stats.add_anchors(number, mask.valid, rows);
        if stats.excluded_pairs > MAX_EXCLUSIONS {
            return Err(Error::pipeline(
                "mask.rules",
                format!("batch {} of {} rows has more than 2³¹−1 excluded pairs", stats.batch, p.batch_size),
                "use a smaller batch_size, or narrower rules",
            ));
        }
        valid.push(mask.valid as i32);
        each(mask.excluded, first);
    }
    Ok(valid)
}

fn bitmap_dictionary(classes: &Classes, width: usize, bitmaps: Vec<u8>) -> std::result::Result<ArrayRef, ArrowError> {
    dictionary(classes, Arc::new(FixedSizeBinaryArray::try_new(width as i32, Buffer::from_vec(bitmaps), None)?))
}
