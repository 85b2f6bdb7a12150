//! Stage 5, negatives: plan and keys in, masks out. Pure.
//!
//! For each batch: who is whose user, which candidates are valid negatives of which anchor, and the item's log-probability
//! of being drawn. Promises: the union of the pipeline's rules, exactly, and never the anchor or a copy of its
//! example; nothing quadratic but the bits themselves.

mod batch;
mod batch_items;
mod bits;
mod class_bits;
mod columns;
mod false_negatives;
mod log_q;
mod log_q_of_batches;
mod patterns;
mod positives;
mod rules;
mod slot_lists;

pub use bits::{Bits, set_bits};
pub use columns::{BatchColumns, Columns};

pub use log_q::{LogQ, ln_share};
pub use log_q_of_batches::LogQOfBatches;
pub use positives::Positives;
pub use rules::{BatchKeys, Exclusions, MaskRules, Pairs, Rule, Share, need_positives};
