//! Decodes lists of numbers.
//!
//! Histories and embeddings are most of an input's values. The general reader of nested columns takes twice as long for
//! them: it writes two levels for each number, and looks at both. Here the levels of a page only tell where its lists begin,
//! and the numbers are read as those of a flat column. A null among the numbers or a list of the wrong length is left to the
//! general reader.

use std::sync::{Arc, Mutex, MutexGuard};

use arrow::array::{ArrayRef, ArrowPrimitiveType, FixedSizeListArray, ListArray, PrimitiveArray};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, FieldRef, Float32Type, Float64Type, Int32Type, Int64Type};
use parquet::basic::{Encoding, Repetition, Type as Physical};
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{self as stored, DataType as StoredType};
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::ChunkReader;
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::schema::types::{ColumnDescriptor, ColumnPath, SchemaDescriptor, Type};

use super::levels::{Definitions, PageLevels};
use crate::error::Result;

/// A top-level column of lists of numbers: one leaf, at one level of repetition.
pub struct Lists<'a> {
    list: &'a DataType,
    element: &'a FieldRef,
    leaf: usize,
    physical: Physical,
    definitions: Definitions,
}

/// How many lists are wanted.
struct Rows {
    /// Those of the row group; what a chunk holds beyond is not looked at.
    total: usize,
    at_once: usize,
}

impl<'a> Lists<'a> {
    /// `None` where the column is something else.
    pub fn of(list: &'a DataType, schema: &SchemaDescriptor, root: usize) -> Option<Self> {
        let (DataType::List(element) | DataType::FixedSizeList(element, _)) = list else { return None };
        let leaf = (0..schema.num_columns()).find(|leaf| schema.get_column_root_idx(*leaf) == root)?;
        let column = schema.column(leaf);
        let physical = column.physical_type();
        let plain = matches!(
            (element.data_type(), physical),
            (DataType::Int32, Physical::INT32)
                | (DataType::Int64, Physical::INT64)
                | (DataType::Float32, Physical::FLOAT)
                | (DataType::Float64, Physical::DOUBLE)
        );
        let nullable = column.self_type().get_basic_info().repetition() == Repetition::OPTIONAL;
        let number = u8::try_from(column.max_def_level()).ok()?;
        let definitions = Definitions { number, empty: number.checked_sub(u8::from(nullable) + 1)? };
        (plain && column.max_rep_level() == 1).then_some(Lists { list, element, leaf, physical, definitions })
    }

