//! The key plane: what is known of each example before its payload is touched, ~30 bytes a row; in memory or, where there is no
//! room for that, in scratch files. Plain data that the stages hand to one another.
//!
//! Rows are ordinals into the plane, in input order. Values are dense codes: equal values have equal codes,
//! and a null where nulls are never equal has a code of its own. Stages look at a [`KeyPlane`], which is in memory: all rows, or
//! a part of them.

mod filed;
mod parted;
mod plane;

pub use filed::{FiledKeys, Key, Keys};
pub use parted::PartedKeys;
pub use plane::{Codes, KeyPlane, Labels, from_ordered_bits, ordered_bits};
