//! Encodes a column of an ordered dictionary: its values whole and in order, also those that no row has.
//!
//! The general writer numbers values as they come, so that a file tells nothing of their order. Here the dictionary page is
//! the dictionary, and data pages hold its keys; both as they are, since keys of few values take a few bits.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use bytes::Bytes;
use parquet::basic::{Compression, Encoding, PageType};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, PageEncodingStats};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::bitmaps::EncodedChunk;

/// Rows of a data page.
const PAGE_ROWS: usize = 1 << 16;

/// Encodes the rows of one row group: dictionaries with the same values, which are texts or binaries.
///
/// # Errors
/// Arrays that are none.
pub fn encode_ordered(descriptor: &ColumnDescPtr, arrays: &[ArrayRef]) -> Result<EncodedChunk> {
    let mut keys: Vec<Option<u32>> = Vec::new();
    let mut dictionary: Option<&ArrayRef> = None;
    for array in arrays {
        let own = array.as_any_dictionary_opt().ok_or_else(|| unlike(array.data_type()))?;
        if dictionary.is_some_and(|values| values.len() != own.values().len()) {
            return Err(ParquetError::General("ordered dictionaries of one column differ".into()));
        }
        dictionary.get_or_insert(own.values());
        let places = cast(own.keys(), &DataType::Int64)?;
        keys.extend(places.as_primitive::<Int64Type>().iter().map(|key| key.and_then(|key| u32::try_from(key).ok())));
    }
    let (values, number) = plain(dictionary)?;
    let mut sink = TrackedWrite::new(Vec::new());
    let mut written = Written::default();
    let mut pages = SerializedPageWriter::new(&mut sink);
    let page = Page::DictionaryPage { buf: values, num_values: number, encoding: Encoding::PLAIN, is_sorted: false };
    written.add(&mut pages, page)?;
    let bits = (u32::BITS - number.saturating_sub(1).leading_zeros()).max(1) as usize;
    for rows in keys.chunks(PAGE_ROWS) {
        written.add(&mut pages, data_page(rows, descriptor.max_def_level() > 0, bits)?)?;
    }
    pages.close()?;
    let metadata = ColumnChunkMetaData::builder(Arc::clone(descriptor))
        .set_compression(Compression::UNCOMPRESSED)
        .set_encodings(vec![Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY])
        .set_page_encoding_stats(vec![
            PageEncodingStats { page_type: PageType::DICTIONARY_PAGE, encoding: Encoding::PLAIN, count: 1 },
            PageEncodingStats {
                page_type: PageType::DATA_PAGE,
                encoding: Encoding::RLE_DICTIONARY,
                count: keys.len().div_ceil(PAGE_ROWS) as i32,
            },
        ])
        .set_total_compressed_size(written.bytes as i64)
        .set_total_uncompressed_size(written.bytes as i64)
        .set_num_values(keys.len() as i64)
        .set_dictionary_page_offset(Some(0))
        .set_data_page_offset(written.data_offset as i64)
        .build()?;
    let close = ColumnCloseResult {
        bytes_written: written.bytes,
        rows_written: keys.len() as u64,
        metadata,
        bloom_filter: None,
        column_index: None,
        offset_index: None,
    };
    Ok(EncodedChunk { bytes: sink.into_inner()?.into(), close })
}

/// What has been written of a chunk.
#[derive(Default)]
struct Written {
    bytes: u64,
    data_offset: u64,
    pages: usize,
}

impl Written {
    fn add(&mut self, pages: &mut SerializedPageWriter<'_, Vec<u8>>, page: Page) -> Result<()> {
        let bytes = page.buffer().len();
        let spec = pages.write_page(CompressedPage::new(page, bytes))?;
        if self.pages == 1 {
            self.data_offset = spec.offset;
        }
        self.pages += 1;
        self.bytes += spec.bytes_written;
        Ok(())
    }
}

/// The values, each behind its length, and how many there are.
fn plain(values: Option<&ArrayRef>) -> Result<(Bytes, u32)> {
    let Some(values) = values else { return Ok((Bytes::new(), 0)) };
    let bytes = cast(values, &DataType::LargeBinary)?;
    let mut out = Vec::new();
    for value in bytes.as_binary::<i64>().iter() {
        let value = value.ok_or_else(|| ParquetError::General("a dictionary holds a null".into()))?;
        let length = u32::try_from(value.len()).map_err(|e| ParquetError::General(e.to_string()))?;
        out.extend(length.to_le_bytes());
        out.extend(value);
    }
    let number = u32::try_from(values.len()).map_err(|e| ParquetError::General(e.to_string()))?;
    Ok((out.into(), number))
}

