//! Reads a pipeline file and applies `--set`: errors name the line, the key, and the nearest right one.

use std::path::Path;

use toml::{Table, Value};

use super::file::PipelineFile;
use super::near::nearest;
use super::params;
use super::resolve::{Pipeline, resolve};
use crate::error::{Error, Result};
use crate::store;

/// Reads `path`, applies `overrides` (dotted key, value as TOML or a bare word) in order, and resolves.
///
/// # Errors
/// A file that can't be read, an unknown key, or a value that does not fit.
pub fn load(path: &Path, overrides: &[(String, String)]) -> Result<Pipeline> {
    load_with(path, overrides, &[])
}

/// As [`load`], with the values of placeholders.
///
/// # Errors
/// As [`load`], a placeholder that nothing fills, or a parameter that fills none.
pub fn load_with(path: &Path, overrides: &[(String, String)], params: &[(String, String)]) -> Result<Pipeline> {
    let text = store::read_to_string(path)?;
    let name = path.display().to_string();
    let mut table: Table = toml::from_str(&text).map_err(|e| describe(&name, &text, &e))?;
    let wrong = |table: &Table| table.clone().try_into::<PipelineFile>().err().map(|e| e.message().to_owned());
    // What is wrong after each override.
    let mut after = Vec::with_capacity(overrides.len());
    for (key, value) in overrides {
        set(&mut table, key, value)?;
        after.push((key, wrong(&table)));
    }
    let is_filled = params::fill(&mut table, params)?;
    let file: PipelineFile = if overrides.is_empty() && !is_filled {
        toml::from_str(&text).map_err(|e| describe(&name, &text, &e))?
    } else {
        table.try_into().map_err(|merged| match toml::from_str::<PipelineFile>(&text) {
            Err(typed) if typed.message() == toml::de::Error::message(&merged) => describe(&name, &text, &typed),
            _ => {
                let culprit = after.iter().find(|(_, wrong)| wrong.as_deref() == Some(merged.message()));
                let at = culprit.map_or_else(|| format!("{name} with --set"), |(key, _)| format!("--set {key}"));
                describe(&at, "", &merged)
            }
        })?
    };
    resolve(file)
}

fn set(table: &mut Table, key: &str, value: &str) -> Result<()> {
    let bad = |problem: &str| {
        Error::pipeline(
            format!("--set {key}"),
            problem,
            "write it as SECTION.KEY=VALUE, such as --set compose.batch_size=1024",
        )
    };
    let parts: Vec<&str> = key.split('.').map(str::trim).collect();
    let Some((last, sections)) = parts.split_last() else { return Err(bad("there is no key")) };
    if parts.iter().any(|p| p.is_empty()) || sections.is_empty() {
        return Err(bad("the key is not a section and a name"));
    }
    let parsed = toml::from_str::<Table>(&format!("v = {value}")).ok().and_then(|mut t| t.remove("v"));
    let value = parsed.unwrap_or_else(|| Value::String(value.to_owned()));
    let mut at = table;
    for section in sections {
        at = at
            .entry(*section)
            .or_insert_with(|| Value::Table(Table::new()))
            .as_table_mut()
            .ok_or_else(|| bad(&format!("`{section}` is not a section")))?;
    }
    at.insert((*last).to_owned(), value);
    Ok(())
}

fn describe(name: &str, text: &str, error: &toml::de::Error) -> Error {
    let at = match error.span() {
        Some(span) if !text.is_empty() => {
            let line = text.get(..span.start).unwrap_or(text).matches('\n').count() + 1;
            format!("{name}, line {line}")
        }
        _ => name.to_owned(),
    };
    let message = error.message();
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match (message.starts_with("unknown field"), quoted.split_first()) {
        (true, Some((wrong, known))) => {
            let remedy = match nearest(wrong, known.iter().copied()) {
                Some(key) => format!("did you mean `{key}`?"),
                None => format!("known here: {}", known.join(", ")),
            };
            Error::pipeline(at, format!("unknown key `{wrong}`"), remedy)
        }
        _ if message.starts_with("missing field") => {
            let key = quoted.first().copied().unwrap_or_default();
            Error::pipeline(at, format!("`{key}` is required"), format!("add it, or set it with --set SECTION.{key}=…"))
        }
        _ => Error::pipeline(at, message, "see `batchwright schema` for the keys and their types"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_value_is_toml_and_a_bare_word_is_a_string() {
        let mut table = Table::new();
        set(&mut table, "compose.batch_size", "1024").unwrap();
        set(&mut table, "compose.mode", "request_packed").unwrap();
        set(&mut table, "compose.group.classes", "{ a = 1 }").unwrap();
        set(&mut table, "input.where", "x > 3").unwrap();
        let compose = table["compose"].as_table().unwrap();
        assert_eq!(compose["batch_size"].as_integer(), Some(1024));
        assert_eq!(compose["mode"].as_str(), Some("request_packed"));
        assert_eq!(compose["group"]["classes"]["a"].as_integer(), Some(1));
        assert_eq!(table["input"]["where"].as_str(), Some("x > 3"));
        assert!(set(&mut table, "seed", "1").is_err());
    }
}
