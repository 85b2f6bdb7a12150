//! Masks as lists of excluded slots: one list for all rows that share a mask, written out a piece at a time.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, DictionaryArray, Int32Array, ListArray, PrimitiveArray, UInt32Array};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{Int32Type, UInt32Type};
use arrow::error::ArrowError;

use crate::classes::Classes;
use crate::schema::excluded_element;

/// Slots that are written out at a time. All lists of a batch may have 2³¹.
const AT_A_TIME: usize = 1 << 20;

/// Ascending slots, a list for each kind of row, with the slots of these rows themselves.
#[derive(Default)]
pub struct SlotLists {
    slots: Vec<i32>,
    ends: Vec<usize>,
}

impl SlotLists {
    pub fn push(&mut self, slots: impl Iterator<Item = u32>) {
        self.slots.extend(slots.map(|slot| slot as i32));
        self.ends.push(self.slots.len());
    }

    /// A dictionary of the lists, that of its kind on each row.
    ///
    /// # Errors
    /// More slots than 2³¹−1.
    pub fn dictionary(self, kinds: &Classes) -> Result<ArrayRef, ArrowError> {
        let end = |end: usize| i32::try_from(end).map_err(|_| ArrowError::OffsetOverflowError(end));
        let ends = std::iter::once(Ok(0)).chain(self.ends.into_iter().map(end)).collect::<Result<Vec<i32>, _>>()?;
        let slots = Arc::new(Int32Array::from(self.slots));
        let lists = ListArray::try_new(excluded_element(), OffsetBuffer::new(ends.into()), slots, None)?;
        dictionary(kinds, Arc::new(lists))
    }
}

/// The rows of some slots, out of a dictionary of lists: each without its own slot, as arrays of bounded size.
pub fn written_out(lists: ArrayRef, slots: Range<usize>) -> impl Iterator<Item = ArrayRef> {
    let mut next = slots.start;
    std::iter::from_fn(move || {
        let dictionary = lists.as_dictionary::<UInt32Type>();
        let values = dictionary.values().as_list::<i32>();
        let (mut ends, mut out) = (vec![0], Vec::new());
        while next < slots.end && (ends.len() == 1 || out.len() < AT_A_TIME) {
            let list = values.value(dictionary.keys().value(next) as usize);
            let own = next as i32;
            out.extend(list.as_primitive::<Int32Type>().values().iter().copied().filter(|slot| *slot != own));
            ends.push(out.len() as i32);
            next += 1;
        }
        // Ends ascend from 0 to the number of slots, so this can't fail.
        let array = |ends: Vec<i32>| {
            ListArray::new(excluded_element(), OffsetBuffer::new(ends.into()), Arc::new(Int32Array::from(out)), None)
        };
        (ends.len() > 1).then(|| Arc::new(array(ends)) as ArrayRef)
    })
}

/// A column of values, that of a class on each of its slots.
pub(super) fn dictionary(classes: &Classes, values: ArrayRef) -> std::result::Result<ArrayRef, ArrowError> {
    let keys: PrimitiveArray<UInt32Type> = UInt32Array::from(classes.of.clone());
    Ok(Arc::new(DictionaryArray::try_new(keys, values)?))
}
