//! The masks, cell by cell, against sets over the whole input.

use std::collections::{HashMap, HashSet};

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::concat;
use arrow::datatypes::{Int32Type, Int64Type, UInt32Type};
use batchwright::keys::KeyView;
use batchwright::negatives::{Columns, MaskRules, Positives};
use batchwright::pipeline::{Encoding, Pipeline};
use batchwright::schema::Generated;
use batchwright::stats::FalseNegatives;
use proptest::prelude::*;

use crate::support::{Shape, compose, pipeline, plane};

const RULES: &[&str] = &[
    "[]",
    "[\"same:identity\"]",
    "[\"same:identity+label\"]",
    "[\"same:label\"]",
    "[\"same:item\", \"same:request\"]",
    "[\"known_positive\"]",
    "[\"same:identity\", \"known_positive\"]",
    "[\"same:label+item\", \"same:identity+request\", \"known_positive\"]",
];

/// Whether rows `i` and `j` agree in a rule's fields, by the slow way: names looked up each time.
fn excluded(rule: &str, plane: &KeyView<'_>, known: &HashMap<u32, HashSet<u32>>, i: u32, j: u32) -> bool {
    let value = |name: &str, row: u32| -> u32 {
        match name {
            "identity" => plane.identity.rows[row as usize],
            "request" => plane.request.as_ref().expect("requests").rows[row as usize],
            "item" => plane.item.as_ref().expect("items").rows[row as usize],
            "label" => plane.label.as_ref().expect("labels").rows[row as usize],
            other => panic!("{other}"),
        }
    };
    match rule {
        "known_positive" => {
            let item = value("item", j);
            item == value("item", i) || known.get(&value("identity", i)).is_some_and(|items| items.contains(&item))
        }
        _ => rule.strip_prefix("same:").expect("a rule").split('+').all(|f| value(f, i) == value(f, j)),
    }
}

/// Bitmaps come as dictionaries.
fn bitmap(column: &ArrayRef, row: usize) -> &[u8] {
    let dictionary = column.as_dictionary::<UInt32Type>();
    dictionary.values().as_fixed_size_binary().value(dictionary.keys().value(row) as usize)
}

fn bit(bytes: &[u8], j: usize) -> bool {
    bytes[j / 8] >> (j % 8) & 1 == 1
}

