//! Encodes a column of mask bitmaps.
//!
//! They come as Arrow dictionaries, one a batch. Most come again in the next batches, as the row that is alone with its
//! identity has but its own bit. Where rows share bitmaps within a batch, that is known already, and looking at half a
//! kilobyte for each row to find it out again took a twentieth of a run. So it is ordinals that go through the writer's
//! dictionary, and its page is exchanged for one of the bitmaps themselves.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray, PrimitiveArray};
use arrow::datatypes::UInt32Type;
use bytes::Bytes;
use parquet::column::page::{CompressedPage, Page, PageWriteSpec, PageWriter};
use parquet::column::writer::{ColumnCloseResult, ColumnWriter, get_column_writer};
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;
use xxhash_rust::xxh3::xxh3_64;

/// An encoded column chunk, and what its footer says.
pub struct EncodedChunk {
    pub bytes: Bytes,
    pub close: ColumnCloseResult,
}

/// Encodes the bitmaps of one row group: dictionaries of fixed-size binaries with 32-bit keys, one a batch. Fails where they
/// are not. A dictionary of the row group's bitmaps is made where the properties allow one of that size.
///
/// # Errors
/// Bitmaps that the column does not take.
pub fn encode_bitmaps(
    descriptor: &ColumnDescPtr,
    properties: &WriterPropertiesPtr,
    batches: &[ArrayRef],
) -> Result<EncodedChunk> {
    let path = descriptor.path();
    let batches: Vec<Batch<'_>> = batches.iter().map(Batch::of).collect::<Result<_>>()?;
    let mut sink = TrackedWrite::new(Vec::new());
    let distinct = properties.dictionary_enabled(path).then(|| Distinct::of(&batches));
    let limit = properties.column_dictionary_page_size_limit(path);
    let close = match distinct.filter(|distinct| distinct.bytes() < limit) {
        Some(distinct) => {
            let all = distinct.bitmaps.iter().map(|bitmap| ByteArray::from(bitmap.to_vec()));
            let dictionary = Some(plain_page(descriptor, properties, all.collect())?);
            let pages = Exchanged { pages: SerializedPageWriter::new(&mut sink), dictionary };
            // The bitmaps are few enough, whatever the ordinals take that stand for them.
            let all = WriterProperties::clone(properties).into_builder();
            let all = all.set_column_dictionary_page_size_limit(path.clone(), usize::MAX).build();
            write(descriptor, &Arc::new(all), Box::new(pages), distinct.ordinals())?
        }
        None => {
            let plain = WriterProperties::clone(properties).into_builder();
            let plain = plain.set_column_dictionary_enabled(path.clone(), false).build();
            let rows = batches.iter().map(Batch::rows);
            write(descriptor, &Arc::new(plain), Box::new(SerializedPageWriter::new(&mut sink)), rows)?
        }
    };
    // Ordinals stood for the bitmaps while sizes were counted.
    let sizes = close.metadata.unencoded_byte_array_data_bytes().map(|_| {
        let bytes = |batch: &Batch<'_>| batch.keys.len() as i64 * i64::from(batch.bitmaps.value_length());
        batches.iter().map(bytes).sum()
    });
    let metadata = close.metadata.into_builder().set_unencoded_byte_array_data_bytes(sizes).build()?;
    Ok(EncodedChunk { bytes: sink.into_inner()?.into(), close: ColumnCloseResult { metadata, ..close } })
}

/// Writes the values, some at a time, of a fixed length or not.
fn write(
    descriptor: &ColumnDescPtr,
    properties: &WriterPropertiesPtr,
    pages: Box<dyn PageWriter + '_>,
    values: impl Iterator<Item = Vec<ByteArray>>,
) -> Result<ColumnCloseResult> {
    match get_column_writer(Arc::clone(descriptor), Arc::clone(properties), pages) {
        ColumnWriter::FixedLenByteArrayColumnWriter(mut writer) => {
            for some in values {
                let some: Vec<FixedLenByteArray> = some.into_iter().map(FixedLenByteArray::from).collect();
                writer.write_batch(&some, None, None)?;
            }
            writer.close()
        }
        ColumnWriter::ByteArrayColumnWriter(mut writer) => {
            for some in values {
                writer.write_batch(&some, None, None)?;
            }
            writer.close()
        }
        _ => Err(unlike(descriptor.physical_type())),
    }
}

