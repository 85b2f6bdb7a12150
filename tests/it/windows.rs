//! Windows of the calendar: no batch holds rows of two, in any zone, and the judge knows the pools.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, TimestampMicrosecondArray};
use arrow::datatypes::{Int32Type, TimestampMicrosecondType};
use chrono::{DateTime, Datelike, NaiveDate};

use crate::support::{Project, column, rows_of, table};
use crate::verify::{edit, findings, replace, seal};

const ROWS: i64 = 3_000;
/// Through both changes of the clocks.
const START: i64 = 1_709_251_200;
const STEP: i64 = 7_103;

fn project(zone: Option<&str>, window: &str) -> Project {
    let times = TimestampMicrosecondArray::from_iter_values((0..ROWS).map(|k| (START + k * STEP) * 1_000_000));
    let times: ArrayRef = match zone {
        Some(_) => Arc::new(times.with_timezone("UTC")),
        None => Arc::new(times),
    };
    let rows = table(vec![
        ("user", Arc::new((0..ROWS).map(|k| k * k % 211).collect::<Int64Array>()) as ArrayRef),
        ("ts", times),
    ]);
    let zone = zone.map_or(String::new(), |zone| format!("time_zone = \"{zone}\""));
    Project::new(&format!(
        "input.shards = [\"in.parquet\"]\ncolumns = {{ identity = \"user\", time = \"ts\" }}\noutput.path = \"out\"\n\
         [compose]\nbatch_size = 16\nwindow_ends = \"exact\"\nwindow = \"{window}\"\n{zone}",
    ))
    .file("in.parquet", &rows)
}

/// The day on a calendar's page, from a moment.
fn local(seconds: i64, zone: Option<&str>) -> NaiveDate {
    let moment = DateTime::from_timestamp(seconds, 0).unwrap();
    match zone {
        Some(zone) => moment.with_timezone(&zone.parse::<chrono_tz::Tz>().unwrap()).date_naive(),
        None => moment.date_naive(),
    }
}

#[test]
fn no_batch_holds_two_days_weeks_or_months() {
    for zone in [None, Some("America/New_York"), Some("Asia/Kolkata")] {
        for window in ["1 day", "1 week", "1 month"] {
            let project = project(zone, window);
            let out = project.run();
            project.verified();
            let (batches, times) =
                (column::<Int32Type>(&out, "bw_batch"), column::<TimestampMicrosecondType>(&out, "ts"));
            let mut windows: BTreeMap<i32, Vec<String>> = BTreeMap::new();
            for (batch, time) in batches.iter().zip(&times) {
                let day = local(time / 1_000_000, zone);
                let own = match window {
                    "1 day" => day.to_string(),
                    "1 week" => format!("{:?}", day.iso_week()),
                    _ => format!("{}-{:02}", day.year(), day.month()),
                };
                let seen = windows.entry(*batch).or_default();
                seen.push(own);
                seen.dedup();
            }
            assert!(windows.values().all(|own| own.len() == 1), "{zone:?} {window}");
            let mut order: Vec<&String> = windows.values().map(|own| &own[0]).collect();
            order.dedup();
            let distinct = order.len();
            order.sort();
            order.dedup();
            assert_eq!(order.len(), distinct, "{zone:?} {window}: a window comes twice");
            let pools = column::<Int32Type>(&rows_of(&project.path("out/_batchwright/stats.parquet")), "pool");
            assert_eq!(pools.last().map(|pool| *pool as usize + 1), Some(distinct));
            for (k, own) in windows.values().enumerate().skip(1) {
                assert_eq!(pools[k] != pools[k - 1], own != &windows[&(k as i32 - 1)]);
            }
        }
    }
}

#[test]
fn a_pool_that_ends_elsewhere_is_found() {
    let project = project(None, "1 month");
    project.succeed(&["--set", "compose.window_ends=whole"]);
    let path = project.path("out/_batchwright/stats.parquet");
    let pools = column::<Int32Type>(&rows_of(&path), "pool");
    let at = pools.iter().position(|pool| *pool == 1).unwrap();
    // One pool begins a batch late: its first batch is counted to the one before.
    edit(&project, &path, |rows| {
        let mut pools = pools.clone();
        pools[at + 1] = 0;
        pools[at] = 1;
        replace(&rows, "pool", Arc::new(Int32Array::from(pools)))
    });
    seal(&project, &path);
    let found = findings(&project, &[]);
    assert!(found.iter().any(|finding| finding["column"] == "pool"), "{found:#?}");
}

#[test]
fn zones_and_windows_that_are_none_are_refused() {
    project(Some("Mars/Olympus"), "1 day").fails(&["compose.time_zone", "Mars/Olympus"]);
    project(None, "1 fortnight").fails(&["compose.window", "1 fortnight"]);
    project(None, "0 days").fails(&["compose.window", "it is empty"]);
}
