//! Placeholders in the strings of a pipeline file: `{NAME}` is what `--param NAME=VALUE` says, `{{` and `}}` are braces.

use std::collections::HashMap;

use toml::{Table, Value};

use super::near::nearest;
use crate::error::{Error, Result};

/// Fills in the placeholders of all strings; gives whether any string changed.
///
/// # Errors
/// A placeholder that no parameter fills, or a parameter that fills none.
pub(super) fn fill(table: &mut Table, params: &[(String, String)]) -> Result<bool> {
    let values: HashMap<&str, &str> = params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    if let Some((name, _)) = params.iter().find(|(name, _)| !is_name(name)) {
        let problem = format!("`{name}` is not a name");
        return Err(Error::pipeline("--param", problem, "use letters, digits and _, with a letter or _ first"));
    }
    if values.len() < params.len() {
        return Err(Error::pipeline("--param", "one name is given twice", "give each parameter once"));
    }
    let (mut changed, mut unused) = (false, values.keys().copied().collect::<Vec<_>>());
    for (key, value) in table.iter_mut() {
        fill_value(key, value, &values, &mut unused, &mut changed)?;
    }
    unused.sort_unstable();
    match unused.first() {
        None => Ok(changed),
        Some(name) => {
            let problem = format!("no string of the pipeline has {{{name}}}");
            Err(Error::pipeline(format!("--param {name}"), problem, "leave it out, or write the placeholder"))
        }
    }
}

/// A value's strings, which lie below `key`. A file's nesting is bounded by its parser.
fn fill_value(
    key: &str,
    value: &mut Value,
    values: &HashMap<&str, &str>,
    unused: &mut Vec<&str>,
    changed: &mut bool,
) -> Result<()> {
    match value {
        Value::String(text) => {
            let filled = filled(key, text, values, unused)?;
            *changed |= filled != *text;
            *text = filled;
            Ok(())
        }
        Value::Array(all) => all.iter_mut().try_for_each(|value| fill_value(key, value, values, unused, changed)),
        Value::Table(table) => table
            .iter_mut()
            .try_for_each(|(own, value)| fill_value(&format!("{key}.{own}"), value, values, unused, changed)),
        _ => Ok(()),
    }
}

fn filled(key: &str, text: &str, values: &HashMap<&str, &str>, unused: &mut Vec<&str>) -> Result<String> {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(behind) = rest.strip_prefix("{{").or_else(|| rest.strip_prefix("}}")) {
            out.push_str(&rest[..1]);
            rest = behind;
            continue;
        }
        let name =
            rest[1..].split_once('}').map(|(name, _)| name).filter(|name| rest.starts_with('{') && is_name(name));
        let Some(name) = name else {
            // A brace that begins no placeholder stays.
            out.push_str(&rest[..1]);
            rest = &rest[1..];
            continue;
        };
        let Some(value) = values.get(name) else {
            let known: Vec<&str> = values.keys().copied().collect();
            let remedy = match nearest(name, known) {
                Some(near) => format!("did you mean {{{near}}}? A brace is written twice"),
                None => format!("give --param {name}=VALUE, or write {{{{{name}}}}} for braces"),
            };
            return Err(Error::pipeline(key, format!("nothing fills {{{name}}}"), remedy));
        };
        out.push_str(value);
        unused.retain(|unused| *unused != name);
        rest = &rest[name.len() + 2..];
    }
    out.push_str(rest);
    Ok(out)
}

fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn placeholders_are_filled_wherever_strings_are() {
        let text = "a.b = [\"log/{DAY}/*\", \"{DAY}{N}\"]\nc = \"d = '{{{DAY}}}' AND e LIKE '{%'\"\nn = 3";
        let mut filled = table(text);
        let params = [("DAY", "2024-01-02"), ("N", "{DAY}")].map(|(name, value)| (name.into(), value.into()));
        assert!(fill(&mut filled, &params).unwrap());
        let expected =
            "a.b = [\"log/2024-01-02/*\", \"2024-01-02{DAY}\"]\nc = \"d = '{2024-01-02}' AND e LIKE '{%'\"\nn = 3";
        assert_eq!(filled, table(expected));
        assert!(!fill(&mut table("a = \"plain\""), &[]).unwrap());
    }

    #[test]
    fn what_is_unknown_or_unused_is_an_error() {
        let fails = |text: &str, params: &[(&str, &str)]| {
            let params: Vec<_> = params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            fill(&mut table(text), &params).unwrap_err().to_string()
        };
        assert!(fails("a.b = \"{DAY}\"", &[]).contains("a.b: nothing fills {DAY}"));
        assert!(fails("a = \"{DAYS}\"", &[("DAY", "1")]).contains("did you mean {DAY}"));
        assert!(fails("a = \"b\"", &[("DAY", "1")]).contains("--param DAY: no string"));
        assert!(fails("a = \"{A}\"", &[("A", "1"), ("A", "2")]).contains("twice"));
        assert!(fails("a = \"b\"", &[("A-B", "1")]).contains("not a name"));
    }
}
