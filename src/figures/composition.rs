//! What stands once rows are composed, before any payload is read.

use super::facts::Facts;
use crate::compose::Composed;
use crate::identity::LeftOut;
use crate::keys::Keys;
use crate::negatives::Positives;
use crate::spill::Room;

/// All that keys alone decide.
pub struct Composition {
    /// The examples: after `where`, null identities and dedup.
    pub keys: Keys,
    pub composed: Composed,
    pub facts: Facts,
    /// Where an item is mapped: over all rows that passed `where`.
    pub positives: Option<Positives>,
    /// Rows of the input.
    pub rows_in: u64,
    pub left_out: LeftOut,
    pub duplicates: u64,
    /// What is counted of it may take, too.
    pub room: Room,
}
