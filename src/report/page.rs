//! The page: figures, distributions, drift, masks, facts.

use serde_json::Value;

use super::chart::{self, Lines};
use super::picture;
use crate::check::escape_xml;
use crate::error::Result;
use crate::reader::{self, Dataset};
use crate::schema;
use crate::stats::{Baseline, hit};

const STYLE: &str = "
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --soft: #59636e; --faint: #d5dae0; --data: #2563b0; --random: #c2570c; --input: #7a3fb0; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171b; --ink: #e4e8ec; --soft: #9aa4af; --faint: #373d45; --data: #6aa8f0; --random: #f09a56; --input: #c195ef; } }
@media print { :root { --paper: #fff; --ink: #000; --soft: #444; --faint: #ccc; --data: #2563b0; --random: #c2570c; --input: #7a3fb0; } figure, tr { break-inside: avoid; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem; max-width: 68rem; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2.5rem 0 .75rem; } p { margin: .25rem 0 .75rem; } .soft, figcaption { color: var(--soft); }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr)); gap: 1.25rem; }
figure { margin: 0; max-width: 34rem; } figure svg { width: 100%; height: auto; display: block; } figcaption { font-size: .9rem; }
.mask { background: var(--paper); border: 1px solid var(--faint); fill: var(--data); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem .3rem 0; text-align: right; border-bottom: 1px solid var(--faint); } th:first-child, td:first-child { text-align: left; }
td.text { text-align: left; overflow-wrap: anywhere; } th { font-weight: 600; color: var(--soft); }
.key span { display: inline-block; width: .8rem; height: .8rem; margin: 0 .35rem 0 1rem; border-radius: 2px; vertical-align: -1px; } .key span:first-child { margin-left: 0; }
";

/// A figure over batches.
struct Shown {
    title: &'static str,
    values: Vec<f64>,
    lines: Lines,
}

/// The whole page as HTML.
///
/// # Errors
/// A dataset whose tables can't be read.
pub fn page(dataset: &Dataset) -> Result<String> {
    let name = dataset.root.file_name().map_or_else(|| "dataset".into(), |n| n.to_string_lossy().into_owned());
    let name = escape_xml(&name);
    let mode = escape_xml(dataset.setting("compose.mode"));
    let count = |c: &str| grouped(dataset.count(c));
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{name} · batchwright</title><style>{STYLE}</style></head><body>\n\
         <h1>{name}</h1><p class=\"soft\">{mode}, {} batches of {}, {} rows of {} identities</p>\n",
        count("batches"),
        dataset.batch_size,
        count("rows_out"),
        count("users"),
    );
    out.push_str("<p class=\"key\"><span style=\"background:var(--data)\"></span>composed<span style=\"background:var(--random)\"></span>random order<span style=\"background:var(--input)\"></span>input order</p>\n");
    out.push_str(&metrics(dataset));
    let shown = shown(dataset)?;
    section(
        &mut out,
        "Distributions over batches",
        shown.iter().map(|s| (s.title.to_owned(), chart::histogram(&s.values, s.lines))),
    );
    section(&mut out, "In reading order", shown.iter().map(|s| (s.title.to_owned(), chart::drift(&s.values, s.lines))));
    out.push_str(&match_curve(dataset)?);
    let last = dataset.count("batches").saturating_sub(1) as usize;
    let mut batches = vec![0, last / 2, last];
    batches.dedup();
    let mut masks = Vec::new();
    for batch in batches {
        masks.push((
            format!("batch {batch}: excluded candidates (across) of each anchor (down)"),
            picture::mask(&reader::look(dataset, batch)?),
        ));
    }
    match masks.iter().any(|(_, svg)| svg.contains("<rect")) {
        true => section(&mut out, "Masks", masks.into_iter()),
        false => {
            out.push_str("<h2>Masks</h2><p>No rule excludes a candidate in the first, middle and last batch.</p>\n")
        }
    }
    out.push_str(&facts(dataset));
    out.push_str("</body></html>\n");
    Ok(out)
}

fn section(out: &mut String, title: &str, figures: impl Iterator<Item = (String, String)>) {
    out.push_str(&format!("<h2>{title}</h2><div class=\"grid\">\n"));
    figures.for_each(|(caption, svg)| {
        out.push_str(&format!("<figure>{svg}<figcaption>{caption}</figcaption></figure>\n"))
    });
    out.push_str("</div>\n");
}

/// The figures of each batch that are plotted, with their baselines.
fn shown(dataset: &Dataset) -> Result<Vec<Shown>> {
    let column = |name: &str| reader::stats_column(dataset, name);
    let rows = column("rows")?;
    let per = |name: &str, by: &dyn Fn(f64, f64) -> f64| -> Result<Vec<f64>> {
        let values = column(name)?;
        Ok(values.iter().zip(&rows).filter_map(|(v, r)| Some(by((*v)?, (*r)?))).collect())
    };
    let pairs = |v: f64, rows: f64| if rows > 1.0 { v / (rows * (rows - 1.0)) } else { 0.0 };
    let baselines = &dataset.recorded.baselines;
    let both = |pick: fn(&Baseline) -> Option<f64>| Lines {
        random: pick(&baselines.random_order),
        input: pick(&baselines.input_order),
    };
    let all = [
        Shown {
            title: "same-user pairs ÷ pairs: false negatives before masking",
            values: per("same_user_pairs", &pairs)?,
            lines: both(|b| b.same_user_rate),
        },
        Shown {
            title: "rows that meet their identity's other class ÷ rows",
            values: per("matched_rows", &|v, rows| v / rows)?,
            lines: both(|b| b.match_rate),
        },
        Shown { title: "identities", values: per("users", &|v, _| v)?, lines: both(|b| b.users_per_batch) },
        Shown {
            title: "valid negatives, mean over rows",
            values: per("excluded_pairs", &|v, rows| rows - 1.0 - v / rows)?,
            lines: Lines::default(),
        },
        Shown {
            title: "rows that use a request's columns",
            values: per("requests", &|v, rows| rows / v.max(1.0))?,
            lines: both(|b| b.request_reuse),
        },
    ];
    Ok(all.into_iter().filter(|s| !s.values.is_empty()).collect())
}

/// P(match) of a random order over batch sizes, against what was measured.
fn match_curve(dataset: &Dataset) -> Result<String> {
    let Some(measured) = dataset.recorded.stats["match_rate"].as_f64() else { return Ok(String::new()) };
    // The closed form for two classes of equal odds: a typical identity's other rows, C(n−1−k, b−1)/C(n−1, b−1).
    let Some(random) = dataset.recorded.baselines.random_order.match_rate else { return Ok(String::new()) };
    let n = dataset.count("rows_out").saturating_sub(dataset.count("copies"));
    let b = dataset.slice() as u64;
    if n < 3 || b < 2 {
        return Ok(String::new());
    }
    // The number of other-class rows k that gives the dataset's own random figure, by bisection.
    let chance = |k: u64, b: u64| hit(n - 1, k, (b - 1).min(n - 1));
    let (mut low, mut high) = (0, n - 1);
    while low < high {
        let middle = low.midpoint(high);
        if chance(middle, b) < random { low = middle + 1 } else { high = middle }
    }
    let mut sizes: Vec<u64> = (1..).map(|k| 1u64 << k).take_while(|s| *s < n && *s <= 1 << 20).collect();
    sizes.push(b);
    sizes.sort_unstable();
    sizes.dedup();
    let points: Vec<(f64, f64)> = sizes.into_iter().map(|s| (s as f64, chance(low, s))).collect();
    let caption = format!(
        "chance that a row meets its identity's other class, by batch size: 1 − C(n−1−k, b−1)/C(n−1, b−1) in random order (line, for an \
         identity with k = {low} such rows, which gives this dataset's own {:.1} % at b = {b}), and as composed (dot, {:.1} %)",
        random * 100.0,
        measured * 100.0
    );
    let mut out = String::new();
    section(&mut out, "P(match)", std::iter::once((caption, chart::curve(&points, (b as f64, measured)))));
    Ok(out)
}

fn metrics(dataset: &Dataset) -> String {
    let stats = &dataset.recorded.stats;
    let baselines = &dataset.recorded.baselines;
    let number = |v: Option<f64>| v.map_or("–".into(), |v| format!("{v:.4}"));
    type Pick = fn(&Baseline) -> Option<f64>;
    let none: Pick = |_| None;
    let rows: [(&str, &Value, Pick); 9] = [
        ("same-user rate", &stats["same_user_rate"], |b| b.same_user_rate),
        ("excluded rate", &stats["excluded_rate"], none),
        ("match rate", &stats["match_rate"], |b| b.match_rate),
        ("identities per batch", &stats["users_per_batch"]["mean"], |b| b.users_per_batch),
        ("most rows of an identity in a batch", &stats["max_rows_per_user"]["max"], none),
        ("valid negatives", &stats["valid_negatives"]["mean"], none),
        ("co-user ratio", &stats["co_user_ratio"], |b| b.co_user_ratio),
        ("request reuse", &stats["request_reuse"], |b| b.request_reuse),
        ("copy rate", &stats["copy_rate"], none),
    ];
    let mut out = String::from(
        "<div class=\"scroll\"><table><tr><th></th><th>composed</th><th>random order</th><th>input order</th></tr>",
    );
    for (name, value, pick) in rows.into_iter().filter(|(_, v, _)| !v.is_null()) {
        let (random, input) = (pick(&baselines.random_order), pick(&baselines.input_order));
        out.push_str(&format!(
            "<tr><td>{name}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            number(value.as_f64()),
            number(random),
            number(input)
        ));
    }
    out + "</table></div>\n"
}

fn facts(dataset: &Dataset) -> String {
    let recorded = &dataset.recorded;
    let mut rows: Vec<(String, String)> = vec![
        ("format".into(), recorded.format.clone()),
        ("tool".into(), recorded.tool.clone()),
        ("run id".into(), recorded.run_id.clone()),
        ("inputs".into(), format!("{} files", recorded.inputs.len())),
        (
            "shards".into(),
            format!(
                "{} files, {} bytes",
                recorded.shards.len(),
                grouped(recorded.shards.iter().map(|s| s.bytes).sum())
            ),
        ),
        ("batches".into(), format!("{}/", schema::BATCHES)),
    ];
    for (name, value) in recorded.counts.as_object().into_iter().flatten() {
        rows.push((name.replace('_', " "), value.as_u64().map_or_else(|| value.to_string(), grouped)));
    }
    for (section, keys) in recorded.pipeline.as_object().into_iter().flatten() {
        for (key, value) in keys.as_object().into_iter().flatten().filter(|(_, v)| !v.is_null()) {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            rows.push((format!("{section}.{key}"), text));
        }
    }
    let rows: String = rows
        .into_iter()
        .map(|(name, value)| {
            format!("<tr><td>{}</td><td class=\"text\">{}</td></tr>", escape_xml(&name), escape_xml(&value))
        })
        .collect();
    format!("<h2>Facts</h2><div class=\"scroll\"><table>{rows}</table></div>\n")
}

/// 1234567 as `1 234 567`, with narrow spaces.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let head = (digits.len() - 1) % 3 + 1;
    let mut out = digits[..head].to_owned();
    for (k, digit) in digits[head..].chars().enumerate() {
        if k % 3 == 0 {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}
