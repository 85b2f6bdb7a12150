//! Predicates on times and numbers as people write them.

use std::sync::Arc;

use arrow::array::*;
use arrow::compute::cast;
use arrow::datatypes::*;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::{Project, column, read_dataset, table, write_parquet};

const PIPELINE: &str = "input.shards = [\"in.parquet\"]\ncolumns.identity = \"n\"\nidentity.keep_raw = true\ncompose.batch_size = 4\noutput.path = \"out\"";

/// 2024-01-31 00:00:00 UTC.
const JANUARY_31: i64 = 1_706_659_200;

fn rows() -> RecordBatch {
    let seconds: ArrayRef = Arc::new(Int64Array::from(vec![
        Some(JANUARY_31 - 1),
        Some(JANUARY_31),
        Some(JANUARY_31 + 45_000),
        Some(JANUARY_31 + 86_400),
        None,
        Some(-1),
    ]));
    let stamps = |unit: TimeUnit, zone: Option<&str>| {
        let naive = cast(
            &cast(&seconds, &DataType::Timestamp(TimeUnit::Second, None)).unwrap(),
            &DataType::Timestamp(unit, None),
        )
        .unwrap();
        let ticks = cast(&naive, &DataType::Int64).unwrap();
        cast(&ticks, &DataType::Timestamp(unit, zone.map(Into::into))).unwrap()
    };
    let days = cast(&stamps(TimeUnit::Second, None), &DataType::Date32).unwrap();
    table(vec![
        ("n", Arc::new((0..6).collect::<Int64Array>()) as ArrayRef),
        ("d", days),
        ("ms", stamps(TimeUnit::Millisecond, None)),
        ("later", {
            let ticks = cast(&stamps(TimeUnit::Microsecond, None), &DataType::Int64).unwrap();
            let later: Int64Array = ticks.as_primitive::<Int64Type>().iter().map(|t| t.map(|t| t + 1)).collect();
            cast(&later, &DataType::Timestamp(TimeUnit::Microsecond, None)).unwrap()
        }),
        ("ns", stamps(TimeUnit::Nanosecond, None)),
        ("utc", stamps(TimeUnit::Microsecond, Some("UTC"))),
        ("zurich", stamps(TimeUnit::Microsecond, Some("Europe/Zurich"))),
        ("east", stamps(TimeUnit::Microsecond, Some("+02:00"))),
        (
            "f",
            Arc::new(Float64Array::from(vec![
                Some(1.5),
                Some(f64::NAN),
                Some(-0.0),
                None,
                Some(f64::INFINITY),
                Some(-2.0),
            ])),
        ),
        ("big", Arc::new(UInt64Array::from(vec![0, 5, i64::MAX as u64, 1 << 63, u64::MAX, 7]))),
        ("small", Arc::new(Int32Array::from(vec![0, 1, 2, 3, 4, 5]))),
        ("least", Arc::new(Int64Array::from(vec![i64::MIN, i64::MIN, -18, 5, -1, 0]))),
        ("single", Arc::new(Float32Array::from(vec![0.1, 0.25, 0.5, 0.1, 2.0, -1.0]))),
        ("price", cast(&Int64Array::from(vec![0, 1, 2, 3, 4, 5]), &DataType::Decimal128(10, 2)).unwrap()),
        ("whole", cast(&Int64Array::from(vec![0, 1, 0, 1, 0, 1]), &DataType::Decimal128(1, 0)).unwrap()),
        ("bytes", Arc::new(BinaryArray::from_iter_values(["a", "b", "a", "c", "a", "b"]))),
        ("word", Arc::new(StringArray::from_iter_values(["a", "b", "a", "c", "a", "b"]))),
    ])
}

fn project(sql: &str) -> Project {
    let project = Project::new(&format!("{PIPELINE}\ninput.where = '''{sql}'''"));
    write_parquet(&project.path("in.parquet"), &[rows()]);
    project
}

