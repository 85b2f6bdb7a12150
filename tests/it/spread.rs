//! user_spread: caps, fewest pairs, mixing, windows, remainders.

use std::collections::HashMap;

use batchwright::keys::{Codes, KeyView};
use batchwright::pipeline::Pipeline;
use batchwright::stats::{co_user_ratio, even_ends};
use proptest::prelude::*;

use crate::support::{Shape, Whole, compose, pipeline, plane};

/// Every example is there exactly once with copy 0, in reading order before its copies, or is listed as dropped.
pub fn assert_exactly_once(plane: &KeyView<'_>, plan: &Whole) {
    let mut seen: HashMap<u32, u32> = HashMap::new();
    for (position, row) in plan.order.iter().enumerate() {
        let ordinal = seen.entry(*row).or_default();
        assert_eq!(plan.copy_at(position), *ordinal, "copies are numbered in reading order");
        *ordinal += 1;
    }
    let mut all: Vec<u32> = seen.keys().copied().chain(plan.dropped.iter().map(|(_, row)| *row)).collect();
    all.sort_unstable();
    assert_eq!(all, (0..plane.len() as u32).collect::<Vec<_>>());
}

/// How often each identity stands in each batch.
fn counts(plane: &KeyView<'_>, plan: &Whole) -> Vec<HashMap<u32, usize>> {
    (0..plan.batches())
        .map(|b| {
            let mut counts = HashMap::new();
            plan.batch(b).iter().for_each(|row| *counts.entry(plane.identity.rows[*row as usize]).or_default() += 1);
            counts
        })
        .collect()
}

