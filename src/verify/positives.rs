//! Positives of a row among its batch, bit by bit.

use polars::prelude::Series;

use super::finding::Findings;
use super::rules::{Known, Rule, Said, copies, positive_rules, set};
use crate::reader::{ints, words_of};
use crate::schema;

/// What is stored of a batch's positives, and what the rules say of them.
pub struct Positives<'a> {
    rules: Vec<Box<dyn Rule + 'a>>,
    copies: Vec<Box<dyn Rule>>,
    /// Slots that are padding, and slots of which the dataset does not tell.
    padding: Vec<usize>,
    unsure: Vec<usize>,
    stored: Option<Series>,
    number: Vec<i64>,
    /// Whether all that is stored can be recomputed.
    pub is_whole: bool,
    /// What the rules say of the slot that was checked last.
    pub said: Said,
}

impl<'a> Positives<'a> {
    /// `None`: the dataset has no rules of positives.
    pub fn new(known: &Known<'a>) -> Option<Self> {
        let rules = positive_rules(known);
        if rules.is_empty() {
            return None;
        }
        let Known { dataset, batch, view, .. } = known;
        let column = |name: &str| batch.frame.column(name).ok();
        let is_copy = |slot: &usize| view.copy.get(*slot).is_some_and(|copy| *copy > 0);
        let is_anchor = |slot: &usize| view.anchor.get(*slot) == Some(&true);
        // Copies of groups are no padding; without a predicate all of them are anchors.
        let tells = dataset.value("compose.group.scarce") != "repeat" || dataset.value("mask.positive").is_null();
        let copied = (0..view.rows).filter(is_copy).filter(|slot| !is_anchor(slot)).collect();
        let (padding, unsure) = if tells { (copied, Vec::new()) } else { (Vec::new(), copied) };
        Some(Positives {
            is_whole: rules.iter().all(|rule| rule.is_whole()),
            rules,
            copies: copies(known),
            padding,
            unsure,
            stored: column(schema::OWN_POSITIVES).map(|c| c.as_materialized_series().clone()),
            number: column(schema::VALID_POSITIVES).map(ints).unwrap_or_default(),
            said: Said::new(view.rows),
        })
    }

    /// Compares what is stored in a slot with what the rules say.
    pub fn check(&mut self, known: &Known<'_>, slot: usize, findings: &mut Findings) {
        let rows = known.view.rows;
        self.said.clear();
        self.rules.iter().for_each(|rule| rule.say(slot, &mut self.said));
        // Its own example is no positive of it, nor is padding.
        let mut own = Said::new(rows);
        self.copies.iter().for_each(|rule| rule.say(slot, &mut own));
        set(&mut own.excluded, slot);
        self.padding.iter().for_each(|padding| set(&mut own.excluded, *padding));
        self.unsure.iter().for_each(|unsure| set(&mut own.undecided, *unsure));
        for (k, word) in self.said.excluded.iter_mut().enumerate() {
            // What may be a copy of it may be a positive or not.
            self.said.undecided[k] = *word & own.undecided[k];
            *word &= !own.excluded[k];
        }
        let mut stored = vec![0u64; rows.div_ceil(64)];
        let mut add = |problem: String| {
            findings.add_of_kind("positives", known.batch.finding(Some(slot), schema::OWN_POSITIVES, problem));
        };
        match self.stored.as_ref().map(|column| (column.binary(), column.list())) {
            Some((Ok(bits), _)) => {
                let bytes = bits.get(slot).unwrap_or_default();
                if bytes.len() != schema::bitmap_bytes(known.dataset.batch_size) {
                    add(format!("the row has {} bytes", bytes.len()));
                }
                let words = bytes.len().div_ceil(8);
                if words_of(bytes).take(words).skip(stored.len()).any(|word| word != 0) {
                    add("bits of slots are set that the batch has not".into());
                }
                stored.iter_mut().zip(words_of(bytes)).for_each(|(own, word)| *own = word);
            }
            Some((_, Ok(lists))) => {
                let list = lists.get_as_series(slot).map(|list| ints(&list.into())).unwrap_or_default();
                if !list.windows(2).all(|pair| pair[0] < pair[1]) || list.iter().any(|s| !(0..rows as i64).contains(s))
                {
                    add("the slots are not those of the batch, ascending".into());
                }
                list.into_iter().filter(|s| (0..rows as i64).contains(s)).for_each(|s| set(&mut stored, s as usize));
            }
            _ => return,
        }
        let number: u32 = stored.iter().map(|word| word.count_ones()).sum();
        for (k, stored) in stored.iter().enumerate() {
            let differs = (stored ^ self.said.excluded[k]) & !self.said.undecided[k];
            let wrong = if self.is_whole { differs } else { differs & self.said.excluded[k] };
            if wrong != 0 {
                let j = k * 64 + wrong.trailing_zeros() as usize;
                add(format!("slot {j} is wrongly {}", if stored >> (j % 64) & 1 == 1 { "a positive" } else { "none" }));
                break;
            }
        }
        if self.number.get(slot) != Some(&i64::from(number)) {
            let found = self.number.get(slot).copied().unwrap_or(-1);
            let problem = format!("it is {found}, and {number} slots are positives");
            findings
                .add_of_kind("counts of positives", known.batch.finding(Some(slot), schema::VALID_POSITIVES, problem));
        }
    }
}
