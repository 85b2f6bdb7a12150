//! Keys: what is known of each example before its payload is touched, ~30 bytes a row. Plain data that the stages hand to one
//! another.
//!
//! Rows are ordinals into the keys, in input order. Values are dense codes: equal values have equal codes, and a null where
//! nulls are never equal has a code of its own. Stages look at a [`KeyView`]: of all rows, or of some.

mod columns;
mod exchange;
mod key;
mod view;

pub use columns::Keys;
pub use exchange::{KeyExchange, SortedKeys};
pub use key::Key;
pub use view::{Codes, KeyView, Labels, from_ordered_bits, ordered_bits};