fn kept(sql: &str) -> Vec<i64> {
    let project = project(sql);
    let outcome = project.command("run", &[]);
    if outcome.stderr.contains("no example is left") {
        return Vec::new();
    }
    assert_eq!(outcome.code, 0, "{sql}: {}", outcome.stderr);
    project.verified();
    let mut kept = column::<Int64Type>(&read_dataset(&project.path("out")), "n");
    kept.sort_unstable();
    kept
}

#[test]
fn times_compare_with_texts_and_typed_literals() {
    for (sql, expected) in [
        ("d = '2024-01-31'", &[1, 2][..]),
        ("d >= DATE '2024-01-31'", &[1, 2, 3]),
        ("d BETWEEN '2024-01-31' AND '2024-02-01'", &[1, 2, 3]),
        ("d NOT BETWEEN '2024-01-31' AND '2024-02-01'", &[0, 5]),
        ("d IN ('2024-01-30', '2024-02-01')", &[0, 3]),
        ("d NOT IN ('2024-01-30', '2024-02-01')", &[1, 2, 5]),
        ("d > '2024-01-30 12:00'", &[1, 2, 3]),
        ("d < '2024-01-31 12:00' AND d >= '2024-01-31'", &[1, 2]),
        ("'2024-02-01' <= d", &[3]),
        ("ms >= '2024-01-31'", &[1, 2, 3]),
        ("ms > '2024-01-31'", &[2, 3]),
        ("ms < TIMESTAMP '2024-01-31 00:00:00'", &[0, 5]),
        ("ms = '2024-01-31T12:30:00'", &[2]),
        ("ms <> '2024-01-31 12:30'", &[0, 1, 3, 5]),
        ("ns >= '2024-01-31 12:30:00.000000001'", &[3]),
        ("ms >= '2024-01-31 12:30:00.000000001'", &[3]),
        ("ms = '2024-01-31 12:30:00.000000001'", &[]),
        ("ns < '3000-01-01'", &[0, 1, 2, 3, 5]),
        ("ns > '1500-01-01'", &[0, 1, 2, 3, 5]),
        ("ns = '3000-01-01'", &[]),
        ("ms < '1970-01-01'", &[5]),
        ("utc >= '2024-01-31'", &[1, 2, 3]),
        ("utc >= '2024-01-31 13:30:00+01:00'", &[2, 3]),
        ("utc = TIMESTAMPTZ '2024-01-31 12:30:00Z'", &[2]),
        ("utc = TIMESTAMP WITH TIME ZONE '2024-01-31 07:30:00-05'", &[2]),
        ("utc < CAST('2024-01-31' AS TIMESTAMP)", &[0, 5]),
        ("zurich = '2024-01-31 13:30:00+01:00'", &[2]),
        ("zurich IS NULL", &[4]),
        ("east = '2024-01-31 14:30:00'", &[2]),
        ("east IS NOT NULL AND n < 2", &[0, 1]),
        ("DATE(ms) = '2024-01-31'", &[1, 2]),
        ("DATE(utc) IN ('2024-01-31')", &[1, 2]),
        ("CAST(ns AS DATE) > '2024-01-31'", &[3]),
        ("DATE(east) = '2024-01-31'", &[0, 1, 2]),
        ("DATE(ms) = d", &[0, 1, 2, 3, 5]),
        ("EXTRACT(HOUR FROM ms) = 12", &[2]),
        ("EXTRACT(HOUR FROM utc) = 12", &[2]),
        ("NOT (d = '2024-01-31')", &[0, 3, 5]),
        // Columns of other units, exactly.
        ("ms = ns", &[0, 1, 2, 3, 5]),
        ("later > ms", &[0, 1, 2, 3, 5]),
        ("ms < later AND NOT (later <= ms)", &[0, 1, 2, 3, 5]),
        ("later = ms", &[]),
        ("d <= ms", &[0, 1, 2, 3, 5]),
        ("d = ms", &[1, 3]),
        ("utc = east AND east = zurich", &[0, 1, 2, 3, 5]),
        ("ms BETWEEN '2024-01-31' AND later", &[1, 2, 3]),
        ("ms NOT IN ('2024-01-31', NULL)", &[]),
        ("ms IS UNKNOWN", &[4]),
    ] {
        assert_eq!(kept(sql), expected, "{sql}");
    }
}

