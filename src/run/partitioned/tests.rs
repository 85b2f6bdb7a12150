use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::dataset::Cuts;
use crate::keys::{Codes, Keys, Labels};
use crate::pipeline;
use crate::run::composed::Composed;

/// The plan with its order, copies and padding, of keys on file with few rows a part and room for few records.
fn in_parts(plane: &mut KeyPlane, p: &Pipeline, bytes: u64) -> Result<Plan> {
    let dir = tempfile::tempdir().unwrap();
    let mut filed = FiledKeys::empty(plane.without_rows(), dir.path())?;
    filed.extend(plane)?;
    let room = KeyRoom { bytes, folder: dir.path().into(), rows: 7 };
    let (plan, positions) = compose(&filed, p, &room)?;
    let batches = positions.len().div_ceil(p.batch_size);
    let composed = Composed::filed(&filed, plan, positions, &Cuts::whole(batches, 2), &room)?;
    let keys = Keys::Filed(filed);
    let part = composed.part(&keys, 0..batches)?;
    let row = |example: &u32| part.plane.input_row[*example as usize] / 3;
    let Plan { copy, padding, .. } = part.plan.into_owned();
    assert_eq!(composed.copies(), copy.iter().filter(|copy| **copy > 0).count());
    let order = composed.part(&keys, 0..batches)?.plan.order.iter().map(row).collect();
    Ok(Plan { order, copy, padding, ..composed.plan().clone() })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn parts_give_what_all_keys_at_once_give(
        rows in prop::collection::vec(
            (prop_oneof![0u32..3, 0u32..40], 0i64..30, prop_oneof![0u32..2, 0u32..60], 0u32..4), 1..200),
        mode in prop::sample::select(vec!["user_spread", "identity_grouped", "request_packed"]),
        classes in prop::sample::select(vec!["a = 1, b = 1", "b = 2, a = 1", "a = 3, c = 1", "a = 1"]),
        scarce in prop::sample::select(vec!["repeat", "rest", "drop"]),
        sorted in any::<bool>(),
        groups in 1u32..9,
        batch_size in 1u32..20,
        remainder in prop::sample::select(vec!["short", "drop", "pad"]),
        window in prop::sample::select(vec!["", "compose.window = 30", "compose.window = \"5ns\""]),
        bytes in prop::sample::select(vec![0u64, 300, 1 << 20]),
    ) {
        let mut rows = rows;
        if sorted {
            rows.sort_by_key(|(_, time, ..)| *time);
        }
        let tokens = (0..40u128).map(|k| k << 64).collect();
        let text = ["a", "b", "c"].map(|text| Some(text.to_string())).into_iter().chain([None]).collect();
        let mut plane = KeyPlane {
            input_row: (0..rows.len() as u32).map(|row| 3 * row + 1).collect(),
            identity: Codes::new(rows.iter().map(|(identity, ..)| *identity).collect(), tokens),
            time: Some(rows.iter().map(|(_, time, ..)| *time).collect()),
            request: Some(Codes::without_tokens(rows.iter().map(|(.., request, _)| *request).collect(), 60)),
            label: Some(Labels { rows: rows.iter().map(|(.., label)| *label).collect(), text: Arc::new(text) }),
            time_unit_nanos: Some(1),
            time_is_float: false,
            ..KeyPlane::default()
        };
        let group_size = match classes { "a = 1" => 1, "a = 1, b = 1" => 2, "b = 2, a = 1" => 3, _ => 4 };
        let grouped = mode == "identity_grouped";
        let batch_size = if grouped { group_size * groups } else { batch_size };
        let group = if grouped {
            format!("compose.group.classes = {{ {classes} }}\ncompose.group.scarce = \"{scarce}\"\n")
        } else {
            String::new()
        };
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("p.toml");
        let text = format!(
            "input.shards = [\"in\"]\noutput.path = \"out\"\n\
             columns = {{ identity = \"u\", request = \"r\", time = \"t\", label = \"l\" }}\n\
             compose.batch_size = {batch_size}\ncompose.remainder = \"{remainder}\"\ncompose.mode = \"{mode}\"\n{group}{window}"
        );
        crate::store::write(&file, text.as_bytes()).unwrap();
        let p = pipeline::load(&file, &[]).unwrap();
        let expected = compose::compose(&plane, compose::windows(&plane, &p).unwrap(), &p);
        match (expected, in_parts(&mut plane, &p, bytes)) {
            (Ok(expected), Ok(mut plan)) => {
                prop_assert_eq!(plan.order, expected.order);
                plan.copy.resize(if expected.copy.is_empty() { 0 } else { plan.copy.len() }, 0);
                prop_assert_eq!(plan.copy, expected.copy);
                prop_assert_eq!(plan.padding, expected.padding);
                prop_assert_eq!((plan.group_size, plan.grouped), (expected.group_size, expected.grouped));
                prop_assert_eq!(plan.pools, expected.pools);
                plan.dropped.sort_unstable();
                let mut dropped = expected.dropped;
                dropped.sort_unstable();
                prop_assert_eq!(plan.dropped, dropped);
            }
            (expected, found) => prop_assert_eq!(
                expected.map_err(|e| e.to_string()).err(),
                found.map_err(|e| e.to_string()).err()
            ),
        }
    }
}
