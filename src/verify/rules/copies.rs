//! Copies of the anchor's own example, which no rule makes its negatives.

use std::collections::HashSet;

use super::{Known, Rule, Said, Same, set};
use crate::reader::ints;
use crate::schema;
use crate::verify::example_keys::example_keys;

/// Copies are told by their payload and identity: rows that agree in all of it are one example, if one of them is a copy, and
/// if no other example is like it.
pub fn rules(known: &Known<'_>) -> [Box<dyn Rule>; 2] {
    let alike = &known.prior.alike;
    let keys = example_keys(known.dataset, known.batch);
    let copies = known.batch.frame.column(schema::COPY).map(ints).unwrap_or_default();
    let copied: HashSet<u128> = keys.iter().zip(&copies).filter(|(_, c)| **c > 0).map(|(k, _)| *k).collect();
    let of = |are_alike: bool| -> Vec<Option<u128>> {
        keys.iter().map(|k| (copied.contains(k) && alike.contains(k) == are_alike).then_some(*k)).collect()
    };
    [Box::new(Same::of(&of(false))), Box::new(PerhapsSame(Same::of(&of(true))))]
}

/// Slots that agree may be negatives of one another or not.
struct PerhapsSame(Same);

impl Rule for PerhapsSame {
    fn say(&self, slot: usize, said: &mut Said) {
        self.0.slots(slot).iter().for_each(|other| set(&mut said.undecided, *other));
    }
}
