//! Which column plays which role, as names and values suggest.

use super::columns::Column;
use crate::error::{Error, Place, Result};

/// Words of names that say a role, the telling ones first.
struct Words {
    strong: &'static [&'static str],
    weak: &'static [&'static str],
}

const IDENTITY: Words = Words {
    strong: &[
        "user",
        "uid",
        "member",
        "customer",
        "household",
        "visitor",
        "person",
        "people",
        "speaker",
        "account",
        "profile",
        "player",
        "viewer",
        "subject",
        "identity",
        "client",
        "buyer",
        "patient",
        "actor",
    ],
    weak: &["session", "device", "cookie", "query", "author", "store", "shop", "face"],
};
const REQUEST: Words = Words {
    strong: &["request", "req", "impression", "basket", "order", "slate", "auction", "pageview", "search", "cart"],
    weak: &["transaction", "visit", "trip", "session", "query", "page"],
};
const ITEM: Words = Words {
    strong: &[
        "item",
        "iid",
        "product",
        "sku",
        "aid",
        "asin",
        "article",
        "ad",
        "video",
        "clip",
        "utt",
        "utterance",
        "track",
        "song",
        "movie",
        "content",
        "post",
        "pin",
        "document",
        "doc",
        "url",
        "listing",
        "creative",
        "book",
        "news",
    ],
    weak: &["file", "path", "image", "audio", "title", "page"],
};
const LABEL: Words = Words { strong: &["label", "class", "target", "verdict"], weak: &["kind", "fake", "spoof"] };
const TIME: Words = Words {
    strong: &["ts", "time", "timestamp", "datetime", "date", "epoch"],
    weak: &["at", "day", "week", "hour", "month", "when", "created"],
};
const POSITIVE: Words = Words {
    strong: &["clicked", "click", "liked", "purchased", "bought", "engaged", "converted", "watched", "played"],
    weak: &["positive", "like", "purchase", "engagement", "conversion"],
};

/// A guess: the column by its place, why, and what was second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guess {
    pub column: usize,
    pub by_name: bool,
    pub second: Option<usize>,
}

/// Guesses by role; `None` where no column suggests itself.
pub struct Roles {
    pub identity: Guess,
    pub request: Option<Guess>,
    pub item: Option<Guess>,
    pub label: Option<Guess>,
    pub time: Option<Guess>,
    /// A boolean that tells positives.
    pub positive: Option<Guess>,
}

/// Guesses the roles.
///
/// # Errors
/// No column repeats, so none could be an identity.
pub fn guess(columns: &[Column]) -> Result<Roles> {
    let mut free: Vec<usize> = (0..columns.len()).collect();
    let mut pick = |score: &dyn Fn(&Column) -> u32| {
        let mut scored: Vec<(u32, usize)> = free.iter().map(|k| (score(&columns[*k]), *k)).collect();
        scored.retain(|(score, _)| *score > 0);
        // The first in the input wins among equals.
        scored.sort_by_key(|(score, k)| (std::cmp::Reverse(*score), *k));
        let (score, column) = *scored.first()?;
        free.retain(|k| *k != column);
        Some(Guess { column, by_name: score >= WEAK, second: scored.get(1).map(|(_, k)| *k) })
    };
    let time = pick(&|c| match (c.is_time, named(c, &TIME)) {
        (true, name) => STRONG + name,
        (false, name) if c.is_number => name,
        _ => 0,
    });
    let positive = pick(&|c| if c.is_truth { named(c, &POSITIVE) } else { 0 });
    let label = pick(&|c| if is_class(c) { named(c, &LABEL) } else { 0 });
    // Whoever it is comes again.
    let identity = pick(&|c| if is_id(c) && c.distinct < c.rows { named(c, &IDENTITY) } else { 0 })
        .or_else(|| pick(&|c| u32::from(is_id(c) && (2..c.rows).contains(&c.distinct))));
    let Some(identity) = identity else {
        return Err(Error::input(
            Place::default(),
            "no column could be an identity: none has values that come again",
            "write columns.identity yourself",
        ));
    };
    let request = pick(&|c| if is_id(c) && c.distinct < c.rows { named(c, &REQUEST) } else { 0 });
    let item = pick(&|c| if is_id(c) { named(c, &ITEM) } else { 0 });
    Ok(Roles { identity, request, item, label, time, positive })
}