    /// Hands arrays of up to `rows` lists to `each`, in order, until it has the row group's number or meets what the general
    /// reader is for. The inner result is that of `each`.
    pub fn decode<R: ChunkReader + 'static>(
        &self,
        file: R,
        group: &RowGroupMetaData,
        rows: usize,
        each: &mut dyn FnMut(ArrayRef) -> Result<()>,
    ) -> ParquetResult<Result<()>> {
        let total = usize::try_from(group.num_rows()).unwrap_or(0);
        let pages = SerializedPageReader::new(Arc::new(file), group.column(self.leaf), total, None)?;
        let rows = Rows { total, at_once: rows };
        match self.physical {
            Physical::INT32 => self.arrays::<Int32Type, stored::Int32Type>(pages, rows, each),
            Physical::INT64 => self.arrays::<Int64Type, stored::Int64Type>(pages, rows, each),
            Physical::FLOAT => self.arrays::<Float32Type, stored::FloatType>(pages, rows, each),
            _ => self.arrays::<Float64Type, stored::DoubleType>(pages, rows, each),
        }
    }

    fn arrays<A, P>(
        &self,
        pages: impl PageReader + 'static,
        rows: Rows,
        each: &mut dyn FnMut(ArrayRef) -> Result<()>,
    ) -> ParquetResult<Result<()>>
    where
        A: ArrowPrimitiveType,
        P: StoredType<T = A::Native>,
    {
        let found = Arc::new(Mutex::new(Found { wanted: rows.total, ..Found::default() }));
        let numbers = Numbers { pages, definitions: self.definitions, found: Arc::clone(&found) };
        let flat =
            Type::primitive_type_builder("number", self.physical).with_repetition(Repetition::REQUIRED).build()?;
        let flat = ColumnDescriptor::new(Arc::new(flat), 0, 0, ColumnPath::new(Vec::new()));
        let mut reader = ColumnReaderImpl::<P>::new(Arc::new(flat), Box::new(numbers));
        let (mut values, mut most, mut left): (Vec<A::Native>, _, _) = (Vec::new(), 0, rows.total);
        while left > 0 {
            let wanted = rows.at_once.min(left);
            // Numbers behind those of the pages bring the next page, and with it its lists.
            loop {
                let Some(behind) = locked(&found).beyond(wanted, values.len()) else { break };
                if reader.read_records(behind, None, None, &mut values)?.0 < behind {
                    locked(&found).ended = true;
                }
            }
            let Some(lists) = locked(&found).take(wanted) else { return Ok(Ok(())) };
            let end = lists.starts[lists.starts.len() - 1];
            if end > values.len() {
                reader.read_records(end - values.len(), None, None, &mut values)?;
            }
            most = most.max(values.len());
            let mut next = Vec::with_capacity(most);
            next.extend_from_slice(&values[end.min(values.len())..]);
            values.truncate(end);
            left -= lists.valid.len();
            let numbers = PrimitiveArray::<A>::new(ScalarBuffer::from(std::mem::replace(&mut values, next)), None);
            match self.array(lists, Arc::new(numbers)) {
                Some(array) => {
                    if let Err(e) = each(array) {
                        return Ok(Err(e));
                    }
                }
                None => return Ok(Ok(())),
            }
        }
        Ok(Ok(()))
    }

    /// `None` where the general reader must see to it.
    fn array(&self, lists: Taken, numbers: ArrayRef) -> Option<ArrayRef> {
        let element = Arc::clone(self.element);
        if let DataType::FixedSizeList(_, length) = self.list {
            let size = usize::try_from(*length).ok()?;
            let fits =
                lists.valid.iter().all(|valid| *valid) && lists.starts.windows(2).all(|ends| ends[1] - ends[0] == size);
            let array = || FixedSizeListArray::try_new(element, *length, numbers, None).ok();
            return fits.then(array)?.map(|array| Arc::new(array) as ArrayRef);
        }
        let offsets: Vec<i32> =
            lists.starts.into_iter().map(|start| i32::try_from(start).ok()).collect::<Option<_>>()?;
        let nulls = Some(NullBuffer::from(lists.valid)).filter(|nulls| nulls.null_count() > 0);
        ListArray::try_new(element, OffsetBuffer::new(offsets.into()), numbers, nulls)
            .ok()
            .map(|array| Arc::new(array) as ArrayRef)
    }
}

/// The lists of the pages so far that were not taken yet. Ordinals of numbers count from the first list's.
#[derive(Default)]
struct Found {
    starts: Vec<usize>,
    valid: Vec<bool>,
    /// Numbers of the pages.
    numbers: usize,
    /// Lists that may still be found.
    wanted: usize,
    /// Whether the pages ended, or were given up: then the list that came last may lack numbers.
    ended: bool,
    given_up: bool,
}

/// Whole lists.
struct Taken {
    /// And the end of the last.
    starts: Vec<usize>,
    valid: Vec<bool>,
}

impl Found {
    /// How many numbers to read after `read` of them to get to the next page, while fewer than `wanted` lists are whole.
    fn beyond(&self, wanted: usize, read: usize) -> Option<usize> {
        (!self.ended && self.starts.len() <= wanted).then_some(self.numbers + 1 - read)
    }

    /// Up to `wanted` lists; `None` if there is none.
    fn take(&mut self, wanted: usize) -> Option<Taken> {
        let whole = if self.given_up { self.starts.len().saturating_sub(1) } else { self.starts.len() };
        let lists = wanted.min(whole);
        let end = self.starts.get(lists).copied().unwrap_or(self.numbers);
        if lists == 0 || self.starts[0] != 0 {
            return None;
        }
        let mut starts: Vec<usize> = self.starts.drain(..lists).collect();
        starts.push(end);
        self.starts.iter_mut().for_each(|start| *start -= end);
        self.numbers -= end;
        Some(Taken { starts, valid: self.valid.drain(..lists).collect() })
    }

    /// Takes in the lists of a page; gives the page with nothing but numbers, or `None` without any.
    fn add(&mut self, page: &Page, definitions: Definitions) -> Option<Option<Page>> {
        let (levels, numbers) = split(page)?;
        let lists = levels.lists(definitions, self.wanted + 1)?;
        self.wanted -= lists.starts.len().min(self.wanted);
        self.starts.extend(lists.starts.iter().map(|start| self.numbers + start));
        self.valid.extend(lists.valid);
        self.numbers += lists.numbers;
        let flat = |num_values| Page::DataPage {
            buf: page.buffer().slice(page.buffer().len() - numbers..),
            num_values,
            encoding: page.encoding(),
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        Some(u32::try_from(lists.numbers).ok().filter(|numbers| *numbers > 0).map(flat))
    }
}

fn locked(found: &Mutex<Found>) -> MutexGuard<'_, Found> {
    found.lock().unwrap_or_else(|p| p.into_inner())
}

