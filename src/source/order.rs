//! Ordered dictionaries: their values, whole and in order, whatever a row group or a shard has of them.
//!
//! In a Parquet file the dictionary page holds the order, once a row group. Rows of many row groups meet in the output, so
//! what travels is each row's place in the order, and the dictionary is put back where rows are written.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, DictionaryArray, Int32Array};
use arrow::compute::cast;
use arrow::datatypes::*;
use arrow::error::ArrowError;

use crate::error::{Error, Place, Result};

/// The values of an ordered dictionary, ascending.
#[derive(Debug, Clone)]
pub struct Order {
    values: ArrayRef,
    data_type: DataType,
    /// The place of each value, by its bytes.
    places: HashMap<Vec<u8>, i32>,
}

/// The type in which places travel.
pub const PLACE: DataType = DataType::Int32;

impl Order {
    pub(super) fn new(values: Vec<Vec<u8>>, data_type: &DataType) -> Result<Self, ArrowError> {
        let DataType::Dictionary(_, value) = data_type else {
            return Err(ArrowError::CastError(format!("{data_type} is not a dictionary")));
        };
        let bytes = BinaryArray::from_iter_values(&values);
        let places = (0..).zip(&values).map(|(place, value)| (value.clone(), place)).collect();
        let values = cast(&bytes, value)?;
        Ok(Order { values, data_type: data_type.clone(), places })
    }

    /// The dictionary type.
    pub fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// The places of a dictionary's rows; null for nulls.
    pub(super) fn places(&self, array: &ArrayRef, place: &Place) -> Result<ArrayRef> {
        let Some(dictionary) = array.as_any_dictionary_opt() else {
            return Ok(Arc::new(Int32Array::new_null(array.len())));
        };
        let values = bytes_of(dictionary.values()).map_err(|e| Error::damaged(place.clone(), e))?;
        let known: Vec<Option<i32>> = values.iter().map(|value| self.places.get(value.as_ref()?).copied()).collect();
        let keys = if known.is_empty() { vec![0; array.len()] } else { dictionary.normalized_keys() };
        let mut unknown = false;
        let places: Int32Array = keys
            .into_iter()
            .enumerate()
            .map(|(row, key)| {
                let valid = array.is_valid(row) && values.get(key).is_some_and(Option::is_some);
                let at = known.get(key).copied().flatten();
                unknown |= valid && at.is_none();
                at.filter(|_| valid)
            })
            .collect();
        match unknown {
            true => Err(Error::input(
                place.clone(),
                "a value is not among those of its ordered dictionary, which its writer gave up",
                LOST_ORDER,
            )),
            false => Ok(Arc::new(places)),
        }
    }

    /// The dictionary whose rows have these places.
    ///
    /// # Errors
    /// Places that are none, which is a fault of ours.
    pub fn dictionary(&self, places: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        let DataType::Dictionary(key, _) = &self.data_type else { return Ok(Arc::clone(places)) };
        let keys = cast(places, key)?;
        macro_rules! of {
            ($($t:ident => $k:ty),*) => {
                match **key {
                    $(DataType::$t => Arc::new(DictionaryArray::<$k>::try_new(
                        keys.as_primitive::<$k>().clone(), Arc::clone(&self.values),
                    )?) as ArrayRef,)*
                    _ => return Err(ArrowError::CastError(format!("{key} is not a key"))),
                }
            };
        }
        Ok(of!(
            Int8 => Int8Type, Int16 => Int16Type, Int32 => Int32Type, Int64 => Int64Type,
            UInt8 => UInt8Type, UInt16 => UInt16Type, UInt32 => UInt32Type, UInt64 => UInt64Type
        ))
    }
}

/// Texts and binaries as bytes.
fn bytes_of(values: &ArrayRef) -> Result<Vec<Option<Vec<u8>>>, ArrowError> {
    let bytes = cast(values, &DataType::LargeBinary)?;
    Ok(bytes.as_binary::<i64>().iter().map(|value| value.map(<[u8]>::to_vec)).collect())
}

/// What to do of an order that can't be kept.
pub(super) const LOST_ORDER: &str = "write it as text or as an unordered dictionary, or leave it out with input.drop";
