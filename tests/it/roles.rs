//! What may play a role, and how roles and columns are named.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::*;
use arrow::compute::cast;
use arrow::datatypes::*;

use crate::support::{Project, read_dataset, rows_of, table, write_parquet};

const PIPELINE: &str =
    "input.shards = [\"in.parquet\"]\ncolumns.identity = \"u\"\ncompose.batch_size = 4\noutput.path = \"out\"";

fn numbers(values: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn project(columns: Vec<(&str, ArrayRef)>, sets: &[&str]) -> Project {
    let mut project = Project::new(PIPELINE);
    write_parquet(&project.path("in.parquet"), &[table(columns)]);
    for set in sets {
        project = project.arg("--set").arg(set);
    }
    project
}

fn sound(columns: Vec<(&str, ArrayRef)>, sets: &[&str]) -> Project {
    let project = project(columns, sets);
    project.succeed(&[]);
    project.verified();
    project
}

fn masks(project: &Project) -> Vec<i32> {
    let out = read_dataset(&project.path("out"));
    out["bw_valid_negatives"].as_primitive::<Int32Type>().values().to_vec()
}

#[test]
fn decimals_and_whole_floats_have_the_tokens_of_their_integers() {
    let tokens = |array: ArrayRef| -> BTreeMap<i64, (i64, i64)> {
        let n = numbers(&(0..array.len() as i64).collect::<Vec<_>>());
        let columns = vec![("u", Arc::clone(&array)), ("i", array), ("n", n)];
        let project = sound(columns, &["columns.item=i", "identity.nulls=drop", "identity.keep_raw=true"]);
        let out = read_dataset(&project.path("out"));
        let of = |name: &str| out[name].as_primitive::<Int64Type>().values().to_vec();
        of("n").into_iter().zip(of("bw_user").into_iter().zip(of("bw_item"))).collect()
    };
    let plain: ArrayRef = Arc::new(Int64Array::from(vec![Some(5), Some(-2), None, Some(5), Some(0)]));
    let expected = tokens(Arc::clone(&plain));
    for t in [
        DataType::Decimal128(38, 0),
        DataType::Decimal64(18, 0),
        DataType::Decimal256(60, 0),
        DataType::Float64,
        DataType::Float32,
        DataType::Float16,
    ] {
        assert_eq!(tokens(cast(&plain, &t).unwrap()), expected, "{t}");
    }
    // NaN is null.
    assert_eq!(tokens(Arc::new(Float64Array::from(vec![5.0, -2.0, f64::NAN, 5.0, -0.0]))), expected);
    let fraction: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 2.5]));
    let rows = || vec![("u", Arc::clone(&fraction)), ("n", numbers(&[0, 1]))];
    project(rows(), &[]).fails(&["in.parquet", "column `u`", "row 1 ", "no whole number"]);
    // Of examples only.
    sound(rows(), &["input.where=n = 0"]);
    let cents = cast(&numbers(&[1, 2]), &DataType::Decimal128(10, 2)).unwrap();
    project(vec![("u", cents)], &[]).fails(&["columns.identity", "Decimal128(10, 2)", "scale 0"]);
}

#[test]
fn labels_may_be_floats_and_bytes_that_are_text() {
    let people: Vec<i64> = (0..24).map(|k| k / 4).collect();
    let class = |k: usize| if k.is_multiple_of(4) { "real" } else { "fake" };
    let bytes: ArrayRef = Arc::new(BinaryArray::from_iter_values((0..24).map(|k| class(k).as_bytes())));
    let floats: ArrayRef =
        Arc::new(Float64Array::from_iter_values((0..24).map(|k| if class(k) == "real" { 1.0 } else { 0.0 })));
    let decimals = cast(&cast(&floats, &DataType::Int64).unwrap(), &DataType::Decimal128(1, 0)).unwrap();
    for (labels, classes) in
        [(bytes, "{ real = 1, fake = 3 }"), (floats, "{ 1 = 1, 0 = 3 }"), (decimals, "{ 1 = 1, 0 = 3 }")]
    {
        let columns = vec![("u", numbers(&people)), ("x", labels), ("n", numbers(&(0..24).collect::<Vec<_>>()))];
        let classes = format!("compose.group.classes={classes}");
        let project = sound(columns, &["columns.label=x", "compose.mode=identity_grouped", &classes]);
        assert_eq!(project.manifest()["stats"]["match_rate"], 1.0);
    }
    let odd: ArrayRef = Arc::new(BinaryArray::from_vec(vec![b"\xff", b"real"]));
    let columns = vec![("u", numbers(&[1, 1])), ("x", odd)];
    project(columns, &["columns.label=x", "compose.mode=identity_grouped", "compose.group.classes={ fake = 2 }"])
        .fails(&["no row has the label `fake`", "real"]);
}

