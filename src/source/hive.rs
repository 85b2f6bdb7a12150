//! `key=value` folders: names and values, percent-decoded.

use std::path::{Component, Path};

use crate::pipeline::percent_decoded;

/// Value that stands for null in a `key=value` folder.
pub const HIVE_NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// The `key=value` folders of a path, outermost first.
pub fn hive_values(folder: &Path) -> Vec<(String, String)> {
    let folders = folder.components().filter_map(|c| match c {
        Component::Normal(name) => hive_value(name.to_str()?),
        _ => None,
    });
    folders.collect()
}

/// What a folder of this name stands for, if it is a `key=value` folder.
pub fn hive_value(name: &str) -> Option<(String, String)> {
    let (key, value) = name.split_once('=')?;
    Some((percent_decoded(key), percent_decoded(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_decoded() {
        let path = Path::new("/data/user%20id=ann%20lee%2Fjr/ds=2024-01-01/50%=100%25/plain");
        let own = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        assert_eq!(hive_values(path), [own("user id", "ann lee/jr"), own("ds", "2024-01-01"), own("50%", "100%")]);
    }
}
