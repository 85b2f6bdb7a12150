//! Where things lie: paths, as people and other tools write them.

use crate::error::{Error, Result};

/// The path that a location stands for: itself, or what a `file://` URI names.
///
/// # Errors
/// Any other scheme, named by `at`: it would become a folder that is called so.
pub fn local_path(at: &str, location: &str) -> Result<String> {
    let Some((scheme, rest)) = location.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) else {
        return Ok(location.to_owned());
    };
    if !scheme.eq_ignore_ascii_case("file") {
        return Err(Error::pipeline(
            at,
            format!("`{scheme}://` is not read or written here"),
            "copy to a local folder first, or mount the store, and name the path",
        ));
    }
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    match path.starts_with('/') {
        true => Ok(percent_decoded(path)),
        false => Err(Error::pipeline(at, format!("`{location}` names another host"), "write it as file:///path")),
    }
}

fn is_scheme(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic())
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// `%XX` as the byte that it stands for, where the bytes are text then; else as it is. A `%` before anything else is a `%`.
pub fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let hex = |at: usize| bytes.get(at).and_then(|digit| char::from(*digit).to_digit(16));
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_and_schemes_are_told() {
        for (location, path) in [
            ("data/*.parquet", Some("data/*.parquet")),
            ("/data/a=b%20c", Some("/data/a=b%20c")),
            ("file:///data/a%20b", Some("/data/a b")),
            ("FILE://localhost/x", Some("/x")),
            ("file://host/x", None),
            ("s3://bucket/x", None),
            ("abfss://c@a/x", None),
            ("my folder://x", Some("my folder://x")),
        ] {
            assert_eq!(local_path("input.shards", location).ok().as_deref(), path, "{location}");
        }
        assert_eq!(percent_decoded("%C3%A9%zz%"), "é%zz%");
        assert_eq!(percent_decoded("%FF"), "%FF");
    }
}
