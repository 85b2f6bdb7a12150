//! Stage 6, payload: decoded columns in, columns in the order of the plan out.
//!
//! Takes a decoder of row groups and the input rows that are wanted; gives arrays for any list of these rows. Promises:
//! types and values unchanged, bit for bit; each value decoded once; request-level columns kept once per request; what does not fit goes
//! through scratch files, written once and read once.

mod constancy;
mod decoder;
mod examples;
mod gather;
mod key_range;
mod permits;
mod pieces;
mod row_digest;
mod scatter;
mod spill;

pub use constancy::{Constancy, Examples, RequestRows, SeenValue, WantedRows, differ};
pub use decoder::{DecodedColumn, SourceDecoder};
pub use gather::{ArraySize, Decoder, KEEP_WHOLE, Payload, RowGroupSpan, Sink, WantedRow, alone};
pub use key_range::{KeyRange, with_keys_for};
pub use pieces::Piece;
pub use row_digest::{Digest, row_digests};
pub use scatter::{PartRows, Wanted, WantedLists, gathered, scatter};
pub use spill::Spill;
