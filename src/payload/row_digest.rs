//! A 128-bit digest of each row's value, whatever its type: equal iff the values are the same, bit for bit.

use arrow::array::{Array, AsArray};
use arrow::datatypes::DataType;
use xxhash_rust::xxh3::xxh3_128;

/// Little-endian XXH3-128.
pub type Digest = [u8; 16];

const NULL: Digest = *b"batchwright null";

/// The digest of each row; `None` for a type that has none (run-end encoded).
pub fn row_digests(array: &dyn Array) -> Option<Vec<Digest>> {
    let mut digests = values(array)?;
    if let Some(nulls) = array.logical_nulls().filter(|n| n.null_count() > 0) {
        digests.iter_mut().zip(nulls.iter()).filter(|(_, valid)| !valid).for_each(|(d, _)| *d = NULL);
    }
    Some(digests)
}

fn of(bytes: &[u8]) -> Digest {
    xxh3_128(bytes).to_le_bytes()
}

fn values(array: &dyn Array) -> Option<Vec<Digest>> {
    let rows = 0..array.len();
    if let Some(bytes) = fixed_width(array) {
        return Some(bytes.iter_rows().map(of).collect());
    }
    Some(match array.data_type() {
        DataType::Null => vec![NULL; array.len()],
        DataType::Boolean => rows.map(|i| of(&[u8::from(array.as_boolean().value(i))])).collect(),
        DataType::Utf8 => rows.map(|i| of(array.as_string::<i32>().value(i).as_bytes())).collect(),
        DataType::LargeUtf8 => rows.map(|i| of(array.as_string::<i64>().value(i).as_bytes())).collect(),
        DataType::Utf8View => rows.map(|i| of(array.as_string_view().value(i).as_bytes())).collect(),
        DataType::Binary => rows.map(|i| of(array.as_binary::<i32>().value(i))).collect(),
        DataType::LargeBinary => rows.map(|i| of(array.as_binary::<i64>().value(i))).collect(),
        DataType::BinaryView => rows.map(|i| of(array.as_binary_view().value(i))).collect(),
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            ranges(list.values().as_ref(), rows.map(|i| (list.offsets()[i] as usize, list.offsets()[i + 1] as usize)))?
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            ranges(list.values().as_ref(), rows.map(|i| (list.offsets()[i] as usize, list.offsets()[i + 1] as usize)))?
        }
        DataType::Map(..) => {
            let map = array.as_map();
            ranges(map.entries(), rows.map(|i| (map.offsets()[i] as usize, map.offsets()[i + 1] as usize)))?
        }
        DataType::FixedSizeList(_, size) => {
            let list = array.as_fixed_size_list();
            let size = *size as usize;
            ranges(list.values().as_ref(), rows.map(|i| (i * size, (i + 1) * size)))?
        }
        DataType::ListView(_) => {
            let list = array.as_list_view::<i32>();
            let range =
                |i: usize| (list.value_offset(i) as usize, (list.value_offset(i) + list.value_size(i)) as usize);
            ranges(list.values().as_ref(), rows.map(range))?
        }
        DataType::LargeListView(_) => {
            let list = array.as_list_view::<i64>();
            let range =
                |i: usize| (list.value_offset(i) as usize, (list.value_offset(i) + list.value_size(i)) as usize);
            ranges(list.values().as_ref(), rows.map(range))?
        }
        DataType::Struct(_) => {
            let children =
                array.as_struct().columns().iter().map(|c| row_digests(c.as_ref())).collect::<Option<Vec<_>>>()?;
            let mut row: Vec<Digest> = Vec::new();
            rows.map(|i| {
                row.clear();
                row.extend(children.iter().map(|c| c[i]));
                of(row.as_flattened())
            })
            .collect()
        }
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let values = row_digests(dictionary.values().as_ref())?;
            if values.is_empty() {
                return Some(vec![NULL; array.len()]);
            }
            dictionary.normalized_keys().into_iter().map(|k| values.get(k).copied().unwrap_or(NULL)).collect()
        }
        _ => return None,
    })
}