/// `whole`: the plane before dedup, whose positives count; `plane`: the examples.
fn assert_masks(p: &Pipeline, whole: &KeyView<'_>, plane: &KeyView<'_>) {
    let plan = match compose(plane, p) {
        Ok(plan) => plan,
        Err(e) => {
            let known = ["fill no batch", "no row has the label"];
            return assert!(known.iter().any(|known| e.to_string().contains(known)), "{e}");
        }
    };
    let positives = Positives::new(whole);
    let mut known: HashMap<u32, HashSet<u32>> = HashMap::new();
    for row in (0..whole.len()).filter(|row| whole.is_positive(*row as u32)) {
        known.entry(whole.identity.rows[row]).or_default().insert(whole.item.as_ref().expect("items").rows[row]);
    }
    let rules: Vec<String> = p.rules.iter().map(|r| r.text()).collect();
    let positive_rules: Vec<String> = p.positive_rules.iter().map(|r| r.text()).collect();
    let composed = plan.plan();
    let sampled: Vec<usize> = (0..plan.batches()).step_by(2).collect();
    let of_mask = MaskRules::of(p).expect("rules");
    let columns = Columns {
        pipeline: p,
        plane,
        plan: &composed,
        rules: &of_mask,
        positives: Some(&positives),
        log_q: None,
        sampled: &sampled,
    };
    for b in 0..plan.batches() {
        let out = columns.batch(b).expect("columns");
        let arrays: HashMap<&str, _> = p.generated().into_iter().map(|g| g.name()).zip(&out.arrays).collect();
        let rows = plan.batch(b);
        let valid = arrays["bw_valid_negatives"].as_primitive::<Int32Type>();
        let at = p.generated().iter().position(|g| g.name() == "bw_excluded");
        let lists_of = |at: Option<usize>| {
            let lists: Vec<_> = at.map(|k| out.pieces(k, 0..rows.len()).collect()).unwrap_or_default();
            concat(&lists.iter().map(|l| l.as_ref()).collect::<Vec<_>>()).ok()
        };
        let lists = lists_of(at);
        let positive_lists = lists_of(p.generated().iter().position(|g| *g == Generated::PositiveSlots));
        let (mut excluded_pairs, mut same_pairs, mut false_negatives) = (0u64, 0u64, FalseNegatives::default());
        let ints = |name: &str| arrays[name].as_primitive::<Int32Type>();
        for (i, &anchor) in rows.iter().enumerate() {
            let (mut number, mut positives) = (0, 0);
            let at = plan.positions(b).start + i;
            let is_anchor = plane.is_positive(anchor) && !plan.is_padding(at);
            let listed: Option<Vec<i32>> = (p.encoding == Encoding::Slots).then(|| {
                lists.as_ref().expect("lists").as_list::<i32>().value(i).as_primitive::<Int32Type>().values().to_vec()
            });
            if let Some(list) = &listed {
                assert!(list.is_sorted());
            }
            for j in 0..p.batch_size {
                let candidate = rows.get(j).copied();
                let same_user =
                    candidate.is_some_and(|c| plane.identity.rows[c as usize] == plane.identity.rows[anchor as usize]);
                assert_eq!(bit(bitmap(arrays["bw_same_user"], i), j), same_user);
                let agree =
                    |rules: &[String], c: u32| rules.iter().any(|rule| excluded(rule, plane, &known, anchor, c));
                let positive = candidate.is_some_and(|c| {
                    c != anchor && !plan.is_padding(plan.positions(b).start + j) && agree(&positive_rules, c)
                });
                let shut = candidate.is_none_or(|c| c == anchor || agree(&rules, c) || positive);
                positives += i32::from(positive);
                if let Some(lists) = &positive_lists {
                    let list = lists.as_list::<i32>().value(i);
                    assert_eq!(list.as_primitive::<Int32Type>().values().contains(&(j as i32)), positive);
                } else if !positive_rules.is_empty() {
                    assert_eq!(bit(bitmap(arrays["bw_positives"], i), j), positive, "{i} {j}");
                }
                match &listed {
                    Some(list) => assert_eq!(list.contains(&(j as i32)), shut && i != j && candidate.is_some()),
                    None => assert_eq!(bit(bitmap(arrays["bw_negatives"], i), j), !shut),
                }
                if let Some(c) = candidate {
                    number += i32::from(!shut);
                    excluded_pairs += u64::from(shut && i != j);
                    same_pairs += u64::from(same_user && i != j);
                    assert_eq!(ints("bw_user_slot").value(i) == ints("bw_user_slot").value(j), same_user);
                    let items = &plane.item.as_ref().expect("items").rows;
                    let same_item = items[c as usize] == items[anchor as usize];
                    assert_eq!(ints("bw_item_slot").value(i) == ints("bw_item_slot").value(j), same_item);
                    if i != j && is_anchor {
                        let known = excluded("known_positive", plane, &known, anchor, c);
                        let (candidates, unmasked) = (1, u64::from(known && !shut));
                        false_negatives.add(FalseNegatives { candidates, known: u64::from(known), unmasked });
                    }
                }
            }
            assert_eq!(valid.value(i), number);
            if !positive_rules.is_empty() {
                assert_eq!(ints("bw_valid_positives").value(i), positives);
            }
            assert_eq!(arrays["bw_anchor"].as_boolean().value(i), is_anchor);
            assert_eq!(ints("bw_copy").value(i), plan.copy_at(at) as i32);
            let token = plane.identity.tokens[plane.identity.rows[anchor as usize] as usize] as u64 as i64;
            assert_eq!(arrays["bw_user"].as_primitive::<Int64Type>().value(i), token);
        }
        assert_eq!((out.stats.excluded_pairs, out.stats.same_user_pairs), (excluded_pairs, same_pairs));
        assert_eq!(out.stats.false_negatives, (b % 2 == 0).then_some(false_negatives));
        assert_eq!(columns.stats(b).expect("statistics").false_negatives, out.stats.false_negatives);
        // Slots are numbered by first appearance.
        let mut next = 0;
        for slot in ints("bw_user_slot").values() {
            assert!(*slot <= next);
            next = next.max(slot + 1);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_cell_agrees_with_sets(
        shape in Shape::any(120),
        rules in prop::sample::select(RULES),
        positives in prop::sample::select(vec!["[]", "[\"same:label\"]", "[\"same:identity+label\", \"same:item\"]"]),
        encoding in prop::sample::select(vec!["bitmap", "slots"]),
        mode in prop::sample::select(vec!["user_spread", "request_packed", "identity_grouped"]),
        remainder in prop::sample::select(vec!["short", "drop", "pad"]),
        windowed in any::<bool>(),
        ranks in 1u32..4,
        deduped in any::<bool>(),
    ) {
        prop_assume!(ranks == 1 || remainder != "short");
        let shape = Shape { batch_size: shape.batch_size.div_ceil(2 * ranks) * 2 * ranks, ..shape };
        let ranks = ranks.to_string();
        let mut more = vec![
            ("mask.rules", rules),
            ("mask.positives", positives),
            ("mask.encoding", encoding),
            ("compose.mode", mode),
            ("compose.remainder", remainder),
            ("output.ranks", ranks.as_str()),
        ];
        if windowed {
            more.push(("compose.window", "60"));
        }
        if mode == "identity_grouped" {
            more.push(("compose.group.classes", "{ a = 1, b = 1 }"));
        }
        let p = pipeline(&shape, &more);
        let whole = plane(&shape);
        let mut examples = whole.clone();
        if deduped {
            let keep = batchwright::dedup::survivors(&examples, &p.dedup_key, p.keep);
            let kept: Vec<u32> = (0..keep.len() as u32).filter(|row| keep[*row as usize]).collect();
            examples = examples.gather(&kept);
        }
        assert_masks(&p, &whole, &examples);
    }
}

#[test]
fn large_batches_and_heavy_identities_take_every_path() {
    // One identity with most items (the dense path), some with many, some with few.
    let mut rng = batchwright::compose::Rng::new(1, "test", 0);
    let n = 3_000u32;
    let identity: Vec<u32> = (0..n).map(|_| [0, 1, 2, rng.below(200) as u32][rng.below(4)]).collect();
    let item: Vec<u32> = (0..n).map(|_| rng.below(900) as u32).collect();
    let plane = KeyView {
        input_row: (0..n).collect::<Vec<u32>>().into(),
        identity: batchwright::keys::Codes::new(identity, (0..200).collect()),
        item: Some(batchwright::keys::Codes::new(item, (0..900).collect())),
        positive: Some((0..n).map(|row| row % 3 == 0).collect::<Vec<bool>>().into()),
        ..KeyView::default()
    };
    for batch_size in [97, 700] {
        let shape = Shape { rows: Vec::new(), batch_size, seed: 1 };
        let p = pipeline(&shape, &[("mask.rules", "[\"same:identity\", \"known_positive\"]")]);
        assert_masks(&p, &plane, &plane);
    }
}
