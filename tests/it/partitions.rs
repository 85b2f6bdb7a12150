//! Whatever the memory has room for, the plan is the same: one partition is memory.

use batchwright::keys::{Codes, KeyView, Labels};
use batchwright::spill::Room;
use proptest::prelude::*;

use crate::support::{Shape, compose, compose_in, pipeline};

/// Identity, time, request and label.
type Row = (u32, i64, u32, u32);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn partitions_do_not_matter(
        rows in prop::collection::vec(
            (prop_oneof![0u32..3, 0u32..40], 0i64..30, prop_oneof![0u32..2, 0u32..60], 0u32..4), 1..200),
        mode in prop::sample::select(vec!["user_spread", "identity_grouped", "request_packed"]),
        classes in prop::sample::select(vec!["a = 1, b = 1", "b = 2, a = 1", "a = 3, c = 1", "a = 1"]),
        scarce in prop::sample::select(vec!["repeat", "rest", "drop"]),
        sorted in any::<bool>(),
        groups in 1u32..9,
        batch_size in 1u32..20,
        remainder in prop::sample::select(vec!["short", "drop", "pad"]),
        window in prop::sample::select(vec!["", "30", "\"5ns\""]),
        exact in any::<bool>(),
        bytes in prop::sample::select(vec![0u64, 300, 1 << 20]),
        per_partition in 1usize..20,
    ) {
        let mut rows = rows;
        if sorted {
            rows.sort_by_key(|(_, time, ..)| *time);
        }
        let codes = |of: &dyn Fn(&Row) -> u32| rows.iter().map(of).collect::<Vec<u32>>();
        let text: Vec<Option<String>> = ["a", "b", "c"].map(|text| Some(text.to_string())).into_iter().chain([None]).collect();
        let view = KeyView {
            input_row: (0..rows.len() as u32).collect::<Vec<u32>>().into(),
            identity: Codes::new(codes(&|row| row.0), (0..40u128).map(|k| k << 64).collect()),
            time: Some(rows.iter().map(|row| row.1).collect::<Vec<i64>>().into()),
            request: Some(Codes::without_tokens(codes(&|row| row.2), 60)),
            label: Some(Labels { rows: codes(&|row| row.3).into(), text: text.into() }),
            time_unit_nanos: Some(1),
            ..KeyView::default()
        };
        let group_size = match classes { "a = 1" => 1, "a = 1, b = 1" => 2, "b = 2, a = 1" => 3, _ => 4 };
        let grouped = mode == "identity_grouped";
        let batch_size = if grouped { group_size * groups } else { batch_size };
        let classes = format!("{{ {classes} }}");
        let mut more = vec![("compose.mode", mode), ("compose.remainder", remainder)];
        if grouped {
            more.extend([("compose.group.classes", classes.as_str()), ("compose.group.scarce", scarce)]);
        }
        if !window.is_empty() {
            more.push(("compose.window", window));
            more.extend(exact.then_some(("compose.window_ends", "exact")));
        }
        let p = pipeline(&Shape { rows: Vec::new(), batch_size, seed: 0 }, &more);
        let dir = tempfile::tempdir().unwrap();
        let room = Room::filed(bytes, dir.path().into(), per_partition);
        let (held, filed) = (compose(&view, &p), compose_in(&view, &p, &room));
        prop_assert_eq!(held.map_err(|e| e.to_string()), filed.map_err(|e| e.to_string()));
    }
}