const STRONG: u32 = 20;
const WEAK: u32 = 10;

/// How much a name says of a role.
fn named(column: &Column, words: &Words) -> u32 {
    let own = words_of(&column.name);
    let has = |all: &[&str]| own.iter().any(|word| all.contains(&word.as_str()));
    // `user_id` says more than `user_age`.
    let is_id = own.last().is_some_and(|word| matches!(word.as_str(), "id" | "ids" | "key" | "token"));
    let plain = own.len() == 1 || is_id;
    match (has(words.strong), has(words.weak)) {
        (true, _) => STRONG + u32::from(plain),
        (false, true) => WEAK + u32::from(plain),
        _ => 0,
    }
}

/// The words of a name: `userId`, `user_id` and `user.id` have the same.
fn words_of(name: &str) -> Vec<String> {
    let (mut words, mut word, mut before) = (Vec::new(), String::new(), ' ');
    for c in name.chars() {
        let begins = c.is_uppercase() && before.is_lowercase();
        if (begins || !c.is_alphanumeric()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Whether its values could name things.
fn is_id(column: &Column) -> bool {
    !column.is_time && !column.is_truth && column.distinct >= 2
}

/// Whether its values could be classes.
fn is_class(column: &Column) -> bool {
    !column.is_time && (2..=20).contains(&column.distinct)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, distinct: usize) -> Column {
        let name = name.to_owned();
        let (is_number, is_truth, is_time) = (false, distinct == 2, false);
        Column {
            name,
            is_number,
            is_truth,
            is_time,
            rows: 1000,
            distinct,
            repeated: 0,
            nulls: 0,
            texts: Vec::new(),
            largest: None,
        }
    }

    fn guessed(columns: &[Column]) -> [Option<&str>; 4] {
        let roles = guess(columns).unwrap();
        let name = |guess: Option<&Guess>| guess.map(|guess| columns[guess.column].name.as_str());
        [
            name(Some(&roles.identity)),
            name(roles.request.as_ref()),
            name(roles.item.as_ref()),
            name(roles.label.as_ref()),
        ]
    }

    #[test]
    fn names_are_taken_apart_into_words() {
        assert_eq!(words_of("userId"), ["user", "id"]);
        assert_eq!(words_of("user_id"), ["user", "id"]);
        assert_eq!(words_of("USER.ID"), ["user", "id"]);
        assert_eq!(words_of("ID"), ["id"]);
    }

    #[test]
    fn roles_are_guessed_by_name_and_only_where_values_allow() {
        let log = [
            column("rid", 1000),
            column("user_age", 60),
            column("userId", 90),
            column("requestId", 400),
            column("sku", 500),
        ];
        assert_eq!(guessed(&log), [Some("userId"), Some("requestId"), Some("sku"), None]);
        // An identity comes again, a class has few values.
        let clips = [
            column("person", 1000),
            column("speaker", 40),
            column("utt", 1000),
            column("label", 500),
            column("class", 3),
        ];
        assert_eq!(guessed(&clips), [Some("speaker"), None, Some("utt"), Some("class")]);
        let shops = [column("store_id", 50), column("product_id", 900)];
        assert_eq!(guessed(&shops), [Some("store_id"), None, Some("product_id"), None]);
        let unnamed = [column("a", 1000), column("b", 30)];
        assert_eq!(guessed(&unnamed), [Some("b"), None, None, None]);
        assert!(guess(&[column("a", 1000)]).is_err());
    }
}