#[test]
fn numbers_compare_as_they_are() {
    for (sql, expected) in [
        ("isnan(f)", &[1][..]),
        ("NOT ISNAN(f)", &[0, 2, 4, 5]),
        // NaN is itself, and above every number.
        ("f = f", &[0, 1, 2, 4, 5]),
        ("f > 1e300", &[1, 4]),
        ("f = 0", &[2]),
        ("f < 1.5e0", &[2, 5]),
        ("big = 18446744073709551615", &[4]),
        ("big >= 9223372036854775808", &[3, 4]),
        ("big < 9223372036854775808", &[0, 1, 2, 5]),
        ("big <> 18446744073709551615", &[0, 1, 2, 3, 5]),
        ("big IN (5, 18446744073709551615)", &[1, 4]),
        ("big = 5", &[1]),
        ("small < 18446744073709551615", &[0, 1, 2, 3, 4, 5]),
        ("small = 18446744073709551615", &[]),
        ("small > -18446744073709551615", &[0, 1, 2, 3, 4, 5]),
        ("price > 2.5", &[3, 4, 5]),
        ("price = 2", &[2]),
        ("price < 18446744073709551615", &[0, 1, 2, 3, 4, 5]),
        ("single < 9223372036854775808", &[0, 1, 2, 3, 4, 5]),
        ("f > 18446744073709551615", &[1, 4]),
        ("whole = 1", &[1, 3, 5]),
        ("bytes = 'a'", &[0, 2, 4]),
        ("word IN ('b', 'c')", &[1, 3, 5]),
        ("big > -1", &[0, 1, 2, 3, 4, 5]),
        ("big <> -1", &[0, 1, 2, 3, 4, 5]),
        ("big < -1", &[]),
        ("big BETWEEN 5 AND 18446744073709551615", &[1, 2, 3, 4, 5]),
        ("big > least", &[0, 1, 2, 3, 4, 5]),
        ("big = small", &[0]),
        ("small >= big", &[0]),
        ("least = -9223372036854775808", &[0, 1]),
        ("least > -9223372036854775808", &[2, 3, 4, 5]),
        ("least % 10 = -8", &[0, 1, 2]),
        ("single = 0.1", &[0, 3]),
        ("single IN (0.1)", &[0, 3]),
        ("single NOT IN (0.1)", &[1, 2, 4, 5]),
        ("single IN (0.1, 2)", &[0, 3, 4]),
        ("small IN (1, 2.0)", &[1, 2]),
        ("small IN (single, n)", &[0, 1, 2, 3, 4, 5]),
        ("small IS DISTINCT FROM 6 AND word = 'a'", &[0, 2, 4]),
        ("small IS NOT DISTINCT FROM 1 OR word = 'a'", &[0, 1, 2, 4]),
        ("- -small = 3", &[3]),
    ] {
        assert_eq!(kept(sql), expected, "{sql}");
    }
}

