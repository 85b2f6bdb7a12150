//! A batch's columns as plain values.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::compute::cast;
use polars::prelude::Column;

use super::columns::{find, request_parts, times};
use super::digest::role_digests;
use super::example_keys::example_keys;
use super::rows::BatchRows;
use crate::reader::{Dataset, ints};
use crate::schema;

/// The columns of a batch that the checks need, as plain values; empty where the dataset has none.
pub struct View {
    pub rows: usize,
    pub user: Vec<i64>,
    pub item: Vec<i64>,
    pub copy: Vec<i64>,
    pub anchor: Vec<bool>,
    pub log_q: Vec<f32>,
    /// The class of each row, as text; empty if labels are not mapped or not in the payload.
    pub label: Vec<Option<String>>,
    /// Digests of request values; `None` for null. Empty if not in the payload.
    pub request: Vec<Option<u128>>,
    pub null_request: Vec<bool>,
    pub time: Vec<i64>,
}

impl View {
    pub fn new(dataset: &Dataset, batch: &BatchRows) -> Self {
        let get = |name: &str| batch.frame.column(name).ok();
        let numbers = |name: &str| get(name).map(ints).unwrap_or_default();
        let role = |role: &str| dataset.role(role).and_then(|name| find(&batch.frame, name));
        let parts = request_parts(dataset, &batch.frame);
        View {
            rows: batch.frame.height(),
            user: numbers(schema::USER),
            item: numbers(schema::ITEM),
            copy: numbers(schema::COPY),
            anchor: get(schema::ANCHOR).map(bools).unwrap_or_default(),
            log_q: get(schema::LOG_Q).map(floats).unwrap_or_default(),
            label: role("label").map(|c| texts(&c)).unwrap_or_default(),
            request: parts.as_ref().map(|parts| requests_of(dataset, batch, parts)).unwrap_or_default(),
            null_request: parts.map(|parts| joined(&parts).iter().map(Option::is_none).collect()).unwrap_or_default(),
            time: role("time").map(|c| times(&c)).unwrap_or_default(),
        }
    }
}

/// Digests of rows' parts of a request; `None` where one is null.
fn joined(parts: &[Column]) -> Vec<Option<u128>> {
    let digests: Vec<Vec<Option<u128>>> =
        parts.iter().map(|part| role_digests(part.as_materialized_series())).collect();
    let row = |row: usize| {
        let values: Option<Vec<u8>> = digests.iter().try_fold(Vec::new(), |mut bytes, part| {
            bytes.extend(part[row]?.to_le_bytes());
            Some(bytes)
        });
        values.map(|bytes| xxhash_rust::xxh3::xxh3_128(&bytes))
    };
    (0..digests.first().map_or(0, Vec::len)).map(row).collect()
}

/// Digests of requests. A null is a request of its own, but an example and its copies are of one.
fn requests_of(dataset: &Dataset, batch: &BatchRows, parts: &[Column]) -> Vec<Option<u128>> {
    let mut requests = joined(parts);
    let copies = batch.frame.column(schema::COPY).map(ints).unwrap_or_default();
    if dataset.count("copies") > 0 && requests.contains(&None) {
        let keys = example_keys(dataset, batch);
        let copied: std::collections::HashSet<u128> =
            keys.iter().zip(&copies).filter(|(_, c)| **c > 0).map(|(k, _)| *k).collect();
        for (request, key) in requests.iter_mut().zip(keys) {
            if request.is_none() && copied.contains(&key) {
                *request = Some(key);
            }
        }
    }
    requests
}

pub(super) fn bools(column: &Column) -> Vec<bool> {
    let values = column.as_materialized_series().bool().ok();
    values.map(|c| c.iter().map(|b| b.unwrap_or(false)).collect()).unwrap_or_default()
}

fn floats(column: &Column) -> Vec<f32> {
    let values = column.as_materialized_series().f32().ok();
    values.map(|c| c.iter().map(|x| x.unwrap_or(f32::NAN)).collect()).unwrap_or_default()
}

fn texts(column: &Column) -> Vec<Option<String>> {
    if let Some(texts) = texts_of_times(column) {
        return texts;
    }
    if let Some(texts) = texts_of_floats(column) {
        return texts;
    }
    if let Ok(bytes) = column.as_materialized_series().binary() {
        return bytes.iter().map(|bytes| bytes.and_then(|b| std::str::from_utf8(b).ok()).map(str::to_owned)).collect();
    }
    let text = column.cast(&polars::prelude::DataType::String).ok();
    let text = text.map(|c| c.as_materialized_series().clone());
    text.and_then(|s| s.str().ok().map(|c| c.iter().map(|t| t.map(str::to_owned)).collect())).unwrap_or_default()
}

/// Whole floats as the integers that they are; NaN is null.
fn texts_of_floats(column: &Column) -> Option<Vec<Option<String>>> {
    if !column.dtype().is_float() {
        return None;
    }
    let wide = column.cast(&polars::prelude::DataType::Float64).ok()?;
    let floats = wide.as_materialized_series().f64().ok()?.clone();
    Some(floats.iter().map(|x| x.filter(|x| !x.is_nan()).map(|x| format!("{:.0}", x + 0.0))).collect())
}

/// Dates and instants as labels are written, in UTC; Polars writes them otherwise.
fn texts_of_times(column: &Column) -> Option<Vec<Option<String>>> {
    use arrow::datatypes::{DataType, TimeUnit};
    use polars::prelude::{DataType as Seen, TimeUnit as Unit};
    let written = match column.dtype() {
        Seen::Date => DataType::Date32,
        Seen::Datetime(unit, zone) => {
            let unit = match unit {
                Unit::Milliseconds => TimeUnit::Millisecond,
                Unit::Microseconds => TimeUnit::Microsecond,
                Unit::Nanoseconds => TimeUnit::Nanosecond,
            };
            DataType::Timestamp(unit, zone.as_ref().map(|_| "+00:00".into()))
        }
        _ => return None,
    };
    let ticks = column.to_physical_repr().cast(&Seen::Int64).ok()?;
    let ticks: Int64Array = ticks.as_materialized_series().i64().ok()?.iter().collect();
    let ticks: ArrayRef = Arc::new(ticks);
    let ticks = if written == DataType::Date32 { cast(&ticks, &DataType::Int32).ok()? } else { ticks };
    let texts = cast(&cast(&ticks, &written).ok()?, &DataType::Utf8).ok()?;
    Some(texts.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect())
}
