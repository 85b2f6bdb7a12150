//! Masks, bit by bit.

use std::collections::{HashMap, HashSet};

use super::against::Witness;
use super::columns::ints;
use super::columns::{Named, find, parts_of};
use super::dataset::Dataset;
use super::digest::role_digests;
use super::finding::Findings;
use super::lookalikes::Prior;
use super::rows::BatchRows;
use super::view::View;
use crate::schema;
use crate::stats::{BatchStats, FalseNegatives};

/// Slots of a row, as bits.
type Bits = Vec<u64>;

/// What a rule says of a batch.
enum Rule<'a> {
    /// Slots of each class of agreeing rows, and the class of each slot.
    Same(Vec<Vec<usize>>, Vec<usize>),
    /// Known positives of each row's identity, by item token: all of them, or some.
    Known(&'a HashMap<i64, HashSet<i64>>, bool),
    /// As `Same`, but agreeing rows may be excluded or not.
    Maybe(Vec<Vec<usize>>, Vec<usize>),
    /// It can't be recomputed here; whatever is excluded may be by this rule.
    Unknown,
}

pub fn check(
    dataset: &Dataset,
    batch: &BatchRows,
    view: &View,
    (prior, witness): (&Prior, Option<&Witness>),
    findings: &mut Findings,
    stats: &mut BatchStats,
) {
    let rows = view.rows;
    let words = rows.div_ceil(64);
    let mut rules: Vec<Rule<'_>> =
        dataset.list("mask.rules").iter().map(|rule| resolve(dataset, batch, view, (prior, witness), rule)).collect();
    if dataset.count("copies") > 0 && view.copy.iter().any(|c| *c > 0) {
        rules.extend(examples(dataset, batch, &prior.alike));
    }
    let exact = !rules.iter().any(|r| matches!(r, Rule::Unknown | Rule::Known(_, false)));
    let users = same(&view.user.iter().map(|u| Some(*u as u128)).collect::<Vec<_>>());
    let bitmap = |name: &str| batch.frame.column(name).ok().map(|c| c.as_materialized_series().clone());
    let same_user = bitmap(schema::SAME_USER);
    let negatives = bitmap(schema::NEGATIVES);
    let excluded = bitmap(schema::EXCLUDED);
    let valid = batch.frame.column(schema::VALID_NEGATIVES).map(ints).unwrap_or_default();
    let width = schema::bitmap_bytes(dataset.batch_size);
    let mut own: Bits = vec![0; words];
    let mut shut: Bits = vec![0; words];
    let mut undecided: Bits = vec![0; words];
    // Without the input, what the dataset's own rows tell: a lower bound.
    let witness_knows = witness.filter(|witness| witness.who_is_who).map(Witness::known);
    let of_shards = Some(&prior.positives).filter(|known| !known.is_empty());
    let known = witness_knows.or(of_shards).filter(|_| view.item.len() == rows);
    let sampled = known.is_some() && dataset.sampled().contains(&(batch.number as usize));
    stats.false_negatives = sampled.then(FalseNegatives::default);
    for slot in 0..rows {
        if let (Rule::Same(classes, of), Some(column)) = (&users, &same_user) {
            own.fill(0);
            classes[of[slot]].iter().for_each(|s| own[s / 64] |= 1 << (s % 64));
            let stored = column.binary().ok().and_then(|c| c.get(slot)).unwrap_or_default();
            compare(batch, findings, slot, schema::SAME_USER, (&own, &[]), stored, width, true);
        }
        shut.fill(0);
        undecided.fill(0);
        for rule in &rules {
            match rule {
                Rule::Same(classes, of) => classes[of[slot]].iter().for_each(|s| shut[s / 64] |= 1 << (s % 64)),
                Rule::Maybe(classes, of) => {
                    classes[of[slot]].iter().for_each(|s| undecided[s / 64] |= 1 << (s % 64));
                }
                Rule::Known(known, _) => {
                    let items = known.get(&view.user[slot]);
                    for j in 0..rows {
                        if view.item[j] == view.item[slot] || items.is_some_and(|i| i.contains(&view.item[j])) {
                            shut[j / 64] |= 1 << (j % 64);
                        }
                    }
                }
                Rule::Unknown => {}
            }
        }
        shut[slot / 64] |= 1 << (slot % 64);
        let stored: Vec<u8> = match (&negatives, &excluded) {
            (Some(column), _) => column.binary().ok().and_then(|c| c.get(slot)).unwrap_or_default().to_vec(),
            (None, Some(column)) => from_slots(batch, findings, column, slot, rows, width),
            (None, None) => continue,
        };
        let mut open: Bits = shut.iter().map(|w| !w).collect();
        mask_tail(&mut open, rows);
        let name = if negatives.is_some() { schema::NEGATIVES } else { schema::EXCLUDED };
        compare(batch, findings, slot, name, (&open, &undecided), &stored, width, exact);
        let offered: u32 = stored.iter().map(|b| b.count_ones()).sum();
        if let (Some(all), Some(known)) = (&mut stats.false_negatives, known)
            && view.anchor.get(slot) == Some(&true)
        {
            all.add(false_negatives(view, known, slot, &stored));
        }
        if valid.get(slot) != Some(&i64::from(offered)) {
            let problem = format!("it is {}, and the mask has {offered}", valid.get(slot).copied().unwrap_or(-1));
            findings.add_of_kind("counts of negatives", batch.finding(Some(slot), schema::VALID_NEGATIVES, problem));
        }
        stats.add_anchors(1, offered.min(rows as u32 - 1), rows as u32);
    }
}

