//! Expectations of a dataset's metrics, for CI: every finding, with its level.
//!
//! Takes figures and an expectation file; gives a finding for each expectation that is not met or can't be evaluated.

mod render;

pub use render::{Style, escape_xml, render};

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::pipeline::nearest;
use crate::schema::{METRICS, Metric};
use crate::store;

/// An expectation file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectFile {
    #[serde(default)]
    expect: Vec<Expectation>,
}

/// What a metric should be.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// A metric; `.min`, `.mean` or `.max` where there are three; or `counts.NAME`.
    pub metric: String,
    pub min: Option<f64>,
    pub max: Option<f64>,
    /// Most that the metric may differ from the baseline dataset's, relative to it.
    pub max_change: Option<f64>,
    #[serde(default)]
    pub level: Level,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    #[default]
    Error,
    Warn,
}

/// One expectation and what became of it; `problem` is empty if it is met.
#[derive(Debug, Clone, Serialize)]
pub struct Checked {
    pub metric: String,
    pub level: Level,
    pub value: Option<f64>,
    /// The baseline dataset's, where one is given that has it.
    pub baseline: Option<f64>,
    pub problem: Option<String>,
}

/// Metrics by name, three-part ones as `name.min`, `name.mean`, `name.max`, counts as `counts.name`.
pub type Figures = BTreeMap<String, Option<f64>>;

/// Reads an expectation file; an empty one is an error, since it would pass anything.
///
/// # Errors
/// A file that can't be read, or is none of expectations.
pub fn expectations(path: &Path) -> Result<Vec<Expectation>> {
    let text = store::read_to_string(path)?;
    let file: ExpectFile = toml::from_str(&text).map_err(|e| {
        let line = e.span().map_or(1, |s| text.get(..s.start).unwrap_or("").matches('\n').count() + 1);
        Error::pipeline(
            format!("{}, line {line}", path.display()),
            e.message(),
            "an expectation has metric, and min, max, max_change or level",
        )
    })?;
    let names: Vec<String> = METRICS.iter().flat_map(Metric::names).collect();
    if let Some(e) = file.expect.iter().find(|e| !names.contains(&e.metric)) {
        let remedy = match nearest(&e.metric, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`batchwright check --list` names all".into(),
        };
        let at = format!("{}, metric `{}`", path.display(), e.metric);
        return Err(Error::pipeline(at, "there is no such metric", remedy));
    }
    let pointless = |e: &&Expectation| e.min.is_none() && e.max.is_none() && e.max_change.is_none();
    if let Some(e) = file.expect.iter().find(pointless) {
        let at = format!("{}, metric `{}`", path.display(), e.metric);
        return Err(Error::pipeline(at, "it expects nothing", "give min, max or max_change"));
    }
    let of = |e: &Expectation| [e.min, e.max, e.max_change].into_iter().flatten().any(|bound| !bound.is_finite());
    if let Some(e) = file.expect.iter().find(|e| of(e)) {
        let at = format!("{}, metric `{}`", path.display(), e.metric);
        return Err(Error::pipeline(at, "a bound is not a number", "give finite numbers"));
    }
    if file.expect.is_empty() {
        return Err(Error::pipeline(path.display().to_string(), "it expects nothing", "add [[expect]] sections"));
    }
    Ok(file.expect)
}

/// Flattens a manifest's `stats` and `counts`.
pub fn figures(stats: &Value, counts: &Value) -> Figures {
    let mut out = Figures::new();
    for (name, value) in stats.as_object().into_iter().flatten() {
        match value.as_object() {
            Some(parts) => out.extend(parts.iter().map(|(part, v)| (format!("{name}.{part}"), v.as_f64()))),
            None => {
                out.insert(name.clone(), value.as_f64());
            }
        }
    }
    // There are none only where the role is not mapped.
    let of_roles = ["items", "requests", "max_requests_per_batch"];
    let known = |name: &str, value: f64| value > 0.0 || !of_roles.contains(&name);
    let counts = counts.as_object().into_iter().flatten();
    out.extend(counts.map(|(n, v)| (format!("counts.{n}"), v.as_f64().filter(|value| known(n, *value)))));
    // It is there where requests are mapped.
    out.entry("counts.mixed_requests".into()).or_insert(None);
    out
}

/// Evaluates all expectations.
pub fn check(expectations: &[Expectation], figures: &Figures, baseline: Option<&Figures>) -> Vec<Checked> {
    expectations.iter().map(|e| one(e, figures, baseline)).collect()
}

