//! Stage 3, identity: values in, 128-bit tokens and dense codes out. Raw values go no further than here.
//!
//! Takes Arrow arrays of key columns; gives, per column, a code for each row and the token of each code. Tokens are parted by
//! their top bits until all rows are in, through a scratch file if need be, so memory does not depend on how many values differ.
//! Promises: equal values have equal tokens whatever their integer width, string layout or dictionary; the codes
//! depend on the set of values alone, not on threads or on the order in which chunks arrive. The encoding is documented byte
//! by byte, with test vectors, in [`canonical`].

pub mod canonical;
mod hasher;
mod join;
mod partitions;
mod plane;
mod roles;
mod runs;
mod times;

pub use hasher::{KeyFacts, Tokenizer};
pub use join::LeftOut;
pub use plane::{Gathered, KeyChunk, PlaneBuilder};
pub use roles::{Kind, TAKEN, role_kind};
pub use times::tick;
