//! Masks, bit by bit.

use super::finding::Findings;
use super::positives::Positives;
use super::rows::BatchRows;
use super::rules::{Known, KnownPositive, Said, Same, rules, set};
use super::view::View;
use crate::reader::{ints, words_of};
use crate::schema;
use crate::stats::{BatchStats, FalseNegatives};

/// Slots of a row, as bits.
pub(super) type Bits = Vec<u64>;

/// Compares a batch's masks with what the rules say, and adds what they hold to its statistics.
pub fn check(known: &Known<'_>, findings: &mut Findings, stats: &mut BatchStats) {
    let Known { dataset, batch, view, .. } = known;
    let rows = view.rows;
    let rules = rules(known);
    let exact = rules.iter().all(|rule| rule.is_whole());
    let users = Same::of(&view.user.iter().map(|u| Some(*u as u128)).collect::<Vec<_>>());
    let bitmap = |name: &str| batch.frame.column(name).ok().map(|c| c.as_materialized_series().clone());
    let same_user = bitmap(schema::SAME_USER);
    let negatives = bitmap(schema::NEGATIVES);
    let excluded = bitmap(schema::EXCLUDED);
    let valid = batch.frame.column(schema::VALID_NEGATIVES).map(ints).unwrap_or_default();
    let width = schema::bitmap_bytes(dataset.batch_size);
    let mut own: Bits = vec![0; rows.div_ceil(64)];
    let mut said = Said::new(rows);
    // Without the input, what the dataset's own rows tell: a lower bound.
    let positives = KnownPositive::of(known);
    let is_told = known.witness.is_some_and(|witness| witness.who_is_who) || !positives.is_empty();
    let sampled = is_told && view.item.len() == rows && dataset.sampled().contains(&(batch.number as usize));
    stats.false_negatives = sampled.then(FalseNegatives::default);
    let mut positives_of = Positives::new(known);
    for slot in 0..rows {
        if let Some(column) = &same_user {
            own.fill(0);
            users.slots(slot).iter().for_each(|other| set(&mut own, *other));
            let stored = column.binary().ok().and_then(|c| c.get(slot)).unwrap_or_default();
            compare(batch, findings, slot, schema::SAME_USER, (&own, &[]), stored, width, true);
        }
        said.clear();
        rules.iter().for_each(|rule| rule.say(slot, &mut said));
        set(&mut said.excluded, slot);
        if let Some(positives) = &mut positives_of {
            positives.check(known, slot, findings);
            said.excluded.iter_mut().zip(&positives.said.excluded).for_each(|(own, more)| *own |= more);
            said.undecided.iter_mut().zip(&positives.said.undecided).for_each(|(own, more)| *own |= more);
        }
        let exact = exact && positives_of.as_ref().is_none_or(|positives| positives.is_whole);
        let mut open: Bits = said.excluded.iter().map(|w| !w).collect();
        mask_tail(&mut open, rows);
        let stored: Vec<u8> = match (&negatives, &excluded) {
            (Some(column), _) => column.binary().ok().and_then(|c| c.get(slot)).unwrap_or_default().to_vec(),
            (None, Some(column)) => from_slots(batch, findings, column, slot, rows, width),
            // Readers make the mask of slots, which are compared elsewhere.
            (None, None) => open.iter().flat_map(|word| word.to_le_bytes()).take(width).collect(),
        };
        if negatives.is_some() || excluded.is_some() {
            let name = if negatives.is_some() { schema::NEGATIVES } else { schema::EXCLUDED };
            compare(batch, findings, slot, name, (&open, &said.undecided), &stored, width, exact);
        }
        let offered: u32 = stored.iter().map(|b| b.count_ones()).sum();
        if let Some(all) = &mut stats.false_negatives
            && view.anchor.get(slot) == Some(&true)
        {
            all.add(false_negatives(view, &positives, slot, &stored));
        }
        if valid.get(slot) != Some(&i64::from(offered)) {
            let problem = format!("it is {}, and the mask has {offered}", valid.get(slot).copied().unwrap_or(-1));
            findings.add_of_kind("counts of negatives", batch.finding(Some(slot), schema::VALID_NEGATIVES, problem));
        }
        stats.add_anchors(1, offered.min(rows as u32 - 1), rows as u32);
    }
}

/// Other slots whose item the slot's identity knows, and which of them are stored as negatives.
fn false_negatives(view: &View, positives: &KnownPositive<'_>, slot: usize, stored: &[u8]) -> FalseNegatives {
    let of_them: Vec<usize> = positives.slots(slot).filter(|j| *j != slot).collect();
    let offered = |j: &&usize| stored.get(**j / 8).is_some_and(|byte| byte >> (**j % 8) & 1 == 1);
    FalseNegatives {
        candidates: view.rows as u64 - 1,
        known: of_them.len() as u64,
        unmasked: of_them.iter().filter(offered).count() as u64,
    }
}

fn mask_tail(bits: &mut Bits, rows: usize) {
    if let (Some(last), true) = (bits.last_mut(), !rows.is_multiple_of(64)) {
        *last &= (1 << (rows % 64)) - 1;
    }
}

/// `expected` against stored bytes. If not `exact`, only bits that are stored and should not be are wrong; what is undecided is
/// never.
#[allow(clippy::too_many_arguments)]
pub(super) fn compare(
    batch: &BatchRows,
    findings: &mut Findings,
    slot: usize,
    column: &str,
    (expected, undecided): (&[u64], &[u64]),
    stored: &[u8],
    width: usize,
    exact: bool,
) {
    if stored.len() != width {
        let problem = format!("the row has {} bytes, not {width}", stored.len());
        return findings.add_of_kind("mask bits", batch.finding(Some(slot), column, problem));
    }
    let words = width.div_ceil(8);
    for (w, found) in words_of(stored).take(words).enumerate() {
        let wanted = expected.get(w).copied().unwrap_or(0);
        let wrong = if exact { found ^ wanted } else { found & !wanted } & !undecided.get(w).copied().unwrap_or(0);
        if wrong != 0 {
            let j = w * 64 + wrong.trailing_zeros() as usize;
            let what = if found >> (j % 64) & 1 == 1 { "set, and should not be" } else { "not set, and should be" };
            findings.add_of_kind("mask bits", batch.finding(Some(slot), column, format!("bit {j} is {what}")));
            return;
        }
    }
}

/// The bitmap of valid negatives that a row of `bw_excluded` means.
fn from_slots(
    batch: &BatchRows,
    findings: &mut Findings,
    column: &polars::prelude::Series,
    slot: usize,
    rows: usize,
    width: usize,
) -> Vec<u8> {
    let list = column.list().ok().and_then(|l| l.get_as_series(slot));
    let slots: Vec<i64> = list.map(|s| ints(&s.into())).unwrap_or_default();
    let mut bytes = vec![0u8; width];
    (0..rows).filter(|j| *j != slot).for_each(|j| bytes[j / 8] |= 1 << (j % 8));
    let ascending = slots.windows(2).all(|w| w[0] < w[1]);
    if !ascending || slots.iter().any(|s| *s < 0 || *s >= rows as i64 || *s == slot as i64) {
        let problem = "the slots are not other slots of the batch, ascending";
        findings.add_of_kind("excluded slots", batch.finding(Some(slot), schema::EXCLUDED, problem));
    }
    for s in slots.into_iter().filter(|s| (0..rows as i64).contains(s)) {
        bytes[s as usize / 8] &= !(1 << (s % 8));
    }
    bytes
}
