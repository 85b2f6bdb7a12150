//! Builds keys: the tokens of row groups in, [`Keys`] out.

use std::sync::{Arc, Mutex, PoisonError};

use super::chunk::KeyColumns;
use super::codes::{Order, Partitions, Settled, Wanted};
use super::reorder::{ChunkKeys, Joined, LeftOut};
use crate::error::Result;
use crate::keys::{Codes, KeyView, Keys, Labels};
use crate::pipeline::Field;
use crate::spill::Room;

/// The keys that have come.
pub struct KeyBuilder<'a> {
    columns: &'a KeyColumns,
    room: Room,
    joined: Mutex<Joined>,
}

/// All keys that have come.
pub struct Gathered {
    pub keys: Keys,
    /// The room, with what it has decided of them.
    pub room: Room,
    pub left_out: LeftOut,
    /// Bytes that went through a scratch file.
    pub spilled: u64,
}

impl<'a> KeyBuilder<'a> {
    /// For up to `rows` rows, with the pipeline's `seed`; keys are held if all fit the room, which the builder gives back with them.
    ///
    /// # Errors
    /// A scratch file that can't be created.
    pub fn new(columns: &'a KeyColumns, seed: u64, rows: u32, room: Room) -> Result<Self> {
        let room = room.for_rows(u64::from(rows), columns.row_bytes() as u64);
        // Only who is who decides what comes first.
        let order = |(k, _)| if k == 0 { Order::seeded(seed) } else { Order::Tokens };
        let runs = Partitions::new(columns.keys.iter().enumerate().map(order).collect(), &room);
        let joined = Joined::new(runs, columns.time.is_some(), columns.positive, &room)?;
        Ok(KeyBuilder { columns, joined: Mutex::new(joined), room })
    }

    /// Takes a chunk's keys in; called from many threads, for each ordinal once and roughly in their order, as a chunk waits for
    /// those before it.
    ///
    /// # Errors
    /// A scratch file that can't be written.
    pub fn add(&self, ordinal: usize, keys: ChunkKeys) -> Result<()> {
        self.joined.lock().unwrap_or_else(PoisonError::into_inner).add(ordinal, keys)
    }

    /// The keys of all chunks.
    ///
    /// # Errors
    /// A scratch file that can't be read or written, or a column of more than 4 billion values.
    pub fn finish(self) -> Result<Gathered> {
        let mut joined = self.joined.into_inner().unwrap_or_else(PoisonError::into_inner);
        let rows = joined.input_row.len();
        joined.runs.finish()?;
        let (mut codes, mut columns) = (Vec::new(), self.columns.keys.iter().enumerate());
        // One column after the other, so that one column's tokens are held at a time.
        let mut next = |field: &Field, wanted: Wanted| -> Result<(usize, Vec<u128>)> {
            let Some((column, key)) = columns.next() else { return Ok((0, Vec::new())) };
            let Settled { rows, distinct, tokens } =
                joined.runs.settle(column, rows, &key.names, wanted, &self.room)?;
            codes.push((field.clone(), rows));
            Ok((distinct, tokens))
        };
        let (_, identities) = next(&Field::Identity, Wanted::Tokens)?;
        let mut shape = KeyView { identity: Codes::new(Vec::new(), identities), ..KeyView::default() };
        for field in self.columns.fields.clone() {
            let wanted = if field == Field::Item { Wanted::Tokens } else { Wanted::Codes };
            let (distinct, tokens) = next(&field, wanted)?;
            match field {
                Field::Item => shape.item = Some(Codes::new(Vec::new(), tokens)),
                Field::Request => shape.request = Some(Codes::without_tokens(Vec::new(), distinct)),
                Field::Column(name) => shape.columns.push((name, Codes::without_tokens(Vec::new(), distinct))),
                Field::Identity | Field::Label => {}
            }
        }
        if self.columns.label {
            let (_, tokens) = next(&Field::Label, Wanted::Tokens)?;
            // Rows without a label have the code behind all others.
            let text = tokens.iter().map(|token| joined.texts.get(token).cloned()).chain([None]).collect();
            shape.label = Some(Labels { rows: Vec::new().into(), text: Arc::new(text) });
        }
        let (left_out, spilled) = (joined.left_out, joined.runs.filed_bytes());
        let Joined { input_row, time, positive, .. } = joined;
        (shape.time, shape.positive) =
            (time.as_ref().map(|_| Vec::new().into()), positive.as_ref().map(|_| Vec::new().into()));
        let keys = Keys::new(shape, input_row, codes, time, positive);
        Ok(Gathered { spilled: spilled + keys.filed_bytes(), keys, room: self.room, left_out })
    }
}