/// No batch of a pool with N full batches holds more than ⌈c/N⌉ rows of an identity.
fn assert_caps(plane: &KeyView<'_>, plan: &Whole, p: &Pipeline) {
    let counts = counts(plane, plan);
    for pool in plan.pools() {
        let batches = pool.first_batch..pool.first_batch + pool.batches;
        let full = batches.clone().filter(|b| plan.batch(*b).len() == p.batch_size).count();
        // A padded last batch is full, but not one of the N that the pool's own rows fill.
        let padded = batches.clone().filter(|b| plan.positions(*b).any(|at| plan.is_padding(at))).count();
        let n = full - padded;
        if n == 0 {
            continue;
        }
        let mut total: HashMap<u32, usize> = HashMap::new();
        batches.clone().flat_map(|b| &counts[b]).for_each(|(id, c)| *total.entry(*id).or_default() += c);
        for b in batches {
            for (id, c) in &counts[b] {
                assert!(*c <= total[id].div_ceil(n), "batch {b}: {c} rows of {} in {n} batches", total[id]);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_identity_is_capped_and_every_example_there_once(
        shape in Shape::any(400),
        remainder in prop::sample::select(vec!["short", "drop", "pad"]),
        window in prop::sample::select(vec!["none", "7", "100", "\"5ns\"", "\"17ns\""]),
        exact in any::<bool>(),
    ) {
        let plane = plane(&shape);
        let mut more = vec![("compose.remainder", remainder)];
        if window != "none" {
            more.push(("compose.window", window));
        }
        let exact = exact && window != "none";
        if exact {
            more.push(("compose.window_ends", "exact"));
        }
        let p = pipeline(&shape, &more);
        let b = p.batch_size;
        let Ok(plan) = compose(&plane, &p) else {
            prop_assert!(remainder != "short" && (plane.len() < b || exact));
            return Ok(());
        };
        assert_exactly_once(&plane, &plan);
        assert_caps(&plane, &plan, &p);
        let rows = plane.len();
        let as_asked = |rows: usize| match remainder {
            "short" => rows,
            "drop" => rows / b * b,
            _ => rows.div_ceil(b) * b,
        };
        let time = plane.time.as_ref().expect("times");
        let mut windows: HashMap<i64, usize> = HashMap::new();
        let of = |at: usize, time: i64| match window {
            "none" => 0,
            "\"5ns\"" => time / 5,
            "\"17ns\"" => time / 17,
            rows => at as i64 / rows.parse::<i64>().expect("rows"),
        };
        let mut sorted: Vec<i64> = time.to_vec();
        sorted.sort_unstable();
        sorted.iter().enumerate().for_each(|(at, time)| *windows.entry(of(at, *time)).or_default() += 1);
        let expected = if exact { windows.values().map(|rows| as_asked(*rows)).sum() } else { as_asked(rows) };
        prop_assert_eq!(plan.order.len(), expected);
        prop_assert_eq!(plan.head.padding.len(), if remainder == "pad" { expected - rows } else { 0 });
        prop_assert!(plan.head.padding.iter().all(|at| plan.copy_at(*at as usize) > 0));
        prop_assert_eq!(plan.pools().iter().map(|pool| pool.batches).sum::<usize>(), plan.batches());
        if exact {
            prop_assert_eq!(plan.pools().len(), windows.len());
        }
        // All batches are full, but the last of the dataset or, with exact ends, of each pool.
        for pool in plan.pools() {
            for batch in pool.first_batch..pool.first_batch + pool.batches {
                let may_be_short = batch + 1 == pool.first_batch + pool.batches && (exact || batch + 1 == plan.batches());
                prop_assert!(plan.batch(batch).len() == b || may_be_short && !plan.batch(batch).is_empty());
            }
        }
        // Rows mix only within a pool, and pools follow one another in time.
        let times = |pool: &batchwright::compose::Pool| {
            let rows = &plan.order[pool.first_position..pool.first_position + pool.rows];
            let all: Vec<i64> = rows.iter().map(|row| time[*row as usize]).collect();
            (all.iter().min().copied(), all.iter().max().copied())
        };
        let pools: Vec<_> = plan.pools().iter().filter(|pool| pool.batches > 0).collect();
        for pair in pools.windows(2) {
            prop_assert!(times(pair[0]).1 <= times(pair[1]).0);
        }
    }

    #[test]
    fn no_arrangement_has_fewer_pairs(shape in Shape::any(400)) {
        let mut shape = shape;
        let whole = shape.rows.len() / shape.batch_size as usize * shape.batch_size as usize;
        prop_assume!(whole > 0);
        shape.rows.truncate(whole);
        let plane = plane(&shape);
        let plan = compose(&plane, &pipeline(&shape, &[])).expect("a plan");
        let n = plan.batches();
        let found: usize = counts(&plane, &plan).iter().flat_map(HashMap::values).map(|c| c * (c - 1)).sum();
        let mut total: HashMap<u32, usize> = HashMap::new();
        plane.identity.rows.iter().for_each(|id| *total.entry(*id).or_default() += 1);
        // Fewest: c rows as evenly as they go over n batches.
        let (q, r) = (|c: usize| c / n, |c: usize| c % n);
        let least = total.values().map(|&c| r(c) * (q(c) + 1) * q(c) + (n - r(c)) * q(c) * (q(c).max(1) - 1)).sum::<usize>();
        prop_assert_eq!(found, least);
    }
}

#[test]
fn identities_meet_as_in_a_random_order() {
    // 20,480 identities with 10 rows each in batches of 512: a bare stride would let each meet 511 others.
    let (identities, rows, b) = (20_480u32, 10, 512);
    let plane = KeyView {
        input_row: (0..identities * rows).collect::<Vec<u32>>().into(),
        identity: Codes::new(
            (0..identities * rows).map(|row| row / rows).collect(),
            (0..u128::from(identities)).map(|k| k * 0x9e37_79b9_7f4a_7c15).collect(),
        ),
        ..KeyView::default()
    };
    let shape = Shape { rows: Vec::new(), batch_size: b, seed: 5 };
    let p = pipeline(&shape, &[("columns.request", ""), ("mask.rules", "[]")]);
    let plan = compose(&plane, &p).expect("a plan");
    let of = |row: &u32| plane.identity.rows[*row as usize];
    let reading: Vec<u32> = plan.order.iter().map(of).collect();
    let (tokens, counts): (Vec<i64>, Vec<u32>) = (0..i64::from(identities)).map(|k| (k, rows)).unzip();
    for batch in reading.chunks(b as usize) {
        let mut batch = batch.to_vec();
        batch.sort_unstable();
        batch.dedup();
        assert_eq!(batch.len(), b as usize, "an identity repeats");
    }
    let ends = even_ends(reading.len(), b as usize);
    let ratio = co_user_ratio(reading.as_slice(), &counts, &tokens, (b as usize, &ends), 1).unwrap().expect("a ratio");
    assert!((0.97..1.03).contains(&ratio), "{ratio}");
    // The measure itself: a bare stride over identities in order is far from 1.
    let n = (identities * rows / b) as usize;
    let strided: Vec<u32> =
        (0..n).flat_map(|k| (0..b as usize).map(move |j| ((j * n + k) / rows as usize) as u32)).collect();
    let stride = co_user_ratio(strided.as_slice(), &counts, &tokens, (b as usize, &ends), 1).unwrap().expect("a ratio");
    assert!((0.10..0.13).contains(&stride), "{stride}");
}

#[test]
fn another_seed_gives_another_order_and_the_same_seed_the_same() {
    let mut shape =
        Shape { rows: (0..200).map(|k| ((k % 40) as u8, 0, 0, 0, 0, true)).collect(), batch_size: 10, seed: 2 };
    let plane = plane(&shape);
    let one = compose(&plane, &pipeline(&shape, &[])).expect("a plan");
    let same = compose(&plane, &pipeline(&shape, &[])).expect("a plan");
    shape.seed = 8;
    let other = compose(&plane, &pipeline(&shape, &[])).expect("a plan");
    assert_eq!(one.order, same.order);
    assert_ne!(one.order, other.order);
}

#[test]
fn with_exact_ends_no_batch_holds_two_windows_and_the_judge_agrees() {
    use crate::support::{Project, column, table};
    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use arrow::datatypes::{Int32Type, Int64Type};
    use std::sync::Arc;

    let rows = 1_000i64;
    let ints = |of: &dyn Fn(i64) -> i64| Arc::new((0..rows).map(of).collect::<Int64Array>()) as ArrayRef;
    let labels = (0..rows).map(|row| ["real", "fake"][usize::from(row % 3 == 0)]);
    let input = table(vec![
        ("user", ints(&|row| row * row % 37)),
        ("request", ints(&|row| row * row % 37 * 1_000 + row / 90)),
        ("item", ints(&|row| row % 50)),
        ("label", Arc::new(StringArray::from_iter_values(labels))),
        ("time", ints(&|row| row * 7 % rows)),
    ]);
    let project = Project::new(
        "input.shards = [\"in.parquet\"]\n\
         columns = { identity = \"user\", request = \"request\", item = \"item\", label = \"label\", time = \"time\" }\n\
         dedup.key = []\ncompose = { batch_size = 16, window = 70, window_ends = \"exact\" }\n\
         output = { path = \"out\", row_group_rows = 48 }",
    )
    .file("in.parquet", &input);
    let grouped = ["--set", "compose.mode=identity_grouped", "--set", "compose.group.classes={ real = 1, fake = 1 }"];
    let modes: [&[&str]; 3] = [&[], &["--set", "compose.mode=request_packed"], &grouped];
    for mode in modes {
        for (remainder, ranks) in [("short", 1), ("drop", 1), ("pad", 2)] {
            let sets = [format!("compose.remainder={remainder}"), format!("output.ranks={ranks}")];
            let more = [mode, &["--set", &sets[0], "--set", &sets[1], "--overwrite"]].concat();
            let run = project.command("run", &more);
            assert_eq!(run.code, 0, "{}", run.stderr);
            let against = project.against(&more[..more.len() - 1]);
            assert_eq!(against.code, 0, "{}{}", against.stdout, against.stderr);
            assert_eq!(project.binary(&["inspect", "out", "--batch", "5"]).code, 0);
            if ranks > 1 {
                continue;
            }
            let written = crate::support::read_dataset(&project.path("out"));
            let (batches, times) = (column::<Int32Type>(&written, "bw_batch"), column::<Int64Type>(&written, "time"));
            let mut windows: HashMap<i32, i64> = HashMap::new();
            for (batch, time) in batches.into_iter().zip(times) {
                assert_eq!(*windows.entry(batch).or_insert(time / 70), time / 70);
            }
            // 14 windows of 70 rows, and 20 more; groups are completed by copies.
            if mode != grouped {
                assert_eq!(windows.len(), if remainder == "short" { 14 * 5 + 2 } else { 14 * 4 + 1 });
            }
        }
    }
}
