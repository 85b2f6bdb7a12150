//! Tables for people.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use crate::figures::ClassBalance;
use crate::pipeline::Pipeline;
use crate::stats::{Baseline, Baselines, Counts, Metrics};

/// A table without rules, the first column left-aligned, the others right.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if !header.is_empty() {
        table.set_header(header);
    }
    rows.into_iter().for_each(|row| {
        table.add_row(row);
    });
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// 1234567 as `1,234,567`.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let head = (digits.len() - 1) % 3 + 1;
    let mut out = digits[..head].to_owned();
    for group in digits.as_bytes()[head..].chunks(3) {
        out.push(',');
        out.push_str(&String::from_utf8_lossy(group));
    }
    out
}

/// A share as a percentage, a small one with more digits.
pub fn percent(share: f64) -> String {
    match share.abs() * 100.0 {
        0.0 => "0 %".into(),
        p if p < 0.01 => format!("{p:.1e} %"),
        p if p < 1.0 => format!("{p:.3} %"),
        p => format!("{p:.1} %"),
    }
}

/// Where the rows went.
pub fn counts(c: &Counts) -> String {
    let rows: [(&str, u64); 9] = [
        ("rows read", c.rows_in),
        ("  filtered by input.where", c.filtered),
        ("  without identity", c.null_identity),
        ("  duplicates", c.duplicates),
        ("  dropped by composition", c.dropped),
        ("  copies added", c.copies),
        ("rows written", c.rows_out),
        ("identities", c.users),
        ("batches", c.batches),
    ];
    let shown = rows.into_iter().filter(|(name, n)| !name.starts_with(' ') || *n > 0);
    table(&[], shown.map(|(name, n)| vec![name.to_owned(), grouped(n)]))
}

/// The columns of identities that the output does not carry, in a line; nothing where it carries them.
pub fn left_out(p: &Pipeline) -> String {
    match p.keep_raw {
        true => String::new(),
        false => format!("\n\nleft out: {} (identity.keep_raw = true keeps raw identities)", p.identity.join(", ")),
    }
}

/// Classes before and after composition.
pub fn classes(classes: &[ClassBalance]) -> String {
    let name = |c: &ClassBalance| c.label.clone().unwrap_or_else(|| "(no label)".into());
    table(&["class", "before", "after"], classes.iter().map(|c| vec![name(c), percent(c.before), percent(c.after)]))
}

/// The metrics, beside the baselines if there are any.
pub fn metrics(m: &Metrics, baselines: Option<&Baselines>) -> String {
    let share = |s: Option<f64>| s.map_or("–".into(), percent);
    let number = |s: Option<f64>| s.map_or("–".into(), |x| format!("{x:.2}"));
    type Pick = fn(&Baseline) -> Option<f64>;
    let none: Pick = |_| None;
    let rows: Vec<(&str, String, Pick, bool)> = vec![
        ("same-user pairs, before masking", percent(m.same_user_rate), |b| b.same_user_rate, true),
        ("candidates that the anchor's identity knows (sampled)", share(m.false_negative_rate), none, true),
        ("of these, offered by the mask", share(m.unmasked_rate), none, true),
        ("pairs excluded by the mask", percent(m.excluded_rate), none, true),
        ("rows that meet their identity's other class", share(m.match_rate), |b| b.match_rate, true),
        ("identities in a batch", format!("{:.2}", m.users_per_batch.mean), |b| b.users_per_batch, false),
        ("most rows of an identity in a batch", grouped(m.max_rows_per_user.max), none, false),
        ("valid negatives of a row", format!("{:.1}", m.valid_negatives.mean), none, false),
        ("others met, to a random order's", number(m.co_user_ratio), |b| b.co_user_ratio, false),
        ("rows sharing a request's columns", number(m.request_reuse), |b| b.request_reuse, false),
        ("batches filled", percent(m.batch_fill), none, true),
        ("rows of the identity that has most", percent(m.largest_identity), none, true),
    ];
    let cell = |value: Option<f64>, is_share: bool| if is_share { share(value) } else { number(value) };
    let rows = rows.into_iter().filter(|(_, value, ..)| value != "–").map(|(name, value, pick, is_share)| {
        let mut row = vec![name.to_owned(), value];
        if let Some(b) = baselines {
            row.extend([cell(pick(&b.random_order), is_share), cell(pick(&b.input_order), is_share)]);
        }
        row
    });
    let header: &[&str] = if baselines.is_some() { &["", "composed", "random order", "input order"] } else { &[] };
    table(header, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(["7", "1,234", "12,345,678"], [grouped(7), grouped(1234), grouped(12_345_678)].map(|s| s));
    }
}