#[test]
fn an_error_says_which_form_works() {
    for (sql, words) in [
        ("d > 'last week'", &["`d` is a date", "'2024-01-31'"][..]),
        ("ms > 1706659200", &["`ms` is a time without a zone", "'2024-01-31 12:30:00'"]),
        ("ms > '2024-01-31 12:30:00+01:00'", &["without a zone"]),
        ("utc > 'noon'", &["`utc` is an instant", "+00:00"]),
        ("zurich > '2024-01-31'", &["`zurich` is an instant in a named zone", "+01:00"]),
        ("EXTRACT(HOUR FROM zurich) = 1", &["`zurich` has a zone of its own"]),
        ("DATE(zurich) = '2024-01-31'", &["`zurich`"]),
        ("DATE(ms) > '2024-01-31 12:30'", &["`ms`", "date"]),
        ("word > 3", &["`word` is text", "single quotes"]),
        ("small = '3'", &["`small` is a number", "without quotes"]),
        ("f IN ('1', '2')", &["`f` is a number"]),
        ("COALESCE(ms, '2024-01-30') = '2024-01-30'", &["`ms` meets a text in a function"]),
        ("ms = utc", &["`ms` and `utc`", "time zone"]),
        ("big - 3 < 0", &["`big`", "not calculated with"]),
        ("word > ms", &["`ms` is Timestamp", "`word` is Utf8"]),
    ] {
        project(sql).fails(&[&["input.where"], words].concat());
    }
}

/// Whatever the unit, the text and the comparison: the rows that integers say.
#[test]
fn any_comparison_is_that_of_nanoseconds() {
    let mut runner = TestRunner::new(Config { cases: 60, ..Config::default() });
    let units = prop::sample::select(vec![TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond]);
    let sign = prop::sample::select(vec!["=", "<>", "<", "<=", ">", ">="]);
    // Nanoseconds around a second, so that most texts lie between two ticks.
    let near = prop_oneof![Just(0i64), Just(1_000_000), Just(1_000), -2_000_000i64..2_000_000];
    let strategy = (units, sign, prop::collection::vec(near.clone(), 1..12), near, any::<bool>());
    runner
        .run(&strategy, |(unit, sign, values, literal, mirrored)| {
            let base = JANUARY_31 * 1_000_000_000;
            let tick = match unit {
                TimeUnit::Millisecond => 1_000_000,
                TimeUnit::Microsecond => 1_000,
                _ => 1,
            };
            let ticks: Vec<i64> = values.iter().map(|v| (base + v).div_euclid(tick)).collect();
            let times = cast(&Int64Array::from(ticks.clone()), &DataType::Timestamp(unit, None)).unwrap();
            let n: ArrayRef = Arc::new((0..ticks.len() as i64).collect::<Int64Array>());
            let (seconds, nanos) =
                ((base + literal).div_euclid(1_000_000_000), (base + literal).rem_euclid(1_000_000_000));
            let text = if seconds == JANUARY_31 { "2024-01-31 00:00:00" } else { "2024-01-30 23:59:59" };
            let text = format!("'{text}.{nanos:09}'");
            let swapped = match sign {
                "<" => ">",
                "<=" => ">=",
                ">" => "<",
                ">=" => "<=",
                same => same,
            };
            let sql = if mirrored { format!("{text} {swapped} t") } else { format!("t {sign} {text}") };
            let expected: Vec<i64> = (0..)
                .zip(&ticks)
                .filter(|(_, t)| {
                    let (a, b) = (**t * tick, base + literal);
                    match sign {
                        "=" => a == b,
                        "<>" => a != b,
                        "<" => a < b,
                        "<=" => a <= b,
                        ">" => a > b,
                        _ => a >= b,
                    }
                })
                .map(|(row, _)| row)
                .collect();
            let project = Project::new(&format!("{PIPELINE}\ninput.where = '''{sql}'''"));
            write_parquet(&project.path("in.parquet"), &[table(vec![("n", n), ("t", times)])]);
            let outcome = project.command("run", &[]);
            if expected.is_empty() {
                prop_assert!(outcome.stderr.contains("no example is left"), "{}: {}", sql, outcome.stderr);
                return Ok(());
            }
            prop_assert_eq!(outcome.code, 0, "{}: {}", sql, outcome.stderr);
            let mut found = column::<Int64Type>(&read_dataset(&project.path("out")), "n");
            found.sort_unstable();
            prop_assert_eq!(found, expected, "{}", sql);
            Ok(())
        })
        .unwrap();
}