/// Other slots whose item the slot's identity knows, and which of them are stored as negatives.
fn false_negatives(view: &View, known: &HashMap<i64, HashSet<i64>>, slot: usize, stored: &[u8]) -> FalseNegatives {
    let items = known.get(&view.user[slot]);
    let is_known = |j: &usize| view.item[*j] == view.item[slot] || items.is_some_and(|i| i.contains(&view.item[*j]));
    let of_them: Vec<usize> = (0..view.rows).filter(|j| *j != slot).filter(is_known).collect();
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

/// Bytes as words, without end: zeros follow.
pub(super) fn words_of(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    (0..).map(|w: usize| {
        let mut word = [0; 8];
        let own = bytes.get(w * 8..).unwrap_or_default();
        let n = own.len().min(8);
        word[..n].copy_from_slice(&own[..n]);
        u64::from_le_bytes(word)
    })
}

/// `expected` against stored bytes. If not `exact`, only bits that are stored and should not be are wrong; what is undecided is
/// never.
#[allow(clippy::too_many_arguments)]
fn compare(
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

fn resolve<'a>(
    dataset: &Dataset,
    batch: &BatchRows,
    view: &View,
    (prior, witness): (&'a Prior, Option<&'a Witness>),
    rule: &str,
) -> Rule<'a> {
    if rule == "known_positive" {
        // Where the input leaves open who is who, the dataset's own rows tell more.
        let witness = witness.filter(|witness| witness.who_is_who);
        return witness.map_or(Rule::Known(&prior.positives, false), |witness| Rule::Known(witness.known(), true));
    }
    let mut keys: Vec<Option<u128>> = vec![Some(0); view.rows];
    let first_only = |column: &str| {
        dataset.setting("requests.layout") == "first" && dataset.list("requests.columns").iter().any(|c| c == column)
    };
    for part in parts_of(rule) {
        let values: Vec<Option<u128>> = match &part {
            Named::Role(role) => match role.as_str() {
                "identity" => view.user.iter().map(|u| Some(*u as u64 as u128)).collect(),
                "item" if view.item.len() == view.rows => view.item.iter().map(|i| Some(*i as u64 as u128)).collect(),
                "request" if view.request.len() == view.rows => {
                    // Null requests agree with none; what of copies is known from their examples.
                    let requests = view.request.iter().zip(&view.null_request);
                    requests.map(|(request, is_null)| request.filter(|_| !is_null)).collect()
                }
                "label" if view.label.len() == view.rows => {
                    // Rows without a label are a class of their own.
                    let digest = |l: &Option<String>| Some(xxhash_rust::xxh3::xxh3_128(format!("{l:?}").as_bytes()));
                    view.label.iter().map(digest).collect()
                }
                // A role that is not mapped: a column may be called so.
                name => match find(&batch.frame, name).filter(|_| dataset.columns(name).is_empty()) {
                    Some(values) => role_digests(values.as_materialized_series()),
                    None => return Rule::Unknown,
                },
            },
            Named::Column(column) if first_only(column) => return Rule::Unknown,
            Named::Column(column) => match find(&batch.frame, column) {
                Some(values) => role_digests(values.as_materialized_series()),
                None => return Rule::Unknown,
            },
        };
        for (key, value) in keys.iter_mut().zip(values) {
            *key = match (*key, value) {
                (Some(a), Some(b)) => {
                    let mut bytes = a.to_le_bytes().to_vec();
                    bytes.extend(b.to_le_bytes());
                    Some(xxhash_rust::xxh3::xxh3_128(&bytes))
                }
                _ => None,
            };
        }
    }
    same(&keys)
}

fn same(keys: &[Option<u128>]) -> Rule<'static> {
    let (classes, of) = classes_of(keys);
    Rule::Same(classes, of)
}

/// Classes of equal keys, and the class of each row; a row without a key agrees with none.
fn classes_of(keys: &[Option<u128>]) -> (Vec<Vec<usize>>, Vec<usize>) {
    let mut number: HashMap<u128, usize> = HashMap::new();
    let mut classes: Vec<Vec<usize>> = Vec::new();
    let mut of = Vec::with_capacity(keys.len());
    for (slot, key) in keys.iter().enumerate() {
        let class = match key {
            Some(key) => *number.entry(*key).or_insert(classes.len()),
            None => classes.len(),
        };
        if class == classes.len() {
            classes.push(Vec::new());
        }
        classes[class].push(slot);
        of.push(class);
    }
    (classes, of)
}

/// Copies are told by their payload and identity: rows that agree in all of it are one example, if one of them is a copy, and
/// if no other example is like it.
fn examples(dataset: &Dataset, batch: &BatchRows, alike: &HashSet<u128>) -> [Rule<'static>; 2] {
    let keys = super::example_keys::example_keys(dataset, batch);
    let copies = batch.frame.column(schema::COPY).map(ints).unwrap_or_default();
    let copied: HashSet<u128> = keys.iter().zip(&copies).filter(|(_, c)| **c > 0).map(|(k, _)| *k).collect();
    let of = |are_alike: bool| -> Vec<Option<u128>> {
        keys.iter().map(|k| (copied.contains(k) && alike.contains(k) == are_alike).then_some(*k)).collect()
    };
    let (classes, of_slots) = classes_of(&of(true));
    [same(&of(false)), Rule::Maybe(classes, of_slots)]
}
