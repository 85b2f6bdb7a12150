//! identity_grouped: quotas, copies, what is left.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::datatypes::Int32Type;
use proptest::prelude::*;

use crate::spread::assert_exactly_once;
use crate::support::{Project, Shape, column, compose, pipeline, plane, table};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn groups_are_what_the_classes_ask_for(
        shape in Shape::any(300),
        quotas in (1u32..4, 1u32..4),
        per_slice in 1u32..4,
        ranks in 1u32..3,
        scarce in prop::sample::select(vec!["repeat", "rest", "drop"]),
        remainder in prop::sample::select(vec!["short", "drop", "pad"]),
        window in prop::sample::select(vec!["none", "50", "\"9ns\""]),
    ) {
        prop_assume!(ranks == 1 || remainder != "short");
        let g = (quotas.0 + quotas.1) as usize;
        let shape = Shape { batch_size: g as u32 * per_slice * ranks, ..shape };
        let plane = plane(&shape);
        let classes = format!("{{ b = {}, a = {} }}", quotas.0, quotas.1);
        let ranks = ranks.to_string();
        let mut more = vec![
            ("compose.mode", "identity_grouped"),
            ("compose.group.classes", classes.as_str()),
            ("compose.group.scarce", scarce),
            ("compose.remainder", remainder),
            ("output.ranks", ranks.as_str()),
        ];
        if window != "none" {
            more.push(("compose.window", window));
        }
        let p = pipeline(&shape, &more);
        let labels = &plane.label.as_ref().expect("labels").rows;
        let plan = match compose(&plane, &p) {
            Ok(plan) => plan,
            Err(e) => {
                let e = e.to_string();
                let lacks = |label| !labels.contains(&label);
                prop_assert!(
                    e.contains("no row has the label") && (lacks(0) || lacks(1))
                        || e.contains("fill no batch") && remainder == "drop" && plane.len() < 2 * p.batch_size
                        || e.contains("fill no group") && scarce == "drop",
                    "{}", e
                );
                return Ok(());
            }
        };
        assert_exactly_once(&plane, &plan);
        let identity = |row: u32| plane.identity.rows[row as usize];
        // Label codes: a = 0, b = 1; the pipeline asks for b first.
        let wanted: Vec<u32> = std::iter::repeat_n(1, quotas.0 as usize).chain(std::iter::repeat_n(0, quotas.1 as usize)).collect();
        let mut in_groups: HashMap<u32, u32> = HashMap::new();
        for b in 0..plan.batches() {
            let rows = plan.batch(b);
            let grouped = (0..rows.len()).filter(|s| plan.group_slot(b, *s) >= 0).count();
            prop_assert_eq!(grouped % g, 0);
            for (k, group) in rows[..grouped].chunks(g).enumerate() {
                prop_assert_eq!(group.iter().map(|r| labels[*r as usize]).collect::<Vec<_>>(), wanted.clone());
                prop_assert!(group.iter().all(|r| identity(*r) == identity(group[0])));
                prop_assert_eq!(plan.group_slot(b, k * g), k as i32);
                group.iter().for_each(|r| *in_groups.entry(*r).or_default() += 1);
            }
        }
        if scarce != "repeat" && remainder != "pad" {
            prop_assert_eq!(plan.copies(), 0);
        }
        if remainder != "short" || window != "none" {
            return Ok(());
        }
        // In one pool, of an identity that has both classes: with "repeat" all rows, evenly, with the fewest copies; else as many
        // whole groups as there are, and its other rows follow or are dropped.
        let mut by: HashMap<u32, [Vec<u32>; 2]> = HashMap::new();
        for row in 0..plane.len() as u32 {
            if labels[row as usize] < 2 {
                by.entry(identity(row)).or_default()[labels[row as usize] as usize].push(row);
            }
        }
        let mut dropped = 0;
        for [a, b] in by.values() {
            if a.is_empty() || b.is_empty() {
                prop_assert!(a.iter().chain(b).all(|r| !in_groups.contains_key(r)));
                continue;
            }
            let quotas = [quotas.1 as usize, quotas.0 as usize];
            let groups = match scarce {
                "repeat" => a.len().div_ceil(quotas[0]).max(b.len().div_ceil(quotas[1])),
                _ => (a.len() / quotas[0]).min(b.len() / quotas[1]),
            };
            if scarce == "drop" {
                dropped += a.len() + b.len() - groups * g;
            }
            for (rows, quota) in [(a, quotas[0]), (b, quotas[1])] {
                let uses: Vec<u32> = rows.iter().map(|r| in_groups.get(r).copied().unwrap_or(0)).collect();
                prop_assert_eq!(uses.iter().sum::<u32>() as usize, groups * quota);
                let (low, high) = (uses.iter().min().copied(), uses.iter().max().copied());
                prop_assert!(high.unwrap_or(0) - low.unwrap_or(0) <= 1, "copies are uneven: {:?}", uses);
            }
        }
        prop_assert_eq!(plan.dropped.len(), dropped);
    }

    /// N batches of groups alone hold no more than ⌈c/N⌉ of an identity's c groups each.
    #[test]
    fn no_batch_holds_more_groups_of_an_identity_than_it_must(
        shape in Shape::any(300),
        quota in 1u32..4,
        per_batch in 1u32..5,
        scarce in prop::sample::select(vec!["repeat", "rest", "drop"]),
    ) {
        let g = 1 + quota;
        let shape = Shape { batch_size: g * per_batch, ..shape };
        let plane = plane(&shape);
        let classes = format!("{{ a = 1, b = {quota} }}");
        let more = [
            ("compose.mode", "identity_grouped"),
            ("compose.group.classes", classes.as_str()),
            ("compose.group.scarce", scarce),
        ];
        let p = pipeline(&shape, &more);
        let Ok(plan) = compose(&plane, &p) else { return Ok(()) };
        let mut batches: Vec<HashMap<u32, usize>> = Vec::new();
        let mut all: HashMap<u32, usize> = HashMap::new();
        for b in 0..plan.batches() {
            let firsts = (0..plan.batch(b).len()).step_by(g as usize).filter(|slot| plan.group_slot(b, *slot) >= 0);
            let mut here: HashMap<u32, usize> = HashMap::new();
            for slot in firsts {
                let identity = plane.identity.rows[plan.batch(b)[slot] as usize];
                *here.entry(identity).or_default() += 1;
                *all.entry(identity).or_default() += 1;
            }
            batches.push(here);
        }
        let full = all.values().sum::<usize>() / per_batch as usize;
        for here in &batches[..full] {
            for (identity, number) in here {
                prop_assert!(*number <= all[identity].div_ceil(full), "{} of {} in {}", number, all[identity], full);
            }
        }
    }

    /// A seeded choice of an identity's groups stays, and what is in no other is dropped.
    #[test]
    fn an_identity_has_no_more_groups_than_it_may(
        shape in Shape::any(200),
        quota in 1u32..4,
        most in 1u32..4,
        scarce in prop::sample::select(vec!["repeat", "rest", "drop"]),
    ) {
        let g = (1 + quota) as usize;
        let shape = Shape { batch_size: 2 * g as u32, ..shape };
        let plane = plane(&shape);
        let (classes, text) = (format!("{{ a = 1, b = {quota} }}"), most.to_string());
        let more = [
            ("compose.mode", "identity_grouped"),
            ("compose.group.classes", classes.as_str()),
            ("compose.group.scarce", scarce),
        ];
        let capped = [&more[..], &[("compose.group.max_groups", text.as_str())]].concat();
        let Ok(all) = compose(&plane, &pipeline(&shape, &more)) else { return Ok(()) };
        let plan = compose(&plane, &pipeline(&shape, &capped)).unwrap();
        assert_exactly_once(&plane, &plan);
        let groups = |plan: &crate::support::Whole| {
            let mut groups: HashMap<u32, u32> = HashMap::new();
            for b in 0..plan.batches() {
                for slot in (0..plan.batch(b).len()).step_by(g).filter(|slot| plan.group_slot(b, *slot) >= 0) {
                    *groups.entry(plane.identity.rows[plan.batch(b)[slot] as usize]).or_default() += 1;
                }
            }
            groups
        };
        let expected: HashMap<u32, u32> =
            groups(&all).into_iter().map(|(identity, number)| (identity, number.min(most))).collect();
        prop_assert_eq!(groups(&plan), expected);
        if scarce == "repeat" && groups(&all).values().all(|number| *number <= most) {
            prop_assert!(plan.dropped.is_empty());
        }
    }

    #[test]
    fn a_row_meets_its_copy_only_where_it_must(shape in Shape::any(200), quota in 1u32..5) {
        let g = 1 + quota;
        let shape = Shape { batch_size: g * 3, ..shape };
        let plane = plane(&shape);
        let classes = format!("{{ a = 1, b = {quota} }}");
        let p = pipeline(&shape, &[("compose.mode", "identity_grouped"), ("compose.group.classes", &classes)]);
        let labels = &plane.label.as_ref().expect("labels").rows;
        let Ok(plan) = compose(&plane, &p) else {
            prop_assert!(!labels.contains(&0) || !labels.contains(&1));
            return Ok(());
        };
        for b in 0..plan.batches() {
            // Per identity and class: slots asked for in this batch, against rows there are.
            let rows = plan.batch(b);
            let mut asked: HashMap<(u32, u32), Vec<u32>> = HashMap::new();
            for (slot, row) in rows.iter().enumerate() {
                if plan.group_slot(b, slot) >= 0 {
                    asked.entry((plane.identity.rows[*row as usize], labels[*row as usize])).or_default().push(*row);
                }
            }
            for ((id, label), mut rows) in asked {
                let have = (0..plane.len())
                    .filter(|r| plane.identity.rows[*r] == id && labels[*r] == label)
                    .count();
                let slots = rows.len();
                rows.sort_unstable();
                rows.dedup();
                prop_assert_eq!(rows.len(), slots.min(have));
            }
        }
    }
}