/// Lists as ranges of their child's rows. A row with a null among its numbers has another form than one without; which one it
/// has must not depend on other rows.
fn ranges(child: &dyn Array, ranges: impl Iterator<Item = (usize, usize)>) -> Option<Vec<Digest>> {
    let Some(bytes) = fixed_width(child) else {
        let digests = row_digests(child)?;
        return Some(ranges.map(|(start, end)| of(digests[start..end].as_flattened())).collect());
    };
    let nulls = child.nulls().filter(|nulls| nulls.null_count() > 0);
    let has_null =
        |start: usize, end: usize| nulls.is_some_and(|nulls| nulls.slice(start, end - start).null_count() > 0);
    // The columns of a request stand side by side in most logs: to compare is cheaper than to hash.
    let mut last: Option<(&[u8], Digest)> = None;
    let digest = |(start, end): (usize, usize)| {
        let row = bytes.rows(start, end);
        if has_null(start, end) {
            let elements: Vec<Digest> = row_digests(child.slice(start, end - start).as_ref())?;
            return Some(of(&of(elements.as_flattened())));
        }
        let digest = last.filter(|(same, _)| *same == row).map_or_else(|| of(row), |(_, digest)| digest);
        last = Some((row, digest));
        Some(digest)
    };
    ranges.map(digest).collect()
}

/// The bytes of a fixed-width array.
struct Fixed {
    buffer: arrow::buffer::Buffer,
    offset: usize,
    len: usize,
    width: usize,
}

impl Fixed {
    fn rows(&self, start: usize, end: usize) -> &[u8] {
        &self.buffer[(self.offset + start) * self.width..(self.offset + end) * self.width]
    }

    fn iter_rows(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len).map(|i| self.rows(i, i + 1))
    }
}

fn fixed_width(array: &dyn Array) -> Option<Fixed> {
    let width = match array.data_type() {
        DataType::FixedSizeBinary(width) => *width as usize,
        t => t.primitive_width()?,
    };
    let data = array.to_data();
    let buffer = data.buffers().first()?.clone();
    Some(Fixed { buffer, offset: data.offset(), len: data.len(), width })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::*;
    use arrow::datatypes::Int32Type;

    use super::*;

    #[test]
    fn equal_values_have_equal_digests_whatever_their_offsets() {
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
            Some(vec![Some(1), Some(2)]),
            None,
            Some(vec![]),
            Some(vec![Some(1), Some(2)]),
            Some(vec![Some(1), None]),
        ]);
        let all = row_digests(&lists).unwrap();
        assert_eq!(all[0], all[3]);
        assert_eq!(all.iter().collect::<std::collections::HashSet<_>>().len(), 4);
        assert_eq!(row_digests(&lists.slice(2, 3)).unwrap(), all[2..]);
        // Nor does it matter what else the array holds.
        assert_eq!(row_digests(&lists.slice(0, 1)).unwrap(), all[..1]);
        assert_eq!(
            row_digests(&ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1), Some(2)])])).unwrap(),
            all[..1]
        );
    }

    #[test]
    fn the_sign_of_zero_and_the_kind_of_nan_count() {
        let floats = Float64Array::from(vec![0.0, -0.0, f64::NAN, f64::from_bits(f64::NAN.to_bits() | 1), f64::NAN]);
        let d = row_digests(&floats).unwrap();
        assert_ne!(d[0], d[1]);
        assert_ne!(d[2], d[3]);
        assert_eq!(d[2], d[4]);
        let dictionary: DictionaryArray<Int32Type> = vec![Some("a"), None, Some("a")].into_iter().collect();
        let plain: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("a")]));
        assert_eq!(row_digests(&dictionary), row_digests(plain.as_ref()));
    }
}
