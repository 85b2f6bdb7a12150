//! Which wanted row each row of the output is.

use std::ops::Range;

use super::origin::Origin;
use super::parts::LoadedPart;
use crate::classes::Classes;
use crate::payload::WantedRow;
use crate::pipeline::{Layout, Pipeline};

/// For each row of some batches, or of a rank's slices of them, in order: the wanted row that brings its values.
pub struct RowSources {
    every: Vec<Option<WantedRow>>,
    /// Rows for requests' columns, where there are any.
    carriers: Vec<Option<WantedRow>>,
    firsts: Vec<Option<WantedRow>>,
}

impl RowSources {
    /// `batches` are the dataset's, of this part; `slice` gives a batch's slots.
    pub fn new(
        p: &Pipeline,
        part: &LoadedPart<'_>,
        batches: Range<usize>,
        slice: impl Fn(&[u32]) -> Range<usize>,
    ) -> Self {
        let (plane, plan, carriers) = (&part.keys.view, &part.keys.plan, &part.carriers);
        let mut sources = RowSources { every: Vec::new(), carriers: Vec::new(), firsts: Vec::new() };
        let first_only = p.layout == Layout::First;
        for b in batches {
            let batch = plan.batch(b);
            let rows = &batch[slice(batch)];
            sources.every.extend(
                rows.iter().map(|example| {
                    Some(WantedRow { ordinal: *example, input_row: plane.input_row[*example as usize] })
                }),
            );
            let Some(request) = plane.request.as_ref().filter(|_| !p.request_columns.is_empty()) else {
                continue;
            };
            let requests: Vec<u32> = rows.iter().map(|example| request.rows[*example as usize]).collect();
            let carrier = |request: &u32| {
                let ordinal = carriers.of[*request as usize];
                WantedRow { ordinal, input_row: carriers.rows[ordinal as usize] }
            };
            match first_only {
                true => sources.firsts.extend(firsts(&requests).zip(&requests).map(|(f, r)| f.then(|| carrier(r)))),
                false => sources.carriers.extend(requests.iter().map(|r| Some(carrier(r)))),
            }
        }
        sources
    }

    pub fn of(&self, origin: Origin) -> &[Option<WantedRow>] {
        match origin {
            Origin::Row => &self.every,
            Origin::Request => &self.carriers,
            Origin::RequestFirst => &self.firsts,
        }
    }
}

/// Whether each slot is the first of its request.
fn firsts(requests: &[u32]) -> impl Iterator<Item = bool> {
    let classes = Classes::new(requests.iter().map(|request| u64::from(*request)));
    (0..requests.len()).map(move |slot| classes.members(classes.of[slot])[0] as usize == slot)
}