/// Metrics that are shares of all pairs.
const RATES_OF_PAIRS: [&str; 4] = ["same_user_rate", "excluded_rate", "false_negative_rate", "unmasked_rate"];

fn one(e: &Expectation, figures: &Figures, baseline: Option<&Figures>) -> Checked {
    let empty = figures.get("counts.rows_out").copied().flatten() == Some(0.0);
    let count = |name: &str| figures.get(name).copied().flatten();
    let alone = count("counts.rows_out").is_some() && count("counts.rows_out") == count("counts.batches");
    let value = figures.get(&e.metric).copied().flatten();
    let problem = match (figures.contains_key(&e.metric), value) {
        (false, _) => Some("the dataset does not have it: it was composed by another version".into()),
        (true, None) => {
            Some("it has no value here: the role it needs is not mapped, or nothing could be measured".into())
        }
        (true, Some(_)) if empty => Some("the dataset has no rows".into()),
        (true, Some(_)) if alone && RATES_OF_PAIRS.contains(&e.metric.as_str()) => {
            Some("no two rows share a batch, so there are no pairs".into())
        }
        (true, Some(value)) => unmet(e, value, baseline),
    };
    let baseline = baseline.and_then(|figures| figures.get(&e.metric).copied().flatten());
    Checked { metric: e.metric.clone(), level: e.level, value, baseline, problem }
}

fn unmet(e: &Expectation, value: f64, baseline: Option<&Figures>) -> Option<String> {
    if !value.is_finite() {
        return Some(format!("it is {value}"));
    }
    if let Some(min) = e.min.filter(|min| value < *min || min.is_nan()) {
        return Some(format!("it is {value}, below {min}"));
    }
    if let Some(max) = e.max.filter(|max| value > *max || max.is_nan()) {
        return Some(format!("it is {value}, above {max}"));
    }
    let most = e.max_change?;
    let Some(baseline) = baseline else {
        return Some("max_change needs a dataset to compare with: give --baseline DATASET".into());
    };
    let Some(before) = baseline.get(&e.metric).copied().flatten() else {
        return Some("the baseline dataset has no such value".into());
    };
    let change = if before == value { 0.0 } else { (value - before).abs() / before.abs() };
    (change > most || change.is_nan()).then(|| {
        format!(
            "it is {value}, was {before} in the baseline: changed by {:.1} %, more than {:.1} %",
            change * 100.0,
            most * 100.0
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expect(metric: &str, min: Option<f64>, max: Option<f64>, max_change: Option<f64>) -> Expectation {
        Expectation { metric: metric.into(), min, max, max_change, level: Level::Error }
    }

    #[test]
    fn what_cannot_be_evaluated_is_a_finding() {
        let figures =
            Figures::from([("a".into(), Some(1.0)), ("b".into(), None), ("counts.rows_out".into(), Some(5.0))]);
        let met = |e: Expectation, baseline: Option<&Figures>| check(&[e], &figures, baseline)[0].problem.is_none();
        assert!(met(expect("a", Some(1.0), Some(1.0), None), None));
        assert!(!met(expect("a", Some(1.1), None, None), None));
        assert!(!met(expect("a", None, Some(0.9), None), None));
        assert!(!met(expect("b", Some(0.0), None, None), None));
        assert!(!met(expect("c", Some(0.0), None, None), None));
        assert!(!met(expect("a", None, None, Some(0.5)), None));
        let other = Figures::from([("a".into(), Some(0.8))]);
        assert!(met(expect("a", None, None, Some(0.26)), Some(&other)));
        assert!(!met(expect("a", None, None, Some(0.24)), Some(&other)));
        assert!(!met(expect("b", None, None, Some(0.24)), Some(&other)));
        let zero = Figures::from([("a".into(), Some(0.0))]);
        assert!(!met(expect("a", None, None, Some(1e9)), Some(&zero)));
        assert!(!met(expect("a", Some(f64::NAN), None, None), None));

        // A rate of pairs, where each batch has one row.
        let rate = |batches: f64| {
            let counts = [("counts.rows_out", 5.0), ("counts.batches", batches), ("same_user_rate", 0.0)];
            let figures: Figures = counts.into_iter().map(|(name, value)| (name.to_owned(), Some(value))).collect();
            check(&[expect("same_user_rate", None, Some(0.1), None)], &figures, None)[0].problem.is_none()
        };
        assert!(rate(3.0));
        assert!(!rate(5.0));
    }
}
