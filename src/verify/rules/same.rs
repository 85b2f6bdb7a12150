//! `same:A+B`: rows that agree in all of some roles or columns.

use std::collections::HashMap;

use super::{Known, Rule, Said, set};
use crate::verify::columns::{Named, find, parts_of};
use crate::verify::digest::role_digests;

/// Slots that agree are no negatives of one another.
pub struct Same {
    /// Slots of each class.
    classes: Vec<Vec<usize>>,
    /// The class of each slot.
    of: Vec<usize>,
}

impl Same {
    /// Rows with equal keys agree; a row without a key agrees with none.
    pub fn of(keys: &[Option<u128>]) -> Self {
        let (classes, of) = classes_of(keys);
        Same { classes, of }
    }

    /// The slots that agree with one, itself among them.
    pub fn slots(&self, slot: usize) -> &[usize] {
        &self.classes[self.of[slot]]
    }
}

impl Rule for Same {
    fn say(&self, slot: usize, said: &mut Said) {
        self.slots(slot).iter().for_each(|other| set(&mut said.excluded, *other));
    }
}

/// What each row has of the named roles and columns, put together; `None` where the dataset does not tell.
pub fn keys(text: &str, known: &Known<'_>) -> Option<Vec<Option<u128>>> {
    let mut keys: Vec<Option<u128>> = vec![Some(0); known.view.rows];
    let first_only = |column: &str| {
        known.dataset.setting("requests.layout") == "first"
            && known.dataset.list("requests.columns").iter().any(|c| c == column)
    };
    for part in parts_of(text) {
        let values: Vec<Option<u128>> = match &part {
            Named::Role(role) => match role.as_str() {
                "identity" => known.view.user.iter().map(|u| Some(*u as u64 as u128)).collect(),
                "item" if known.view.item.len() == known.view.rows => {
                    known.view.item.iter().map(|i| Some(*i as u64 as u128)).collect()
                }
                "request" if known.view.request.len() == known.view.rows => {
                    // Null requests agree with none; what of copies is known from their examples.
                    let requests = known.view.request.iter().zip(&known.view.null_request);
                    requests.map(|(request, is_null)| request.filter(|_| !is_null)).collect()
                }
                "label" if known.view.label.len() == known.view.rows => {
                    // Rows without a label are a class of their own.
                    let digest = |l: &Option<String>| Some(xxhash_rust::xxh3::xxh3_128(format!("{l:?}").as_bytes()));
                    known.view.label.iter().map(digest).collect()
                }
                // A role that is not mapped: a column may be called so.
                name => match find(&known.batch.frame, name).filter(|_| known.dataset.columns(name).is_empty()) {
                    Some(values) => role_digests(values.as_materialized_series()),
                    None => return None,
                },
            },
            Named::Column(column) if first_only(column) => return None,
            Named::Column(column) => match find(&known.batch.frame, column) {
                Some(values) => role_digests(values.as_materialized_series()),
                None => return None,
            },
        };
        for (key, value) in keys.iter_mut().zip(values) {
            *key = match (*key, value) {
                (Some(a), Some(b)) => {
                    let mut bytes = a.to_le_bytes().to_vec();
                    bytes.extend(b.to_le_bytes());
                    Some(xxhash_rust::xxh3::xxh3_128(&bytes))
                }
                _ => None,
            };
        }
    }
    Some(keys)
}

/// Classes of equal keys, and the class of each row; a row without a key agrees with none.
fn classes_of(keys: &[Option<u128>]) -> (Vec<Vec<usize>>, Vec<usize>) {
    let mut number: HashMap<u128, usize> = HashMap::new();
    let mut classes: Vec<Vec<usize>> = Vec::new();
    let mut of = Vec::with_capacity(keys.len());
    for (slot, key) in keys.iter().enumerate() {
        let class = match key {
            Some(key) => *number.entry(*key).or_insert(classes.len()),
            None => classes.len(),
        };
        if class == classes.len() {
            classes.push(Vec::new());
        }
        classes[class].push(slot);
        of.push(class);
    }
    (classes, of)
}
