//! The side table of positives, between `compose` and `write`: one for all parts, read a stretch at a time.

use std::path::Path;

use arrow::datatypes::UInt32Type;

use super::bundle::{self, Bundle};
use super::part::PartValues;
use crate::error::Result;
use crate::keys::{Codes, KeyView};
use crate::negatives::Positives;

/// Identities of a stretch.
const STRETCH: usize = 1 << 16;

/// Writes the positive items of all identities, by code.
///
/// # Errors
/// A file that can't be written.
pub fn write(path: &Path, positives: &Positives, identities: usize) -> Result<()> {
    let stretch = |start: usize| {
        let codes = start..identities.min(start + STRETCH);
        let lists = || codes.clone().map(|code| positives.of(code as u32));
        Ok(Bundle::default()
            .numbers::<UInt32Type>("number", lists().map(|items| items.len() as u32).collect())
            .numbers::<UInt32Type>("item", lists().flatten().copied().collect()))
    };
    bundle::write(path, (0..identities).step_by(STRETCH).map(stretch))
}

/// What a part needs of the table, in its own codes: positives of its identities, as far as it has their items.
///
/// # Errors
/// A file that can't be read.
pub fn read(path: &Path, part: &PartValues) -> Result<Positives> {
    let (mut rows, mut items) = (Vec::new(), Vec::new());
    let mut wanted = part.identities.iter().zip(0u32..).peekable();
    let mut first = 0;
    for stretch in bundle::read(path)? {
        let stretch = stretch?;
        let (numbers, all) = (stretch.get::<UInt32Type>("number")?, stretch.get::<UInt32Type>("item")?);
        let (mut code, mut start) = (first, 0);
        for number in numbers {
            let end = start + number as usize;
            if let Some((_, own)) = wanted.next_if(|(identity, _)| **identity == code) {
                let list = all.get(start..end).ok_or_else(|| stretch.damaged("a list is cut short"))?;
                let known = list.iter().filter_map(|item| part.items.binary_search(item).ok());
                items.extend(known.map(|item| item as u32));
                rows.resize(items.len(), own);
            }
            (code, start) = (code + 1, end);
        }
        first = code;
    }
    // As rows of keys, from which positives are made.
    let tokens = |codes: &Option<Codes<'_>>| codes.as_ref().map_or(0, Codes::len);
    let pairs = KeyView {
        identity: Codes::without_tokens(rows, part.view.identity.len()),
        item: Some(Codes::without_tokens(items, tokens(&part.view.item))),
        ..KeyView::default()
    };
    Ok(Positives::new(&pairs))
}
