//! Pre-composed training batches with exact same-user masks, from Parquet logs.
//!
//! The data flow, drawn once:
//!
//! ```text
//!  pipeline.toml ──▶ pipeline ─────────────────────────┐ everything decided
//!                                                      ▼
//!  shards ─▶ source ─▶ identity ─▶ dedup ─▶ compose ─▶ negatives ─┐
//!             │         keys, held or on file    plan    masks    │
//!             └────────▶ payload ─────────────────────────────────┴▶ dataset ─▶ one rename
//!                        columns, decoded once, gathered by the plan
//!
//!  stages:  job ─▶ scan, a split each ─▶ compose ─▶ scatter, a split each ─▶ write, a part each ─▶ commit
//! ```
//!
//! Deciding happens on keys alone; payload moves once; nothing is visible until everything is proven. `job` is the only
//! module that knows the order of the stages; they hand one another [`keys`], [`compose::Plan`], [`stats`] and Arrow arrays. [`work`] runs the same
//! stages as processes over files; [`figures`] tells what a composition comes to.
//! DATASET FORMAT: see [`schema`]; tokens: see [`identity`].

pub mod allocator;
pub mod check;
pub mod classes;
pub mod cli;
pub mod compose;
pub mod dataset;
pub mod dedup;
pub mod error;
pub mod figures;
pub mod guide;
pub mod identity;
pub mod init;
pub mod job;
pub mod keys;
pub mod negatives;
pub mod parallel;
pub mod payload;
pub mod pipeline;
pub mod progress;
pub mod reader;
pub mod report;
pub mod schema;
pub mod source;
pub mod spill;
pub mod stats;
pub mod store;
pub mod verify;
pub mod work;
