//! What is measured: one row of statistics a batch, their sums over a dataset, and the two baselines beside them.

mod baseline;
mod batch;
mod co_user;
mod false_negatives;
mod metrics;

pub use baseline::{Baseline, Baselines, Chances, hit, random_order};
pub use batch::BatchStats;
pub use co_user::{Users, co_user_ratio, even_ends};
pub use false_negatives::{FalseNegatives, sampled_batches};
pub use metrics::{Counts, Metrics, Spread};
