//! The pipeline file, as text with its reasons.

use std::fmt::Write;

use super::columns::Column;
use super::roles::{Guess, Roles};
use crate::source::Source;

/// Batches that a small log should have at least.
const BATCHES: u64 = 20;
const LARGEST_BATCH: u64 = 4096;
const SMALLEST_BATCH: u64 = 32;

/// What classes are called where an example is what it pretends to be.
const REAL: [&str; 6] = ["real", "bonafide", "bona-fide", "genuine", "authentic", "original"];

/// Numbers that are instants of this century begin here, with their unit.
const INSTANTS: [(i64, &str); 4] =
    [(946_684_800_000_000_000, "ns"), (946_684_800_000_000, "us"), (946_684_800_000, "ms"), (946_684_800, "s")];

pub fn text(inputs: &[String], source: &Source, columns: &[Column], roles: &Roles) -> String {
    let mut out = String::new();
    let mut line = |text: &str| {
        out.push_str(text);
        out.push('\n');
    };
    line(
        "# A draft: roles are guessed, and each guess says why. Correct what is wrong, then look at `batchwright plan`.",
    );
    line("");
    line("[input]");
    let shards: Vec<String> = inputs.iter().map(|input| quoted(input)).collect();
    line(&format!("shards = [{}]", shards.join(", ")));
    line(&commented("# where = \"…\"", "SQL: rows for which it is not true are left out"));
    line("");
    line("[columns]");
    let mut role = |name: &str, guess: &Guess, what: &str| {
        line(&format!("# {what}. {}", reason(guess, columns)));
        line(&format!("{name} = {}", quoted(&columns[guess.column].name)));
    };
    role("identity", &roles.identity, "Whose rows are not negatives of one another");
    let rest = [
        ("request", &roles.request, "Rows that were logged together"),
        ("item", &roles.item, "The positive of a row, a candidate negative of the others"),
        ("label", &roles.label, "The class of a row"),
        ("time", &roles.time, "What orders rows"),
    ];
    for (name, guess, what) in &rest {
        if let Some(guess) = guess {
            role(name, guess, what);
        }
    }
    if let Some(unit) = roles.time.as_ref().and_then(|time| unit(&columns[time.column])) {
        line(&commented(&format!("time_unit = \"{unit}\""), "by the size of its numbers"));
    }
    for (name, guess, what) in &rest {
        if guess.is_none() {
            line(&commented(&format!("# {name} = \"…\""), &format!("{}; no column suggests itself", lower(what))));
        }
    }
    line("");
    line("[compose]");
    let classes = classes(columns, roles);
    match &classes {
        Some(_) => {
            line(&commented("mode = \"identity_grouped\"", "real and other examples of one identity side by side"));
        }
        None => line(&commented("mode = \"user_spread\"", "rows of one identity as far apart as they can be")),
    }
    let of_groups = classes.as_ref().map_or(1, |(_, others)| 1 + others.len() as u64);
    let size = batch_size(u64::from(source.rows), of_groups);
    let what = format!("the global batch, over all ranks; there are {} rows", source.rows);
    line(&commented(&format!("batch_size = {size}"), &what));
    if roles.time.is_some() {
        line(&commented("# window = \"1 day\"", "rows mix only within it"));
    }
    if let Some((real, others)) = &classes {
        line("");
        line("[compose.group]");
        let others: Vec<String> = others.iter().map(|class| format!("{} = 1", quoted(class))).collect();
        let classes = format!("classes = {{ {} = 1, {} }}", quoted(real), others.join(", "));
        line(&commented(&classes, "rows of each class in a group"));
    }
    line("");
    line("[mask]");
    match (&classes, &roles.positive, roles.item.is_some()) {
        (Some(_), ..) => line(&commented("# rules = [\"same:label\"]", "none by default: losses over groups differ")),
        (None, Some(positive), true) => {
            line("rules = [\"same:identity\", \"known_positive\"]");
            line(&format!("# Rows that the user only saw stay good negatives. {}", reason(positive, columns)));
            line(&format!("positive = {}", quoted(&identifier(&columns[positive.column].name))));
        }
        (None, _, true) => {
            line("rules = [\"same:identity\", \"same:item\"]");
            let rules = "# rules = [\"same:identity\", \"known_positive\"]";
            line(&commented(rules, "also what the identity likes anywhere in the input"));
            line(&commented("# positive = \"…\"", "SQL: which rows are positives; all by default"));
        }
        (None, _, false) => line("rules = [\"same:identity\"]"),
    }
    line("");
    line("[output]");
    line("path = \"out/dataset\"");
    out
}

/// Why this column, and which was second.
fn reason(guess: &Guess, columns: &[Column]) -> String {
    let column = &columns[guess.column];
    let mut text = if guess.by_name { "By its name".to_owned() } else { "By its values, which come again".to_owned() };
    let _ = write!(text, "; {} distinct values in {} rows", column.distinct, column.rows);
    if column.repeated * 4 > column.rows {
        let _ = write!(text, ", {} % of them that of the row before", column.repeated * 100 / column.rows.max(1));
    }
    if column.nulls > 0 {
        let _ = write!(text, ", {} nulls", column.nulls);
    }
    if let Some(second) = guess.second {
        let _ = write!(text, "; second: {}", one_line(&columns[second].name));
    }
    text
}

/// The unit of times that are numbers, if their size tells.
fn unit(column: &Column) -> Option<&'static str> {
    let largest = column.largest.filter(|_| !column.is_time)?;
    INSTANTS.iter().find(|(least, _)| largest >= *least).map(|(_, unit)| *unit)
}

/// The class of real examples, and the others, where labels say so.
fn classes(columns: &[Column], roles: &Roles) -> Option<(String, Vec<String>)> {
    let texts = &columns[roles.label.as_ref()?.column].texts;
    let real = texts.iter().find(|text| REAL.contains(&text.to_lowercase().as_str()))?;
    Some((real.clone(), texts.iter().filter(|text| *text != real).cloned().collect()))
}

/// A power of two such that there are some batches, less what groups of so many rows leave over.
fn batch_size(rows: u64, of_groups: u64) -> u64 {
    let most = 1u64 << (rows / BATCHES).clamp(SMALLEST_BATCH, LARGEST_BATCH).ilog2();
    most - most % of_groups
}

/// A setting and what it is for, comments in a column.
fn commented(setting: &str, comment: &str) -> String {
    format!("{setting:<34} # {comment}")
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A name in SQL.
fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn lower(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// A comment ends where its line does.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
