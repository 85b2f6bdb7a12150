//! The stage `scatter` in one process: the payload of all examples, held or spilled.

use std::path::Path;
use std::sync::Arc;

use super::items::{ItemOrder, item_parts};
use super::memory::PayloadBytes;
use super::origin::Origin;
use super::output::Output;
use super::parts::{LoadedPart, Parts};
use super::prepare::Prepared;
use super::routes::{Purpose, Routes};
use crate::dataset::Cuts;
use crate::error::Result;
use crate::figures::{Composition, Measuring};
use crate::payload::{Payload, RequestRows, SourceDecoder, Spill};
use crate::progress::Progress;
use crate::spill::MOST_PARTITIONS;

/// What a row's keys take, about, while those of a part are brought from their file.
const KEY_ROW_BYTES: u64 = 64;

/// Parts that the budget holds: a row group may lie in two, a third is being loaded from its pieces, and what is freed is not
/// all given back.
const PARTS_AT_ONCE: u64 = 4;

/// What payload takes, and may take.
pub struct PayloadRoom<'a> {
    pub needs: PayloadBytes,
    pub budget: u64,
    /// Where scratch files go.
    pub spill_dir: &'a Path,
}

/// Parts of the table of items, by places in it.
pub type ItemParts = Vec<std::ops::Range<usize>>;

/// Decodes the payload of all examples and the values of items: in memory if they fit the room, else into scratch
/// files by parts of the output that fit. `measuring` sees all parts' keys.
///
/// # Errors
/// An input that can't be read, a request column that varies, or a scratch file that can't be written.
pub fn scattered<'k>(
    output: &Output<'_>,
    prepared: &'k Prepared,
    items: Option<&ItemOrder<'_>>,
    cuts: &Cuts,
    PayloadRoom { needs, budget, spill_dir }: PayloadRoom<'_>,
    measuring: &mut Measuring<'_>,
    progress: &Progress,
) -> Result<(Parts<'k>, ItemParts)> {
    let Prepared { source, composition, .. } = prepared;
    let Composition { keys, composed, .. } = composition;
    let whole = needs.whole <= budget && !prepared.composition.room.is_on_file();
    // A payload that is held whole leaves the rest of the budget.
    let room = if whole { budget - needs.whole } else { budget };
    let checked = keys.shape().request.is_some() && output.origins().iter().any(|origin| *origin != Origin::Row);
    let requests = checked.then(|| RequestRows::new(keys)).transpose()?;
    let decoder = SourceDecoder::new(source, output.decoded(source, requests.as_ref()), keys, room, progress);
    if whole {
        let shown = items.map(|items| Arc::new(items.rows(0..items.len())));
        let mut values = Payload::default();
        let part = composed.part(keys, 0..composed.head().batches())?;
        measuring.look_at(&part)?;
        let all = LoadedPart::new(part, |part, carriers| {
            let examples = Arc::new(part.view.input_row.to_vec());
            let wanted = output.purposes().into_iter().map(|purpose| match purpose {
                Purpose::Examples => Arc::clone(&examples),
                Purpose::Carriers => Arc::clone(&carriers.rows),
                Purpose::Items => shown.clone().unwrap_or_default(),
            });
            let mut payload = Payload::load(&decoder, &wanted.collect::<Vec<_>>())?;
            values = payload.split_off(output.origins().len());
            Ok(payload)
        })?;
        let one_part = items.map(|items| std::iter::once(0..items.len()).collect());
        return Ok((Parts::whole(keys, composed, all, values), one_part.unwrap_or_default()));
    }
    let of_keys =
        if prepared.composition.room.is_on_file() { KEY_ROW_BYTES * composed.head().rows() as u64 } else { 0 };
    let parts =
        (needs.in_parts + of_keys).div_ceil((budget / PARTS_AT_ONCE).max(1)).clamp(2, MOST_PARTITIONS as u64) as usize;
    let ranges = composed.cut(cuts.parts(parts), parts);
    let of_items = match (items, output.item()) {
        (Some(items), Some(column)) => item_parts(source, column, items.len(), budget / PARTS_AT_ONCE),
        _ => Vec::new(),
    };
    let items = items.map(|items| (items, of_items.as_slice()));
    let routes = Routes::new(prepared, output.purposes(), &ranges, items, |part| measuring.look_at(part))?;
    let files = ranges.len() + of_items.len();
    let types = (output.decoded_types(source), &output.compressed(source)[..]);
    let spill = Spill::write(&decoder, types, files, spill_dir, &routes)?;
    Ok((Parts::spilled(keys, composed, output.origins(), spill, ranges), of_items))
}
