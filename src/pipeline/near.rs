//! The name that was meant.

/// The candidate that a person most likely meant, if any is near.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = wrong.to_lowercase();
    known
        .into_iter()
        .map(|k| (strsim::jaro_winkler(&lower, &k.to_lowercase()), k))
        .filter(|(score, _)| *score > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, k)| k)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_named_and_nonsense_is_not() {
        assert_eq!(nearest("batchsize", ["mode", "batch_size", "seed"]), Some("batch_size"));
        assert_eq!(nearest("zzz", ["mode", "batch_size"]), None);
    }
}
