//! What each metric and count is, in one line.

/// A figure that checks may ask for.
pub struct Metric {
    pub name: &'static str,
    /// Whether there is a minimum, a mean and a maximum of it.
    is_spread: bool,
    pub meaning: &'static str,
}

impl Metric {
    const fn of(name: &'static str, meaning: &'static str) -> Self {
        Metric { name, is_spread: false, meaning }
    }

    const fn spread(name: &'static str, meaning: &'static str) -> Self {
        Metric { name, is_spread: true, meaning }
    }

    /// As expectations name it.
    pub fn names(&self) -> Vec<String> {
        match self.is_spread {
            false => vec![self.name.to_owned()],
            true => ["min", "mean", "max"].map(|part| format!("{}.{part}", self.name)).to_vec(),
        }
    }
}

/// All there are. Pairs are ordered pairs of rows of a batch; B is the batch size.
pub const METRICS: [Metric; 27] = [
    Metric::of("same_user_rate", "pairs of one identity ÷ pairs"),
    Metric::of("excluded_rate", "pairs that any rule of the mask excludes ÷ pairs"),
    Metric::of(
        "false_negative_rate",
        "over anchors, before masking: candidates whose item the anchor's identity is known to like ÷ candidates, in up to 64 batches",
    ),
    Metric::of("unmasked_rate", "of these candidates, those that the mask still offers as negatives ÷ candidates"),
    Metric::of(
        "match_rate",
        "rows whose batch, or rank slice, holds all classes of the groups of the row's identity, in other modes another label ÷ rows",
    ),
    Metric::spread("users_per_batch", "identities of a batch"),
    Metric::spread("max_rows_per_user", "rows of the identity that has most in a batch"),
    Metric::spread("valid_negatives", "valid negatives of a row"),
    Metric::of("largest_identity", "rows of the identity that has most ÷ rows_out"),
    Metric::of(
        "co_user_ratio",
        "distinct identities that an identity meets ÷ those of a random order, mean over up to 1,000",
    ),
    Metric::of("duplicate_rate", "duplicates ÷ rows_in"),
    Metric::of("copy_rate", "copies ÷ rows_out"),
    Metric::of("batch_fill", "rows_out ÷ (batches · B)"),
    Metric::of("request_reuse", "rows ÷ (batch, request) pairs: how often a request's columns are used"),
    Metric::of("counts.rows_in", "rows of the input"),
    Metric::of("counts.filtered", "rows for which input.where is not true"),
    Metric::of("counts.null_identity", "rows without an identity that were dropped"),
    Metric::of("counts.duplicates", "rows that dedup dropped"),
    Metric::of("counts.dropped", "examples that do not occur in the output"),
    Metric::of("counts.copies", "rows that are copies of another"),
    Metric::of("counts.rows_out", "rows of the output"),
    Metric::of("counts.users", "identities of the output"),
    Metric::of("counts.requests", "requests of the output"),
    Metric::of("counts.items", "items of the output"),
    Metric::of("counts.batches", "batches"),
    Metric::of("counts.max_requests_per_batch", "requests of the batch, or rank slice, that has most"),
    Metric::of("counts.mixed_requests", "requests with rows of several identities"),
];