/// The levels of a data page, and the length of what is behind them; `None` where they are encoded in the way of old, or cut.
fn split(page: &Page) -> Option<(PageLevels<'_>, usize)> {
    let number = page.num_values() as usize;
    let (repetitions, definitions, numbers) = match page {
        Page::DataPage { buf, rep_level_encoding: Encoding::RLE, def_level_encoding: Encoding::RLE, .. } => {
            let sized = |bytes: &'_ [u8]| -> Option<(usize, usize)> {
                let length = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
                Some((4, 4usize.checked_add(length)?)).filter(|(_, end)| *end <= bytes.len())
            };
            let (start, end) = sized(buf)?;
            let (repetitions, rest) = (&buf[start..end], &buf[end..]);
            let (start, end) = sized(rest)?;
            (repetitions, &rest[start..end], rest.len() - end)
        }
        Page::DataPageV2 { buf, rep_levels_byte_len, def_levels_byte_len, .. } => {
            let (repetitions, rest) = buf.split_at_checked(*rep_levels_byte_len as usize)?;
            let (definitions, numbers) = rest.split_at_checked(*def_levels_byte_len as usize)?;
            (repetitions, definitions, numbers.len())
        }
        _ => return None,
    };
    Some((PageLevels { number, repetitions, definitions }, numbers))
}

/// Pages of lists as those of a required column of numbers.
struct Numbers<P> {
    pages: P,
    definitions: Definitions,
    found: Arc<Mutex<Found>>,
}

