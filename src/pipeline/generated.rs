//! Which generated columns a pipeline's dataset has.

use super::{Encoding, Layout, Pipeline};
use crate::schema::{Generated, MAX_BITMAP_BATCH};

impl Pipeline {
    /// The generated columns, in the order in which they are written.
    pub fn generated(&self) -> Vec<Generated> {
        use Generated::*;
        let item = self.item.is_some();
        let first = self.layout == Layout::First;
        [
            (Batch, true),
            (Slot, true),
            (Copy, true),
            (Anchor, true),
            (User, true),
            (Item, item),
            (UserSlot, true),
            (ItemSlot, item),
            (GroupSlot, self.group.is_some()),
            (RequestSlot, first),
            (RequestFirst, first),
            (SameUser, self.batch_size <= MAX_BITMAP_BATCH && self.encoding != Encoding::None),
            (Negatives, self.encoding == Encoding::Bitmap),
            (Excluded, self.encoding == Encoding::Slots),
            (Positives, !self.positive_rules.is_empty() && self.encoding == Encoding::Bitmap),
            (PositiveSlots, !self.positive_rules.is_empty() && self.encoding == Encoding::Slots),
            (ValidPositives, !self.positive_rules.is_empty()),
            (ValidNegatives, true),
            (LogQ, item),
        ]
        .into_iter()
        .filter_map(|(column, present)| present.then_some(column))
        .collect()
    }
}
