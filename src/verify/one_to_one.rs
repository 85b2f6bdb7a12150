//! Which token stands for which value.

use std::collections::HashMap;

/// Pairs seen so far.
#[derive(Default)]
pub struct OneToOne {
    pub token: HashMap<u128, i64>,
    value: HashMap<i64, u128>,
}

impl OneToOne {
    /// Takes a pair in; whether it is one with all that came before.
    pub fn agree(&mut self, value: u128, token: i64) -> bool {
        *self.token.entry(value).or_insert(token) == token && *self.value.entry(token).or_insert(value) == value
    }

    /// Whether nothing known speaks against a pair.
    pub fn may_agree(&self, value: u128, token: i64) -> bool {
        self.token.get(&value).is_none_or(|known| *known == token)
            && self.value.get(&token).is_none_or(|known| *known == value)
    }

    /// What a token stands for.
    pub fn value(&self, token: i64) -> Option<u128> {
        self.value.get(&token).copied()
    }

    /// Whether it is known what a token stands for.
    pub fn knows(&self, token: i64) -> bool {
        self.value.contains_key(&token)
    }
}
