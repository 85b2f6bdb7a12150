//! The requests of the examples, for the proof that their columns are constant.

use std::borrow::Cow;
use std::ops::Range;

use crate::error::Result;
use crate::keys::{Key, KeyPlane, Keys};
use crate::payload::{RequestLookup, WantedRows};
use crate::pipeline::Field;

const REQUEST: Key = Key::Code(Field::Request);

impl RequestLookup for Keys {
    fn number(&self) -> usize {
        self.shape().request.as_ref().map_or(0, |request| request.len())
    }

    fn each_piece(&self, each: &mut dyn FnMut(&[u32])) -> Result<()> {
        self.each_piece(&[REQUEST], |_, plane| {
            each(codes(plane));
            Ok(())
        })
    }

    fn within(&self, input_rows: Range<u64>) -> Result<WantedRows<'_>> {
        match self {
            Keys::Held(plane) => {
                let place = |row: u64| plane.input_row.partition_point(|r| u64::from(*r) < row);
                let places = place(input_rows.start)..place(input_rows.end);
                Ok(WantedRows {
                    input_rows: Cow::Borrowed(&plane.input_row[places.clone()]),
                    requests: Cow::Borrowed(&codes(plane)[places]),
                })
            }
            Keys::Filed(filed) => {
                let places = filed.place_of(input_rows.start)?..filed.place_of(input_rows.end)?;
                let plane = filed.read(places, &[Key::InputRow, REQUEST])?;
                let requests = plane.request.map_or_else(Vec::new, |request| request.rows);
                Ok(WantedRows { input_rows: Cow::Owned(plane.input_row), requests: Cow::Owned(requests) })
            }
        }
    }
}

fn codes(plane: &KeyPlane) -> &[u32] {
    plane.request.as_ref().map_or(&[], |request| &request.rows)
}