fn data_page(rows: &[Option<u32>], nullable: bool, bits: usize) -> Result<Page> {
    let mut buf = Vec::new();
    if nullable {
        let levels = packed(rows.iter().map(|key| u32::from(key.is_some())), 1);
        let length = u32::try_from(levels.len()).map_err(|e| ParquetError::General(e.to_string()))?;
        buf.extend(length.to_le_bytes());
        buf.extend(levels);
    } else if rows.contains(&None) {
        return Err(ParquetError::General("a null among values that are required".into()));
    }
    buf.push(bits as u8);
    buf.extend(packed(rows.iter().flatten().copied(), bits));
    Ok(Page::DataPage {
        buf: buf.into(),
        num_values: rows.len() as u32,
        encoding: Encoding::RLE_DICTIONARY,
        def_level_encoding: Encoding::RLE,
        rep_level_encoding: Encoding::RLE,
        statistics: None,
    })
}

/// Numbers of so many bits as one packed run of Parquet's hybrid of runs and packed bits, the first in the lowest bits.
fn packed(numbers: impl Iterator<Item = u32>, bits: usize) -> Vec<u8> {
    let (mut out, mut pending, mut filled, mut count) = (Vec::new(), 0u64, 0, 0usize);
    for number in numbers {
        pending |= u64::from(number) << filled;
        filled += bits;
        count += 1;
        while filled >= 8 {
            out.push(pending as u8);
            pending >>= 8;
            filled -= 8;
        }
    }
    // Groups of eight numbers.
    let groups = count.div_ceil(8);
    if filled > 0 {
        out.push(pending as u8);
    }
    out.resize(groups * bits, 0);
    let mut header = Vec::new();
    let mut rest = groups << 1 | 1;
    while rest >= 0x80 {
        header.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    header.push(rest as u8);
    header.extend(out);
    header
}

fn unlike(found: &DataType) -> ParquetError {
    ParquetError::General(format!("an ordered dictionary comes as {found}"))
}

#[cfg(test)]
mod tests {
    use arrow::array::{DictionaryArray, Int8Array, Int16Array, StringArray};
    use arrow::compute::concat;
    use arrow::datatypes::{Field, Schema};
    use parquet::arrow::ArrowSchemaConverter;
    use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
    use parquet::file::writer::SerializedFileWriter;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever the keys: a reader finds them, and the whole dictionary in its order.
        #[test]
        fn the_dictionary_comes_back_whole(
            number in 1i16..700,
            keys in prop::collection::vec(prop::option::weighted(0.9, 0i16..700), 1..3000),
            nullable in any::<bool>(),
            cut in 0usize..3000,
        ) {
            let values: ArrayRef =
                Arc::new(StringArray::from_iter_values((0..number).map(|k| format!("{:x}", k.wrapping_mul(31_337)))));
            let keys: Int16Array =
                keys.into_iter().filter(|key| nullable || key.is_some()).map(|key| key.map(|key| key % number)).collect();
            prop_assume!(!keys.is_empty());
            let array = DictionaryArray::try_new(keys.clone(), Arc::clone(&values)).unwrap();
            let field = Field::new("x", array.data_type().clone(), nullable).with_dict_is_ordered(true);
            let schema = Arc::new(Schema::new(vec![field]));
            let parquet = ArrowSchemaConverter::new().convert(&schema).unwrap();
            let cut = cut.min(keys.len());
            let array: ArrayRef = Arc::new(array);
            let chunk = encode_ordered(&parquet.column(0), &[array.slice(0, cut), array.slice(cut, keys.len() - cut)]).unwrap();
            let mut file = Vec::new();
            let mut writer = SerializedFileWriter::new(&mut file, parquet.root_schema_ptr(), Default::default()).unwrap();
            let mut group = writer.next_row_group().unwrap();
            group.append_column(&chunk.bytes, chunk.close).unwrap();
            group.close().unwrap();
            writer.close().unwrap();
            let options = ArrowReaderOptions::new().with_schema(schema);
            let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(Bytes::from(file), options).unwrap();
            let found: Vec<ArrayRef> =
                reader.with_batch_size(900).build().unwrap().map(|rows| Arc::clone(rows.unwrap().column(0))).collect();
            for array in &found {
                prop_assert_eq!(array.as_any_dictionary().values(), &values);
            }
            let keys_found: Vec<&dyn Array> = found.iter().map(|array| array.as_any_dictionary().keys()).collect();
            let keys_found = concat(&keys_found).unwrap();
            prop_assert_eq!(keys_found.as_primitive(), &keys);
        }
    }

    #[test]
    fn what_is_no_dictionary_is_refused() {
        let schema =
            ArrowSchemaConverter::new().convert(&Schema::new(vec![Field::new("x", DataType::Utf8, false)])).unwrap();
        let plain: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
        assert!(encode_ordered(&schema.column(0), &[plain]).is_err());
        let null = DictionaryArray::new(Int8Array::from(vec![Some(0), None]), Arc::new(StringArray::from(vec!["a"])));
        assert!(encode_ordered(&schema.column(0), &[Arc::new(null)]).is_err());
    }
}
