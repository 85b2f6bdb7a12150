//! The tables beside the shards, and what their columns say.

use super::{BATCH, ITEM, ITEMS, POSITIVES, STATS, USER};

/// A table of a dataset.
pub struct Table {
    /// Its path in the dataset.
    pub path: &'static str,
    /// What a row is of, and what orders rows.
    pub rows: &'static str,
    /// Names and meanings. `ITEM_COLUMN` stands for the column of items, which is called as in the input.
    pub columns: &'static [(&'static str, &'static str)],
}

/// Stands for a name that only the pipeline tells.
pub const ITEM_COLUMN: &str = "columns.item";

/// All there are. Pairs are ordered pairs (i, j), i ≠ j, of rows of the batch.
pub const TABLE_COLUMNS: [Table; 3] = [
    Table {
        path: STATS,
        rows: "a batch, in reading order",
        columns: &[
            (BATCH, "ordinal of the batch"),
            ("rows", "its rows"),
            ("users", "its identities"),
            ("max_rows_per_user", "rows of the identity that has most"),
            ("same_user_pairs", "pairs of one identity"),
            ("excluded_pairs", "pairs that any rule of the mask excludes"),
            (
                "matched_rows",
                "rows whose batch, or rank slice, holds all classes of the groups of their identity, in other modes another label",
            ),
            ("min_valid_negatives", "valid negatives of the row that has fewest"),
            ("requests", "its requests"),
            ("copies", "rows that are copies"),
            ("time_min", "the first time of its rows"),
            ("time_max", "the last time of its rows"),
            ("pool", "ordinal of the pool, between two ends of windows, from which its rows were drawn"),
        ],
    },
    Table {
        path: ITEMS,
        rows: "an item, by token",
        columns: &[
            (ITEM, "low 64 bits of the item's token"),
            (ITEM_COLUMN, "the item, as the input has it"),
            ("rows_before_dedup", "rows of the input that passed input.where and the null policy"),
            ("rows", "examples"),
            ("positives", "examples that satisfy mask.positive"),
            ("log_q", "ln of its share of the examples"),
        ],
    },
    Table {
        path: POSITIVES,
        rows: "an identity, by token; with output.positives",
        columns: &[
            (USER, "low 64 bits of the identity's token"),
            ("items", "low 64 bits of the tokens of what it engaged with, ascending"),
        ],
    },
];
