//! Decodes lists of numbers.
//!
//! Histories and embeddings are most of an input's values. The general reader of nested columns takes twice as long for
//! them: it writes two levels for each number, and looks at both. Here the levels of a page only tell where its lists begin,
//! and the numbers are read as those of a flat column. A null among the numbers or a list of the wrong length is left to the
//! general reader.

mod levels;
mod pages;

use std::sync::{Arc, Mutex};

use arrow::array::{ArrayRef, ArrowPrimitiveType, FixedSizeListArray, ListArray, PrimitiveArray};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, FieldRef, Float32Type, Float64Type, Int32Type, Int64Type};
use parquet::basic::{Repetition, Type as Physical};
use parquet::column::page::PageReader;
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{self as stored, DataType as StoredType};
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::ChunkReader;
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::schema::types::{ColumnDescriptor, ColumnPath, SchemaDescriptor, Type};

use self::levels::Definitions;
use self::pages::{Found, Numbers, Taken, locked};
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
    /// The lists of the column with this leaf; `None` where it is something else.
    pub fn of(list: &'a DataType, schema: &SchemaDescriptor, leaf: usize) -> Option<Self> {
        let (DataType::List(element) | DataType::FixedSizeList(element, _)) = list else { return None };
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
    ///
    /// # Errors
    /// A damaged file, or what `each` says.
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
        let found = Arc::new(Mutex::new(Found::of(rows.total)));
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
