//! Decodes lists of numbers.
//!
//! Histories and embeddings are most of an input's values. The general reader of nested columns takes half as long again for
//! them: its buffers of levels grow anew for every array, and it looks at each level to find where lists begin. Here buffers
//! are kept, and levels that say nothing are passed over. What is not plain sailing, a null among the numbers or a list of
//! the wrong length, is left to the general reader.

use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, FixedSizeListArray, ListArray, PrimitiveArray};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, FieldRef, Float32Type, Float64Type, Int32Type, Int64Type};
use parquet::basic::{Repetition, Type as Physical};
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{self as stored, DataType as StoredType};
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::ChunkReader;
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::schema::types::SchemaDescriptor;

use crate::error::Result;

/// A top-level column of lists of numbers: one leaf, at one level of repetition.
pub struct Lists<'a> {
    list: &'a DataType,
    element: &'a FieldRef,
    leaf: usize,
    physical: Physical,
    /// Definition level of an empty list; below it the list is null.
    empty: i16,
}

/// How many lists are wanted.
struct Rows {
    /// Those of the row group; what a chunk holds beyond is not looked at.
    total: usize,
    at_once: usize,
}

/// Levels that are looked at together where all say the same.
const STRIDE: usize = 32;

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
        let empty = column.max_def_level() - i16::from(nullable) - 1;
        (plain && column.max_rep_level() == 1).then_some(Lists { list, element, leaf, physical, empty })
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
        let chunk = group.column(self.leaf);
        let total = usize::try_from(group.num_rows()).unwrap_or(0);
        let pages = Box::new(SerializedPageReader::new(Arc::new(file), chunk, total, None)?);
        let column = chunk.column_descr_ptr();
        let rows = Rows { total, at_once: rows };
        match self.physical {
            Physical::INT32 => {
                self.arrays::<Int32Type, stored::Int32Type>(ColumnReaderImpl::new(column, pages), rows, each)
            }
            Physical::INT64 => {
                self.arrays::<Int64Type, stored::Int64Type>(ColumnReaderImpl::new(column, pages), rows, each)
            }
            Physical::FLOAT => {
                self.arrays::<Float32Type, stored::FloatType>(ColumnReaderImpl::new(column, pages), rows, each)
            }
            _ => self.arrays::<Float64Type, stored::DoubleType>(ColumnReaderImpl::new(column, pages), rows, each),
        }
    }

    fn arrays<A, P>(
        &self,
        mut reader: ColumnReaderImpl<P>,
        rows: Rows,
        each: &mut dyn FnMut(ArrayRef) -> Result<()>,
    ) -> ParquetResult<Result<()>>
    where
        A: ArrowPrimitiveType,
        P: StoredType<T = A::Native>,
    {
        let (mut definitions, mut repetitions, mut most) = (Vec::new(), Vec::new(), 0);
        let mut left = rows.total;
        while left > 0 {
            definitions.clear();
            repetitions.clear();
            let mut values: Vec<A::Native> = Vec::with_capacity(most);
            let (lists, _, _) = reader.read_records(
                rows.at_once.min(left),
                Some(&mut definitions),
                Some(&mut repetitions),
                &mut values,
            )?;
            left -= lists.min(left);
            most = most.max(values.len());
            let levels = Levels { definitions: &definitions, repetitions: &repetitions, empty: self.empty };
            let numbers = PrimitiveArray::<A>::new(ScalarBuffer::from(values), None);
            match self.array(lists, &levels, Arc::new(numbers)) {
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

    /// `None` where there is nothing, and where the general reader must see to it.
    fn array(&self, lists: usize, levels: &Levels<'_>, numbers: ArrayRef) -> Option<ArrayRef> {
        let plain = numbers.len() == levels.repetitions.len();
        let element = Arc::clone(self.element);
        if lists == 0 || levels.repetitions.first() != Some(&0) || i32::try_from(numbers.len()).is_err() {
            return None;
        }
        if let DataType::FixedSizeList(_, length) = self.list {
            let size = usize::try_from(*length).ok()?;
            let fits = plain && lists.checked_mul(size) == Some(numbers.len()) && levels.begin_every(size);
            let array = || FixedSizeListArray::try_new(element, *length, numbers, None).ok();
            return fits.then(array)?.map(|array| Arc::new(array) as ArrayRef);
        }
        let (starts, nulls) = if plain { (levels.starts(lists), None) } else { levels.starts_and_nulls(lists) };
        let fits = starts.len() == lists + 1 && starts.last() == Some(&(numbers.len() as i32));
        let array = || ListArray::try_new(element, OffsetBuffer::new(starts.into()), numbers, nulls).ok();
        fits.then(array)?.map(|array| Arc::new(array) as ArrayRef)
    }
}

/// The levels of whole lists, one for each number and for each list without any.
struct Levels<'a> {
    definitions: &'a [i16],
    repetitions: &'a [i16],
    empty: i16,
}

impl Levels<'_> {
    /// Whether a list begins at every multiple of `size`, and nowhere else.
    fn begin_every(&self, size: usize) -> bool {
        let mut lists = self.repetitions.chunks_exact(size.max(1));
        lists.all(|list| list[0] == 0 && list[1..].iter().fold(1, |all, level| all & level) == 1)
    }

    /// Where lists begin and the last one ends; each has numbers, and none is null.
    fn starts(&self, lists: usize) -> Vec<i32> {
        let mut starts = Vec::with_capacity(lists + 1);
        for (levels, at) in self.repetitions.chunks(STRIDE).zip((0i32..).step_by(STRIDE)) {
            if levels.iter().fold(1, |all, level| all & level) == 0 {
                starts.extend(levels.iter().zip(at..).filter(|(level, _)| **level == 0).map(|(_, at)| at));
            }
        }
        starts.push(self.repetitions.len() as i32);
        starts
    }

    /// As [`Self::starts`], of lists that may be empty or null. Where a number is null, the end is beyond the numbers.
    fn starts_and_nulls(&self, lists: usize) -> (Vec<i32>, Option<NullBuffer>) {
        let (mut starts, mut valid) = (Vec::with_capacity(lists + 1), Vec::with_capacity(lists));
        let mut at = 0;
        for (definition, repetition) in self.definitions.iter().zip(self.repetitions) {
            if *repetition == 0 {
                starts.push(at);
                valid.push(*definition >= self.empty);
            }
            at += i32::from(*definition > self.empty);
        }
        starts.push(at);
        (starts, Some(NullBuffer::from(valid)).filter(|nulls| nulls.null_count() > 0))
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
            let first_null = rows.iter().position(|row| row.iter().flatten().any(Option::is_none));
            prop_assert_eq!(at, first_null.map_or(rows.len(), |first| first - first % at_once));
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
            let null = null.filter(|null| *null < number);
            prop_assert_eq!(at, null.map_or(number, |null| null - null % at_once));
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