/// One page of plain values, compressed, as the properties say.
fn plain_page(
    descriptor: &ColumnDescPtr,
    properties: &WriterPropertiesPtr,
    values: Vec<ByteArray>,
) -> Result<CompressedPage> {
    let whole = WriterProperties::builder()
        .set_compression(properties.compression(descriptor.path()))
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_write_batch_size(usize::MAX)
        .set_data_page_row_count_limit(usize::MAX)
        .set_data_page_size_limit(usize::MAX);
    let mut kept = Kept(None);
    write(descriptor, &Arc::new(whole.build()), Box::new(&mut kept), std::iter::once(values))?;
    kept.0.ok_or_else(|| ParquetError::General("no page of bitmaps was written".into()))
}

/// One batch's bitmaps.
struct Batch<'a> {
    /// By row.
    keys: &'a PrimitiveArray<UInt32Type>,
    bitmaps: &'a FixedSizeBinaryArray,
}

impl<'a> Batch<'a> {
    fn of(array: &'a ArrayRef) -> Result<Self> {
        let dictionary = array.as_dictionary_opt::<UInt32Type>().ok_or_else(|| unlike(array.data_type()))?;
        let values = dictionary.values();
        let bitmaps = values.as_fixed_size_binary_opt().ok_or_else(|| unlike(values.data_type()))?;
        Ok(Batch { keys: dictionary.keys(), bitmaps })
    }

    /// Row by row, without a copy.
    fn rows(&self) -> Vec<ByteArray> {
        let width = self.bitmaps.value_length() as usize;
        let all = ByteArray::from(Bytes::from(self.bitmaps.values().clone()));
        let row = |key: &u32| all.slice(*key as usize * width, width);
        self.keys.values().iter().map(row).collect()
    }
}

/// The distinct bitmaps of a row group.
struct Distinct<'a> {
    /// By first appearance.
    bitmaps: Vec<&'a [u8]>,
    /// The ordinal of every row's bitmap; by batch.
    rows: Vec<Vec<u32>>,
}

impl<'a> Distinct<'a> {
    fn of(batches: &[Batch<'a>]) -> Self {
        let mut seen: HashMap<&[u8], u32, BuildHasherDefault<OneGo>> = HashMap::default();
        let mut distinct = Distinct { bitmaps: Vec::new(), rows: Vec::with_capacity(batches.len()) };
        for batch in batches {
            let mut ordinals: Vec<Option<u32>> = vec![None; batch.bitmaps.len()];
            let row = |key: &u32| {
                *ordinals[*key as usize].get_or_insert_with(|| {
                    let bitmap = batch.bitmaps.value(*key as usize);
                    *seen.entry(bitmap).or_insert_with(|| {
                        distinct.bitmaps.push(bitmap);
                        distinct.bitmaps.len() as u32 - 1
                    })
                })
            };
            distinct.rows.push(batch.keys.values().iter().map(row).collect());
        }
        distinct
    }

    fn bytes(&self) -> usize {
        self.bitmaps.iter().map(|bitmap| bitmap.len()).sum()
    }

    /// The rows' ordinals, as values that stand for the bitmaps.
    fn ordinals(&self) -> impl Iterator<Item = Vec<ByteArray>> {
        let all = ByteArray::from((0..self.bitmaps.len() as u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>());
        let value = move |ordinal: &u32| all.slice(*ordinal as usize * 4, 4);
        self.rows.iter().map(move |batch| batch.iter().map(&value).collect())
    }
}

/// Passes pages on, another dictionary instead of the one it is given.
struct Exchanged<'a> {
    pages: SerializedPageWriter<'a, Vec<u8>>,
    /// A page of plain values, compressed.
    dictionary: Option<CompressedPage>,
}

impl PageWriter for Exchanged<'_> {
    fn write_page(&mut self, page: CompressedPage) -> Result<PageWriteSpec> {
        let &Page::DictionaryPage { num_values, encoding, is_sorted, .. } = page.compressed_page() else {
            return self.pages.write_page(page);
        };
        let bitmaps = self.dictionary.take().filter(|bitmaps| bitmaps.num_values() == num_values);
        let bitmaps = bitmaps.ok_or_else(|| ParquetError::General("a dictionary holds other bitmaps".into()))?;
        let buf = bitmaps.compressed_page().buffer().clone();
        let dictionary = Page::DictionaryPage { buf, num_values, encoding, is_sorted };
        self.pages.write_page(CompressedPage::new(dictionary, bitmaps.uncompressed_size()))
    }

