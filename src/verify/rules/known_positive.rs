//! `known_positive`: candidates whose item the anchor's identity engaged with, and those with the anchor's own item.

use std::collections::{HashMap, HashSet};

use super::{Known, Rule, Said, set};
use crate::verify::view::View;

pub struct KnownPositive<'a> {
    view: &'a View,
    /// Known positives of each identity, by item token.
    items: &'a HashMap<i64, HashSet<i64>>,
    /// Whether these are all.
    whole: bool,
}

impl<'a> KnownPositive<'a> {
    /// As the input tells; where it leaves open who is who, the dataset's own rows tell more.
    pub fn of(known: &Known<'a>) -> Self {
        let witness = known.witness.filter(|witness| witness.who_is_who);
        match witness {
            Some(witness) => KnownPositive { view: known.view, items: witness.known(), whole: true },
            None => KnownPositive { view: known.view, items: &known.prior.positives, whole: false },
        }
    }

    /// Whether any identity has known positives.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The slots with an item that the identity of `slot` engaged with, and those with its own item.
    pub fn slots(&self, slot: usize) -> impl Iterator<Item = usize> + '_ {
        let (user, item) = (self.view.user[slot], &self.view.item);
        let items = self.items.get(&user);
        (0..self.view.rows).filter(move |j| item[*j] == item[slot] || items.is_some_and(|i| i.contains(&item[*j])))
    }
}

impl Rule for KnownPositive<'_> {
    fn say(&self, slot: usize, said: &mut Said) {
        self.slots(slot).for_each(|j| set(&mut said.excluded, j));
    }

    fn is_whole(&self) -> bool {
        self.whole
    }
}
