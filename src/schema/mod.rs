//! The dataset format, version 1: names, types and limits of everything generated.
//! The only place that spells a `bw_` name.

mod metrics;
mod portable;
mod tables;

pub use metrics::{METRICS, Metric};
pub use portable::portable;
pub use tables::{ITEM_COLUMN, TABLE_COLUMNS, Table};

use std::collections::HashMap;

use arrow::datatypes::{DataType, Field, FieldRef};

/// Value of `batchwright.format` in footers and of `format` in the manifest.
pub const FORMAT: &str = "batchwright/1";
/// Input columns may not start so.
pub const RESERVED: &str = "bw_";
/// Bitmaps are written for batches of up to this many rows (2 KiB a row).
pub const MAX_BITMAP_BATCH: usize = 16_384;
/// Exclusions of a batch are counted in 32 bits.
pub const MAX_EXCLUSIONS: u64 = i32::MAX as u64;

pub const BATCH: &str = "bw_batch";
pub const SLOT: &str = "bw_slot";
pub const COPY: &str = "bw_copy";
pub const ANCHOR: &str = "bw_anchor";
pub const USER: &str = "bw_user";
pub const ITEM: &str = "bw_item";
pub const USER_SLOT: &str = "bw_user_slot";
pub const ITEM_SLOT: &str = "bw_item_slot";
pub const GROUP_SLOT: &str = "bw_group_slot";
pub const REQUEST_SLOT: &str = "bw_request_slot";
pub const REQUEST_FIRST: &str = "bw_request_first";
pub const SAME_USER: &str = "bw_same_user";
pub const NEGATIVES: &str = "bw_negatives";
pub const EXCLUDED: &str = "bw_excluded";
pub const OWN_POSITIVES: &str = "bw_positives";
pub const VALID_POSITIVES: &str = "bw_valid_positives";
pub const VALID_NEGATIVES: &str = "bw_valid_negatives";
pub const LOG_Q: &str = "bw_log_q";

pub const MANIFEST: &str = "_batchwright/manifest.json";
pub const STATS: &str = "_batchwright/stats.parquet";
pub const ITEMS: &str = "_batchwright/items.parquet";
pub const POSITIVES: &str = "_batchwright/positives.parquet";
pub const BATCHES: &str = "batches";
/// The folder of what is not shards.
pub const TABLES: &str = "_batchwright";

/// A column that batchwright adds behind the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generated {
    Batch,
    Slot,
    Copy,
    Anchor,
    User,
    Item,
    UserSlot,
    ItemSlot,
    GroupSlot,
    RequestSlot,
    RequestFirst,
    SameUser,
    Negatives,
    Excluded,
    Positives,
    PositiveSlots,
    ValidPositives,
    ValidNegatives,
    LogQ,
}

impl Generated {
    /// All there are, in the order in which they are written.
    pub const ALL: [Generated; 19] = [
        Generated::Batch,
        Generated::Slot,
        Generated::Copy,
        Generated::Anchor,
        Generated::User,
        Generated::Item,
        Generated::UserSlot,
        Generated::ItemSlot,
        Generated::GroupSlot,
        Generated::RequestSlot,
        Generated::RequestFirst,
        Generated::SameUser,
        Generated::Negatives,
        Generated::Excluded,
        Generated::Positives,
        Generated::PositiveSlots,
        Generated::ValidPositives,
        Generated::ValidNegatives,
        Generated::LogQ,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Generated::Batch => BATCH,
            Generated::Slot => SLOT,
            Generated::Copy => COPY,
            Generated::Anchor => ANCHOR,
            Generated::User => USER,
            Generated::Item => ITEM,
            Generated::UserSlot => USER_SLOT,
            Generated::ItemSlot => ITEM_SLOT,
            Generated::GroupSlot => GROUP_SLOT,
            Generated::RequestSlot => REQUEST_SLOT,
            Generated::RequestFirst => REQUEST_FIRST,
            Generated::SameUser => SAME_USER,
            Generated::Negatives => NEGATIVES,
            Generated::Excluded => EXCLUDED,
            Generated::Positives | Generated::PositiveSlots => OWN_POSITIVES,
            Generated::ValidPositives => VALID_POSITIVES,
            Generated::ValidNegatives => VALID_NEGATIVES,
            Generated::LogQ => LOG_Q,
        }
    }

    /// The column's field; bitmaps are ⌈`batch_size`/8⌉ bytes wide.
    pub fn field(self, batch_size: usize) -> Field {
        let data_type = match self {
            Generated::Anchor | Generated::RequestFirst => DataType::Boolean,
            Generated::User | Generated::Item => DataType::Int64,
            Generated::SameUser | Generated::Negatives | Generated::Positives => {
                DataType::FixedSizeBinary(bitmap_bytes(batch_size) as i32)
            }
            Generated::Excluded | Generated::PositiveSlots => DataType::List(excluded_element()),
            Generated::LogQ => DataType::Float32,
            _ => DataType::Int32,
        };
        let description = (DESCRIPTION.to_owned(), self.meaning().to_owned());
        Field::new(self.name(), data_type, false).with_metadata(HashMap::from([description]))
    }

    /// What the column says of a row, in one line.
    pub fn meaning(self) -> &'static str {
        match self {
            Generated::Batch => "ordinal of the batch in reading order, from 0 over the whole dataset",
            Generated::Slot => "slot in the global batch, from 0",
            Generated::Copy => "0 for the example itself, 1, 2, … for copies of it",
            Generated::Anchor => "whether to compute the row's loss: it satisfies mask.positive and is no padding",
            Generated::User => "low 64 bits of the identity's token, the same in every run",
            Generated::Item => "low 64 bits of the item's token, the same in every run",
            Generated::UserSlot => "ordinal of the identity in the batch by first appearance",
            Generated::ItemSlot => "ordinal of the item in the batch by first appearance",
            Generated::GroupSlot => "ordinal of the group in the batch, -1 outside groups",
            Generated::RequestSlot => "ordinal of the request in the batch, or rank slice, by first appearance",
            Generated::RequestFirst => "whether this row carries the columns of its request",
            Generated::SameUser => "bit j, from the least significant of byte j/8: slot j holds the same identity",
            Generated::Negatives => "bit j, from the least significant of byte j/8: slot j is a valid negative",
            Generated::Excluded => "the other slots that are no valid negatives, ascending",
            Generated::Positives => "bit j, from the least significant of byte j/8: slot j is a positive of the row",
            Generated::PositiveSlots => "the slots that are positives of the row, ascending",
            Generated::ValidPositives => "number of positives",
            Generated::ValidNegatives => "number of valid negatives",
            Generated::LogQ => "ln of the item's share of the rows of the pool that the batch was drawn from",
        }
    }
}

/// The key of a generated column's meaning in the metadata of its field.
pub const DESCRIPTION: &str = "description";

/// The element of `bw_excluded`.
pub fn excluded_element() -> FieldRef {
    Field::new("element", DataType::Int32, false).into()
}

/// Bytes of a row's bitmap over a batch: ⌈`batch_size`/8⌉.
pub fn bitmap_bytes(batch_size: usize) -> usize {
    batch_size.div_ceil(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_generated_column_says_what_it_means_in_one_line() {
        for column in Generated::ALL {
            let field = column.field(256);
            let meaning = &field.metadata()[DESCRIPTION];
            assert!(
                (10..=100).contains(&meaning.chars().count()) && !meaning.contains('\n'),
                "{}: {meaning}",
                column.name()
            );
            assert!(Generated::ALL.iter().all(|other| *other == column || other.meaning() != meaning));
        }
    }
}