    fn close(&mut self) -> Result<()> {
        self.pages.close()
    }
}

/// Keeps the one page that it is given.
struct Kept(Option<CompressedPage>);

impl PageWriter for &mut Kept {
    fn write_page(&mut self, page: CompressedPage) -> Result<PageWriteSpec> {
        match self.0.replace(page) {
            None => Ok(PageWriteSpec::new()),
            Some(_) => Err(ParquetError::General("bitmaps do not fit one page".into())),
        }
    }

    fn close(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Hashes what comes in one piece, and is all of one length.
#[derive(Default)]
struct OneGo(u64);

impl Hasher for OneGo {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64(bytes);
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

fn unlike(found: impl std::fmt::Debug) -> ParquetError {
    ParquetError::General(format!("bitmaps are dictionaries of fixed-size binaries, not {found:?}"))
}

#[cfg(test)]
mod tests {
    use arrow::array::{DictionaryArray, UInt32Array};
    use arrow::datatypes::{DataType, Field, Schema};
    use parquet::arrow::ArrowSchemaConverter;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use parquet::basic::{Compression, Encoding};
    use parquet::file::writer::SerializedFileWriter;

    use super::*;

    const WIDTH: usize = 9;

    fn batch(keys: &[u32], bitmaps: &[u8]) -> ArrayRef {
        let values = bitmaps.iter().map(|byte| [*byte; WIDTH]);
        let values = FixedSizeBinaryArray::try_from_iter(values).unwrap();
        Arc::new(DictionaryArray::try_new(UInt32Array::from(keys.to_vec()), Arc::new(values)).unwrap())
    }

    /// What a reader finds in a file of these bitmaps, and how they are encoded.
    fn read_back(batches: &[ArrayRef], limit: usize, data_type: &DataType) -> (Vec<u8>, Vec<Encoding>) {
        let field = Field::new("bitmaps", data_type.clone(), false);
        let schema = ArrowSchemaConverter::new().convert(&Schema::new(vec![field])).unwrap();
        let path = schema.column(0).path().clone();
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_write_batch_size(2)
            .set_data_page_row_count_limit(3)
            .set_column_dictionary_enabled(path.clone(), limit > 0)
            .set_column_dictionary_page_size_limit(path, limit)
            .set_statistics_enabled(EnabledStatistics::None);
        let properties = Arc::new(properties.build());
        let chunk = encode_bitmaps(&schema.column(0), &properties, batches).unwrap();
        let encodings = chunk.close.metadata.encodings().collect();
        let mut file = Vec::new();
        let mut writer = SerializedFileWriter::new(&mut file, schema.root_schema_ptr(), properties).unwrap();
        let mut group = writer.next_row_group().unwrap();
        group.append_column(&chunk.bytes, chunk.close).unwrap();
        group.close().unwrap();
        writer.close().unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file)).unwrap().build().unwrap();
        let first_bytes = reader.flat_map(|rows| {
            let column = arrow::compute::cast(rows.unwrap().column(0), &DataType::Binary).unwrap();
            let bitmaps = column.as_binary::<i32>().clone();
            assert!(bitmaps.iter().flatten().all(|b| b.iter().all(|byte| *byte == b[0])));
            bitmaps.iter().flatten().map(|bitmap| bitmap[0]).collect::<Vec<u8>>()
        });
        (first_bytes.collect(), encodings)
    }

    #[test]
    fn come_back_with_and_without_a_dictionary() {
        let sliced = batch(&[3, 3, 0, 1, 2], b"cabx").slice(1, 3);
        let batches = [batch(&[0, 0, 1, 0], b"ab"), batch(&[2, 1, 0], b"bca"), sliced, batch(&[0], b"a").slice(0, 0)];
        let rows = b"aabaacbxca".to_vec();
        // Four of them are met.
        for (limit, with) in [(0, false), (4 * WIDTH, false), (4 * WIDTH + 1, true)] {
            for data_type in [DataType::FixedSizeBinary(WIDTH as i32), DataType::Binary] {
                let (read, encodings) = read_back(&batches, limit, &data_type);
                assert_eq!(read, rows);
                assert_eq!(encodings.contains(&Encoding::RLE_DICTIONARY), with);
            }
        }
    }
}
