//! Pre-composed training batches with exact same-user masks, from Parquet logs.
//!
//! The data flow, drawn once:
//!
//! ```text
//!  pipeline.toml ──▶ pipeline ─────────────────────────┐ everything decided
//!                                                      ▼
//!  shards ─▶ source ─▶ identity ─▶ dedup ─▶ compose ─▶ negatives ─┐
//!             │         keys, ~30 bytes a row    plan    masks    │
//!             └────────▶ payload ─────────────────────────────────┴▶ dataset ─▶ one rename
//!                        columns, decoded once, gathered by the plan
//! ```
//!
//! Deciding happens on keys alone; payload moves once; nothing is visible until everything is proven. `run` is the only
//! module that knows the order of the stages; they hand one another [`keys`], [`compose::plan`], [`stats`] and Arrow arrays.
//! DATASET FORMAT: see [`schema`]; tokens: see [`identity`].

#![forbid(unsafe_code)]

pub mod pipeline;
pub mod schema;
pub mod keys;
pub mod classes;
pub mod source;
pub mod identity;
pub mod dedup;
pub mod compose;
pub mod negatives;
pub mod payload;
pub mod dataset;
pub mod stats;
pub mod run;
pub mod store;
pub mod progress;
pub mod error;
pub mod cli;
