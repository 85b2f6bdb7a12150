//! A work folder: what the stages of a run hand to one another when each runs in a process of its own.
//!
//! ```text
//! job.json                 which run this is, and its splits: stretches of row groups
//! keys/split-00000         scan     the tokens of a split's examples
//! composed.json, items,
//! positives, parts/…,
//! routes/…                 compose  all that keys alone decide or count
//! pieces/split-00000…      scatter  the payload of a split, in pieces by part, and where each piece is
//! written/part-00000…      write    the files of a part, re-read, and their record
//! ```
//!
//! Every file appears whole or not at all, so that each stage may run more than once, in any order that its input allows. The
//! folder holds what the input holds, and is made for its owner alone; nobody removes it but its owner.

mod bundle;
mod folder;
mod keys;
mod part;
mod pieces;
mod positives;
mod records;
mod routes;
mod stages;
mod write;

pub use stages::{compose, scan, scatter, start};
pub use write::{commit, write};
