//! Stage 3, identity: values in, 128-bit tokens and dense codes out. Raw values go no further than here.
//!
//! Takes Arrow arrays of key columns; gives, per column, a code for each row and the token of each code. Tokens are parted by
//! their top bits until all rows are in, through a scratch file if need be, so memory does not depend on how many values differ.
//! Promises: equal values have equal tokens whatever their integer width, string layout or dictionary; the codes
//! depend on the set of values alone, not on threads or on the order in which chunks arrive. The encoding is documented byte
//! by byte, with test vectors, in [`canonical`].

mod builder;
mod by_row;
pub mod canonical;
mod chunk;
mod codes;
mod hasher;
mod reorder;
mod roles;
mod runs;
mod share;
mod times;

pub use builder::{Gathered, KeyBuilder};
pub use canonical::TAKEN;
pub use chunk::{KeyChunk, KeyColumns};
pub use hasher::{KeyFacts, Tokenizer};
pub use reorder::{ChunkKeys, LeftOut, Texts};
pub use roles::{Kind, role_kind};
pub use runs::Run;
pub use share::IdentityShare;
pub use times::tick;
