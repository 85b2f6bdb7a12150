//! What the rules of the mask say of a batch, recomputed: one file each, which share nothing with the writer's.

mod copies;
mod known_positive;
mod same;

pub use known_positive::KnownPositive;
pub use same::Same;

use super::against::Witness;
use super::lookalikes::Prior;
use super::rows::BatchRows;
use super::view::View;
use crate::reader::Dataset;

/// What is recomputed of an anchor's candidates, as bits by slot.
pub struct Said {
    /// No negatives.
    pub excluded: Vec<u64>,
    /// Negatives or not: the dataset leaves it open.
    pub undecided: Vec<u64>,
}

impl Said {
    /// Nothing said yet, of a batch of so many rows.
    pub fn new(rows: usize) -> Self {
        let words = rows.div_ceil(64);
        Said { excluded: vec![0; words], undecided: vec![0; words] }
    }

    pub fn clear(&mut self) {
        self.excluded.fill(0);
        self.undecided.fill(0);
    }
}

/// Sets the bit of a slot.
pub fn set(bits: &mut [u64], slot: usize) {
    bits[slot / 64] |= 1 << (slot % 64);
}

/// A rule of the mask, in one batch.
pub trait Rule {
    /// Adds what it says of the anchor in a slot.
    fn say(&self, slot: usize, said: &mut Said);

    /// Whether that is all that it excludes; else more may be excluded by it.
    fn is_whole(&self) -> bool {
        true
    }
}

/// A rule that can't be recomputed here.
struct Unknown;

impl Rule for Unknown {
    fn say(&self, _: usize, _: &mut Said) {}

    fn is_whole(&self) -> bool {
        false
    }
}

/// What there is to recompute a batch's rules from.
pub struct Known<'a> {
    pub dataset: &'a Dataset,
    pub batch: &'a BatchRows,
    pub view: &'a View,
    pub prior: &'a Prior,
    pub witness: Option<&'a Witness>,
}

/// The rules by which rows are positives of one another.
pub fn positive_rules<'a>(known: &Known<'a>) -> Vec<Box<dyn Rule + 'a>> {
    known.dataset.list("mask.positives").iter().map(|text| rule(text, known)).collect()
}

/// No anchor's own example is anything to it.
pub fn copies(known: &Known<'_>) -> Vec<Box<dyn Rule>> {
    match known.dataset.count("copies") > 0 && known.view.copy.iter().any(|copy| *copy > 0) {
        true => copies::rules(known).into(),
        false => Vec::new(),
    }
}

/// The rules of the dataset's mask, and that no anchor's own example is a negative of it.
pub fn rules<'a>(known: &Known<'a>) -> Vec<Box<dyn Rule + 'a>> {
    let texts = known.dataset.list("mask.rules");
    let mut rules: Vec<Box<dyn Rule + 'a>> = texts.iter().map(|text| rule(text, known)).collect();
    rules.extend(copies(known));
    rules
}

fn rule<'a>(text: &str, known: &Known<'a>) -> Box<dyn Rule + 'a> {
    match text.split_once(':') {
        Some(("same", _)) => match same::keys(text, known) {
            Some(keys) => Box::new(Same::of(&keys)),
            None => Box::new(Unknown),
        },
        None if text == "known_positive" => Box::new(KnownPositive::of(known)),
        _ => Box::new(Unknown),
    }
}