#[test]
fn a_request_may_be_several_columns_and_mixed_ones_are_counted_and_told() {
    let rows: Vec<(i64, i64)> = (0..6).flat_map(|u| (0..12).map(move |k| (u, k / 4))).collect();
    let of = |pick: fn(&(i64, i64)) -> i64| numbers(&rows.iter().map(pick).collect::<Vec<_>>());
    let columns = || {
        let history = of(|(u, s)| 10 * u + s);
        vec![("u", of(|r| r.0)), ("s", of(|r| r.1)), ("i", numbers(&(0..72).collect::<Vec<_>>())), ("h", history)]
    };
    let packed = [
        "columns.item=i",
        "compose.mode=request_packed",
        "compose.batch_size=12",
        "requests.layout=first",
        "requests.columns=[\"h\"]",
    ];
    let both = sound(columns(), &[&packed[..], &["columns.request=[\"u\", \"s\"]"]].concat());
    let counts = &both.manifest()["counts"];
    assert_eq!((counts["requests"].as_u64(), counts["mixed_requests"].as_u64()), (Some(18), Some(0)));
    // Ids that are unique for a user only.
    project(columns(), &[&packed[..], &["columns.request=s"]].concat())
        .fails(&["column `h`", "one request but differ"]);
    let inline = project(columns(), &["columns.item=i", "columns.request=s"]);
    let outcome = inline.succeed(&[]);
    assert!(outcome.stderr.contains("3 of 3 requests hold rows of several identities"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("columns.request = [\"u\", \"s\"]"), "{}", outcome.stderr);
    assert_eq!(inline.manifest()["counts"]["mixed_requests"], 3);
    inline.verified();
    let plan = inline.command("plan", &["--format", "json"]);
    assert!(plan.stdout.contains("3 of 3 requests"), "{}", plan.stdout);
    // The identity, raw or not, may be a part.
    sound(columns(), &["columns.request=[\"s\", \"u\"]", "identity.keep_raw=true", "mask.rules=[\"same:request\"]"]);
}

#[test]
fn fields_of_structs_play_roles_by_their_path() {
    let nested = |ids: &[i64], ages: &[i64]| -> ArrayRef {
        Arc::new(StructArray::from(vec![
            (Arc::new(Field::new("id", DataType::Int64, true)), numbers(ids)),
            (Arc::new(Field::new("age", DataType::Int64, true)), numbers(ages)),
        ]))
    };
    let (ids, ages) = ([1, 1, 2, 2, 3, 3, 4, 4], [30, 30, 41, 41, 30, 30, 7, 7]);
    let columns = || vec![("u", nested(&ids, &ages)), ("n", numbers(&[0, 1, 2, 3, 4, 5, 6, 7]))];
    let by_path = sound(columns(), &["columns.identity=u.id", "mask.rules=[\"same:identity\", \"same:u.age\"]"]);
    let out = read_dataset(&by_path.path("out"));
    // The raw identity is left out, and the rest of the struct stays.
    let DataType::Struct(fields) = out["u"].data_type() else { panic!() };
    assert_eq!(fields.iter().map(|f| f.name().as_str()).collect::<Vec<_>>(), ["age"]);
    let flat = sound(
        vec![("id", numbers(&ids)), ("age", numbers(&ages)), ("n", numbers(&[0, 1, 2, 3, 4, 5, 6, 7]))],
        &["columns.identity=id", "mask.rules=[\"same:identity\", \"same:age\"]"],
    );
    let other = read_dataset(&flat.path("out"));
    for name in ["n", "bw_user", "bw_negatives"] {
        assert_eq!(&out[name], &other[name], "{name}");
    }
    let kept = sound(
        columns(),
        &["columns.identity=u.id", "identity.keep_raw=true", "input.where=u.age > 10", "mask.positive=\"u.age\" = 30"],
    );
    assert_eq!(kept.manifest()["counts"]["rows_out"], 6);
    let dropped = sound(columns(), &["columns.identity=n", "input.drop=[\"u.age\", \"n\"]"]);
    let out = read_dataset(&dropped.path("out"));
    assert_eq!(out["u"].as_struct().column_names(), ["id"]);
    sound(columns(), &["columns.identity=n", "columns.item=u.id", "columns.time=u.age", "input.drop=[\"u\"]"]);
    project(columns(), &["columns.identity=u.name"]).fails(&["columns.identity", "no column `u.name`"]);
    project(columns(), &["input.drop=[\"u.name\"]"]).fails(&["input.drop", "`u.name`"]);
    // The word USER means something to SQL.
    let user = || vec![("user", nested(&ids, &ages)), ("n", numbers(&[0, 1, 2, 3, 4, 5, 6, 7]))];
    let old = sound(user(), &["columns.identity=n", "input.where=user.age > 10 AND user.id < 3"]);
    assert_eq!(old.manifest()["counts"]["rows_out"], 4);
    project(columns(), &["columns.identity=n", "columns.request=n", "requests.columns=[\"u.age\"]"])
        .fails(&["requests.columns", "`u.age` is a field of a struct"]);
    // A null struct has a null field.
    let fields: Fields = vec![Field::new("id", DataType::Int64, true)].into();
    let nulls = Some(arrow::buffer::NullBuffer::from(vec![true, false]));
    let missing: ArrayRef = Arc::new(StructArray::new(fields, vec![numbers(&[1, 2])], nulls));
    project(vec![("u", missing.clone())], &["columns.identity=u.id"]).fails(&["no identity", "row 1 "]);
    sound(vec![("u", missing), ("n", numbers(&[1, 2]))], &["columns.identity=u.id", "identity.nulls=drop"]);
    // Also where it is left out.
    let twice = vec![("u.id", numbers(&[5, 5])), ("u", nested(&[1, 2], &[3, 4])), ("n", numbers(&[1, 2]))];
    let left = sound(twice, &["columns.identity=n", "input.drop=[\"u.id\"]"]);
    assert_eq!(read_dataset(&left.path("out"))["u"].as_struct().column_names(), ["id", "age"]);
    // A column that is called so is meant before any field.
    let called = vec![("u.id", numbers(&[5, 5])), ("u", nested(&[1, 2], &[3, 4]))];
    assert_eq!(sound(called, &["columns.identity=u.id"]).manifest()["counts"]["users"], 1);
}

#[test]
fn windows_of_numbers_have_the_unit_that_the_pipeline_says() {
    let hours = [0i64, 1, 3599, 3600, 7199, 7200, 7201, 10_000];
    let scaled = |by: i64| numbers(&hours.iter().map(|t| t * by).collect::<Vec<_>>());
    let floats: ArrayRef = Arc::new(Float64Array::from_iter_values(hours.iter().map(|t| *t as f64 + 0.25)));
    let mut all = Vec::new();
    for (times, unit) in [
        (scaled(1), "s"),
        (scaled(1000), "ms"),
        (scaled(1_000_000), "us"),
        (scaled(1_000_000_000), "ns"),
        (floats, "s"),
    ] {
        let columns =
            vec![("u", numbers(&[1, 2, 3, 4, 5, 6, 7, 8])), ("t", times), ("n", numbers(&[0, 1, 2, 3, 4, 5, 6, 7]))];
        let unit = format!("columns.time_unit={unit}");
        let project = sound(columns, &["columns.time=t", &unit, "compose.window=1h", "compose.batch_size=1"]);
        let out = read_dataset(&project.path("out"));
        all.push(out["n"].as_primitive::<Int64Type>().values().to_vec());
        assert!(rows_of(&project.path("out/_batchwright/stats.parquet"))["time_min"].null_count() == 0);
    }
    assert!(all.iter().all(|order| *order == all[0]), "{all:?}");
    let hour: Vec<i64> = all[0].iter().map(|n| hours[*n as usize] / 3600).collect();
    assert!(hour.is_sorted(), "{hour:?}");
    let columns = || vec![("u", numbers(&[1, 2])), ("t", numbers(&[1, 2]))];
    project(columns(), &["columns.time=t", "compose.window=1h"]).fails(&["compose.window", "columns.time_unit"]);
    project(columns(), &["columns.time_unit=s"]).fails(&["columns.time_unit", "columns.time"]);
    project(columns(), &["columns.time=t", "columns.time_unit=min"]).fails(&["time_unit"]);
    let stamps = cast(&numbers(&[1, 2]), &DataType::Timestamp(TimeUnit::Second, None)).unwrap();
    project(vec![("u", numbers(&[1, 2])), ("t", stamps)], &["columns.time=t", "columns.time_unit=s"])
        .fails(&["columns.time_unit", "unit of its own"]);
    let scores: ArrayRef = Arc::new(Float32Array::from(vec![0.5, f32::INFINITY]));
    project(vec![("u", numbers(&[1, 2])), ("t", scores)], &["columns.time=t"]).fails(&[
        "column `t`",
        "row 1 ",
        "not finite",
    ]);
}

#[test]
fn a_score_orders_pools() {
    let scores: ArrayRef = Arc::new(Float32Array::from(vec![0.5, -1.5, 2.25, -0.0, 0.0, 1e30, -1e30, 3.0]));
    let columns = vec![("u", numbers(&[1, 2, 3, 4, 5, 6, 7, 8])), ("t", scores)];
    let project = sound(columns, &["columns.time=t", "compose.window=2", "compose.batch_size=2"]);
    let out = read_dataset(&project.path("out"));
    let found = out["t"].as_primitive::<Float32Type>().values().to_vec();
    let most = |batch: &[f32]| batch.iter().copied().fold(f32::MIN, f32::max);
    let ends: Vec<f32> = found.chunks(2).map(most).collect();
    assert!(ends.is_sorted_by(|a, b| a < b), "{found:?}");
    let stats = rows_of(&project.path("out/_batchwright/stats.parquet"));
    assert_eq!(stats["time_max"].as_primitive::<Float32Type>().values().to_vec(), ends);
}

#[test]
fn a_name_that_is_a_role_and_a_column_must_say_which() {
    let columns =
        || vec![("u", numbers(&[1, 2, 3, 4])), ("i", numbers(&[7, 7, 8, 8])), ("item", numbers(&[1, 1, 1, 2]))];
    let sets = |rule: &'static str| ["columns.item=i", rule];
    project(columns(), &sets("mask.rules=[\"same:item\"]")).fails(&["mask.rules", "column:item", "role:item"]);
    project(columns(), &sets("dedup.key=[\"item\"]")).fails(&["dedup.key", "column:item"]);
    // Three of four rows agree in the column, pairs in the role.
    let mut by_column = masks(&sound(columns(), &sets("mask.rules=[\"same:column:item\"]")));
    by_column.sort_unstable();
    assert_eq!(by_column, [1, 1, 1, 3]);
    assert_eq!(masks(&sound(columns(), &sets("mask.rules=[\"same:role:item\"]"))), [2; 4]);
    assert_eq!(masks(&sound(columns(), &sets("mask.rules=[\"same:i\"]"))), [2; 4]);
    let manifest = sound(columns(), &sets("mask.rules=[\"same:column:item\"]")).manifest();
    assert_eq!(manifest["pipeline"]["mask"]["rules"][0], "same:column:item");
    // Default rules mean roles.
    sound(columns(), &["columns.item=i"]);
    project(columns(), &["columns.item=i", "mask.rules=[\"same:role:label\"]"]).fails(&["mask.rules", "role:label"]);
}

#[test]
fn names_that_hold_the_sign_that_joins_must_say_which() {
    let columns = || {
        vec![
            ("u", numbers(&[1, 2, 3, 4])),
            ("a", numbers(&[1, 1, 2, 2])),
            ("b", numbers(&[1, 2, 1, 2])),
            ("a+b", numbers(&[9, 9, 9, 8])),
        ]
    };
    project(columns(), &["mask.rules=[\"same:a+b\"]"]).fails(&[
        "mask.rules",
        "same:column:a+b",
        "same:column:a+column:b",
    ]);
    let mut one = masks(&sound(columns(), &["mask.rules=[\"same:column:a+b\"]"]));
    one.sort_unstable();
    assert_eq!(one, [1, 1, 1, 3]);
    assert_eq!(masks(&sound(columns(), &["mask.rules=[\"same:column:a+column:b\"]"])), [3; 4]);
}

#[test]
fn same_item_is_among_the_default_rules_where_an_item_is_mapped() {
    let columns = || vec![("u", texts(&["a", "b", "c", "d"])), ("i", texts(&["x", "x", "y", "z"]))];
    let project = sound(columns(), &["columns.item=i"]);
    assert_eq!(project.manifest()["pipeline"]["mask"]["rules"], serde_json::json!(["same:identity", "same:item"]));
    let mut valid = masks(&project);
    valid.sort_unstable();
    assert_eq!(valid, [2, 2, 3, 3]);
    let none = sound(columns(), &[]);
    assert_eq!(none.manifest()["pipeline"]["mask"]["rules"], serde_json::json!(["same:identity"]));
    // A mapped item that no rule looks at is told of.
    let unmasked = project_with_rule(columns(), "mask.rules=[\"same:identity\"]");
    assert!(unmasked.contains("columns.item is mapped, and no rule"), "{unmasked}");
    let all = project_with_rule(
        vec![("u", texts(&["a", "b", "c", "d"])), ("i", texts(&["x", "x", "x", "x"]))],
        "mask.rules=[\"same:item\"]",
    );
    assert!(all.contains("same:item excludes 100 % of all pairs"), "{all}");
}

fn project_with_rule(columns: Vec<(&str, ArrayRef)>, rule: &str) -> String {
    let project = project(columns, &["columns.item=i", rule]);
    let plan = project.command("plan", &[]);
    let run = project.succeed(&[]).stderr;
    for line in run.lines() {
        assert!(plan.stdout.contains(line), "{line} is not in the plan: {}", plan.stdout);
    }
    run
}
