//! Which columns of keys there are.

use crate::pipeline::Field;

/// A column of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    InputRow,
    Time,
    Positive,
    Code(Field),
}

impl Key {
    pub const IDENTITY: Key = Key::Code(Field::Identity);
}