#[test]
fn groups_of_an_identity_are_spread_like_rows() {
    let rows = (0..240).map(|k| ((k % 6) as u8, 0, 0, (k / 6 % 2) as u8, 0, true)).collect();
    let shape = Shape { rows, batch_size: 8, seed: 3 };
    let plane = plane(&shape);
    let p = pipeline(&shape, &[("compose.mode", "identity_grouped"), ("compose.group.classes", "{ a = 1, b = 1 }")]);
    let plan = compose(&plane, &p).expect("a plan");
    assert_eq!((plan.batches(), plan.copies()), (30, 0));
    for b in 0..30 {
        let mut ids: Vec<u32> = plan.batch(b).chunks(2).map(|g| plane.identity.rows[g[0] as usize]).collect();
        ids.sort_unstable();
        ids.dedup();
        // 20 groups an identity in 30 batches: never two in one.
        assert_eq!(ids.len(), 4);
    }
}

#[test]
fn groups_form_across_windows_smaller_than_a_batch() {
    let labels: Vec<&str> = (0..8).map(|row| ["real", "fake"][row / 4]).collect();
    let ints = |values: std::ops::Range<i64>| Arc::new(Int64Array::from_iter_values(values)) as ArrayRef;
    let rows = table(vec![
        ("user", Arc::new(Int64Array::from(vec![1; 8]))),
        ("label", Arc::new(StringArray::from(labels))),
        ("time", ints(0..8)),
    ]);
    let project = Project::new(
        "input.shards = [\"in.parquet\"]\ncolumns = { identity = \"user\", label = \"label\", time = \"time\" }\n\
         compose = { mode = \"identity_grouped\", batch_size = 8, window = 4, group.classes = { real = 1, fake = 1 } }\n\
         output.path = \"out\"",
    )
    .file("in.parquet", &rows);
    // The first window's end, in the middle of a batch, moves back to the beginning.
    assert_eq!(column::<Int32Type>(&project.run(), "bw_group_slot"), [0, 0, 1, 1, 2, 2, 3, 3]);
}
