//! Dictionaries of narrow keys: a row group must not have more values than its keys can tell apart.
//!
//! Each row group of the input may have a dictionary of its own, and composition brings their rows together. What is written
//! then would be read by nobody: readers make one dictionary of a row group, with keys of the column's type.

use std::collections::HashSet;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;

use super::row_digest::{Digest, row_digests};
use crate::error::{Error, Place, Result};

/// How many values a dictionary's keys tell apart, if that may be too few.
fn most_values(data_type: &DataType) -> Option<usize> {
    let DataType::Dictionary(key, _) = data_type else { return None };
    match **key {
        DataType::Int8 => Some(1 << 7),
        DataType::UInt8 => Some(1 << 8),
        DataType::Int16 => Some(1 << 15),
        DataType::UInt16 => Some(1 << 16),
        _ => None,
    }
}

/// The type, with wider keys if it is a dictionary whose keys do not tell so many values apart.
pub fn with_keys_for(values: usize, data_type: &DataType) -> DataType {
    match (most_values(data_type), data_type) {
        (Some(most), DataType::Dictionary(_, value)) if values > most => {
            DataType::Dictionary(DataType::Int32.into(), value.clone())
        }
        _ => data_type.clone(),
    }
}

/// The distinct values of a column so far, if its keys are narrow.
pub struct KeyRange {
    column: String,
    /// How many values the keys tell apart.
    most: usize,
    seen: HashSet<Digest>,
}

impl KeyRange {
    /// `None` for types whose keys suffice for any row group.
    pub fn of(column: &str, data_type: &DataType) -> Option<Self> {
        let most = most_values(data_type)?;
        Some(KeyRange { column: column.to_owned(), most, seen: HashSet::new() })
    }

    /// Counts the values of further rows in. Fails if there are too many.
    ///
    /// # Errors
    /// More values than the keys tell apart.
    pub fn add(&mut self, array: &ArrayRef) -> Result<()> {
        let dictionary = array.as_any_dictionary();
        let digests = row_digests(dictionary.values().as_ref()).unwrap_or_default();
        let mut used = vec![false; digests.len()];
        if !used.is_empty() {
            let keys = dictionary.normalized_keys();
            let nulls = array.nulls();
            let valid = keys.iter().enumerate().filter(|(row, _)| nulls.is_none_or(|nulls| nulls.is_valid(*row)));
            valid.for_each(|(_, key)| used[*key] = !dictionary.values().is_null(*key));
        }
        self.seen.extend(digests.into_iter().zip(used).filter(|(_, used)| *used).map(|(digest, _)| digest));
        if self.seen.len() <= self.most {
            return Ok(());
        }
        Err(Error::input(
            Place::column(&self.column),
            format!("it is {}, and a row group of the output has more than {} values", array.data_type(), self.most),
            "write it with 32-bit keys or as plain values, or take a smaller output.row_group_rows",
        ))
    }
}
