//! Keys as the decoder asks them: which rows are examples, and of which request.

use std::ops::Range;

use super::constancy::{Examples, WantedRows};
use crate::error::Result;
use crate::keys::{Key, Keys};
use crate::pipeline::Field;

const REQUEST: Key = Key::Code(Field::Request);

impl Examples for Keys {
    fn number(&self) -> usize {
        self.shape().request.as_ref().map_or(0, |request| request.len())
    }

    fn each_piece(&self, each: &mut (dyn FnMut(&[u32]) + Send)) -> Result<()> {
        self.each_piece(&[REQUEST], |_, view| {
            each(view.codes(&Field::Request).unwrap_or_default());
            Ok(())
        })
    }

    fn within(&self, input_rows: Range<u64>) -> Result<WantedRows<'_>> {
        let places = self.place_of(input_rows.start)?..self.place_of(input_rows.end)?;
        let view = self.view(places, &[Key::InputRow, REQUEST])?;
        Ok(WantedRows {
            input_rows: view.input_row,
            requests: view.request.map_or_else(Default::default, |codes| codes.rows),
        })
    }
}