impl<P: PageReader> Iterator for Numbers<P> {
    type Item = ParquetResult<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl<P: PageReader> PageReader for Numbers<P> {
    fn get_next_page(&mut self) -> ParquetResult<Option<Page>> {
        let mut found = locked(&self.found);
        while !found.given_up {
            let Some(page) = self.pages.get_next_page()? else { return Ok(None) };
            if page.is_dictionary_page() {
                return Ok(Some(page));
            }
            match found.add(&page, self.definitions) {
                Some(Some(numbers)) => return Ok(Some(numbers)),
                Some(None) => {}
                None => found.given_up = true,
            }
        }
        Ok(None)
    }

    fn peek_next_page(&mut self) -> ParquetResult<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> ParquetResult<()> {
        self.pages.skip_next_page()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, RecordBatch};
    use arrow::compute::{cast, concat};
    use arrow::datatypes::{Field, Schema};
    use bytes::Bytes;
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use parquet::file::properties::{WriterProperties, WriterVersion};
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    use proptest::prelude::*;

    use super::*;

    type Row = Option<Vec<Option<i32>>>;

    fn written(array: &ArrayRef, page_rows: usize, dictionary: bool, version: WriterVersion) -> Bytes {
        let field = Field::new("lists", array.data_type().clone(), array.is_nullable());
        let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![Arc::clone(array)]).unwrap();
        let properties = WriterProperties::builder()
            .set_data_page_row_count_limit(page_rows)
            .set_write_batch_size(3)
            .set_dictionary_enabled(dictionary)
            .set_writer_version(version);
        let mut file = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), Some(properties.build())).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        file.into()
    }

    /// What the general reader makes of it, and what we do until we hand over.
    fn both(file: &Bytes, rows: usize) -> (ArrayRef, Vec<ArrayRef>) {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file.clone()).unwrap();
        let (metadata, schema) = (Arc::clone(builder.metadata()), Arc::clone(builder.schema()));
        let list = schema.field(0).data_type();
        let lists = Lists::of(list, metadata.file_metadata().schema_descr(), 0).unwrap();
        let mut ours = Vec::new();
        let each = &mut |array| {
            ours.push(array);
            Ok(())
        };
        lists.decode(file.clone(), metadata.row_group(0), rows, each).unwrap().unwrap();
        let theirs: Vec<ArrayRef> = builder.build().unwrap().map(|b| Arc::clone(b.unwrap().column(0))).collect();
        let parts: Vec<&dyn Array> = theirs.iter().map(|a| a.as_ref()).collect();
        (concat(&parts).unwrap(), ours)
    }

    /// A list of lists as one of the column types that are decoded here.
    fn typed(rows: &[Row], element: &DataType) -> ArrayRef {
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(rows.iter().cloned());
        let nullable = rows.iter().flatten().flatten().any(Option::is_none);
        let field = Field::new("item", element.clone(), nullable);
        cast(&lists, &DataType::List(Arc::new(field))).unwrap()
    }

    proptest! {
        /// Whatever the lists, pages, and arrays: the values of the general reader, in order, up to a null among the numbers.
        #[test]
        fn are_as_the_general_reader_has_them(
            mut rows in prop::collection::vec(
                prop::option::weighted(0.9, prop::collection::vec(prop::option::weighted(0.998, 0..50), 0..80)), 1..120,
            ),
            nulls in any::<bool>(),
            element in prop::sample::select(vec![DataType::Int32, DataType::Int64, DataType::Float32, DataType::Float64]),
            (at_once, page_rows) in (1usize..130, 1usize..60),
            (dictionary, second) in any::<(bool, bool)>(),
        ) {
            if !nulls {
                rows.iter_mut().flatten().for_each(|list| list.retain(Option::is_some));
            }
            let version = if second { WriterVersion::PARQUET_2_0 } else { WriterVersion::PARQUET_1_0 };
            let (theirs, ours) = both(&written(&typed(&rows, &element), page_rows, dictionary, version), at_once);
            let mut at = 0;
            for array in &ours {
                prop_assert_eq!(array.data_type(), theirs.data_type());
                prop_assert_eq!(array, &theirs.slice(at, array.len()));
                at += array.len();
            }
            // A page with a null is given up, and with it the list that began before.
            match rows.iter().position(|row| row.iter().flatten().any(Option::is_none)) {
                Some(first) => prop_assert!(at <= first),
                None => prop_assert_eq!(at, rows.len()),
            }
        }

        #[test]
        fn of_one_length_too(
            size in 1usize..70, number in 1usize..60, null in prop::option::of(0usize..60), at_once in 1usize..70,
        ) {
            let row = |row: usize| (null != Some(row)).then(|| (0..size).map(move |k| Some((row * 7 + k) as f32)));
            let lists = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>((0..number).map(row), size as i32);
            let (theirs, ours) = both(&written(&(Arc::new(lists) as ArrayRef), 9, false, WriterVersion::PARQUET_1_0), at_once);
            let mut at = 0;
            for array in &ours {
                prop_assert_eq!(array, &theirs.slice(at, array.len()));
                at += array.len();
            }
            match null.filter(|null| *null < number) {
                Some(null) => prop_assert!(at <= null),
                None => prop_assert_eq!(at, number),
            }
        }
    }
    #[test]
    fn no_more_lists_are_read_than_the_row_group_has() {
        let file =
            written(&typed(&vec![Some(vec![Some(1)]); 50], &DataType::Int64), 7, false, WriterVersion::PARQUET_1_0);
        let builder = ParquetRecordBatchReaderBuilder::try_new(file.clone()).unwrap();
        let group = builder.metadata().row_group(0).clone().into_builder().set_num_rows(33).build().unwrap();
        let lists = Lists::of(builder.schema().field(0).data_type(), builder.parquet_schema(), 0).unwrap();
        let mut lens = Vec::new();
        let each = &mut |array: ArrayRef| {
            lens.push(array.len());
            Ok(())
        };
        lists.decode(file, &group, 20, each).unwrap().unwrap();
        assert_eq!(lens, [20, 13]);
    }

    #[test]
    fn older_ways_to_write_lists_are_read_too() {
        for message in [
            "message m { repeated int32 l; }",
            "message m { required group l (LIST) { repeated int32 array; } }",
            "message m { optional group l (LIST) { repeated int32 array; } }",
        ] {
            let optional = i16::from(message.contains("optional"));
            let schema = Arc::new(parse_message_type(message).unwrap());
            let mut file = Vec::new();
            let mut writer = SerializedFileWriter::new(&mut file, schema, Default::default()).unwrap();
            let mut group = writer.next_row_group().unwrap();
            let mut column = group.next_column().unwrap().unwrap();
            let levels = [1, 1, 0, 1, 0].map(|level| level + optional);
            column.typed::<stored::Int32Type>().write_batch(&[1, 2, 3], Some(&levels), Some(&[0, 1, 0, 0, 0])).unwrap();
            column.close().unwrap();
            group.close().unwrap();
            writer.close().unwrap();
            let (theirs, ours) = both(&file.into(), 10);
            assert_eq!(ours, [theirs], "{message}");
        }
    }
}
