//! Columns of different lengths in one file: each record batch is one row of lists.

use std::fmt::Display;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, FixedSizeBinaryArray, LargeListArray, PrimitiveArray,
    RecordBatch, StringArray,
};
use arrow::buffer::{Buffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow::ipc::CompressionType;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};

use crate::error::{Error, Place, Result};
use crate::store;

/// Columns by name.
#[derive(Debug, Default)]
pub struct Bundle {
    columns: Vec<(String, ArrayRef)>,
    /// The file that it was read from.
    path: PathBuf,
}

impl Bundle {
    /// Adds numbers.
    pub fn numbers<T: ArrowPrimitiveType>(self, name: &str, numbers: Vec<T::Native>) -> Self
    where
        PrimitiveArray<T>: From<Vec<T::Native>>,
    {
        self.array(name, Arc::new(PrimitiveArray::<T>::from(numbers)))
    }

    /// Adds tokens or digests, as their 16 bytes.
    pub fn hashes(self, name: &str, hashes: impl Iterator<Item = [u8; 16]>) -> Self {
        let bytes: Vec<u8> = hashes.flatten().collect();
        self.array(name, Arc::new(FixedSizeBinaryArray::new(16, Buffer::from_vec(bytes), None)))
    }

    /// Adds texts, of which some may be none.
    pub fn texts<'t>(self, name: &str, texts: impl Iterator<Item = Option<&'t str>>) -> Self {
        self.array(name, Arc::new(texts.collect::<StringArray>()))
    }

    /// Adds truth values.
    pub fn truths(self, name: &str, truths: &[bool]) -> Self {
        self.array(name, Arc::new(BooleanArray::from(truths.to_vec())))
    }

    fn array(mut self, name: &str, array: ArrayRef) -> Self {
        self.columns.push((name.to_owned(), array));
        self
    }

    /// Whether there is such a column.
    pub fn has(&self, name: &str) -> bool {
        self.columns.iter().any(|(own, _)| own == name)
    }

    /// An error that names the file.
    pub fn damaged(&self, problem: impl Display) -> Error {
        damaged(&self.path, problem)
    }

    fn find(&self, name: &str, fits: impl Fn(&DataType) -> bool) -> Result<&ArrayRef> {
        let found = self.columns.iter().find(|(own, array)| own == name && fits(array.data_type()));
        found.map(|(_, array)| array).ok_or_else(|| self.damaged(format!("it lacks `{name}`")))
    }

    /// Numbers of a column.
    ///
    /// # Errors
    /// The column is missing, as in the other getters.
    pub fn get<T: ArrowPrimitiveType>(&self, name: &str) -> Result<Vec<T::Native>> {
        let array = self.find(name, |own| *own == T::DATA_TYPE)?;
        Ok(array.as_primitive::<T>().values().to_vec())
    }

    /// Numbers of a column that may be missing.
    pub fn maybe<T: ArrowPrimitiveType>(&self, name: &str) -> Option<Vec<T::Native>> {
        self.get::<T>(name).ok()
    }

    /// A column of hashes.
    ///
    /// # Errors
    /// There is no such column.
    pub fn get_hashes(&self, name: &str) -> Result<Vec<[u8; 16]>> {
        let array = self.find(name, |own| *own == DataType::FixedSizeBinary(16))?;
        let array = array.as_fixed_size_binary();
        let hash = |k: usize| {
            let mut hash = [0; 16];
            hash.copy_from_slice(array.value(k));
            hash
        };
        Ok((0..array.len()).map(hash).collect())
    }

    /// A column of tokens.
    ///
    /// # Errors
    /// There is no such column.
    pub fn get_tokens(&self, name: &str) -> Result<Vec<u128>> {
        Ok(self.get_hashes(name)?.into_iter().map(u128::from_le_bytes).collect())
    }

    /// A column of texts.
    ///
    /// # Errors
    /// There is no such column.
    pub fn get_texts(&self, name: &str) -> Result<Vec<Option<String>>> {
        let array = self.find(name, |own| *own == DataType::Utf8)?.as_string::<i32>();
        Ok(array.iter().map(|text| text.map(str::to_owned)).collect())
    }

    /// A column of truths.
    ///
    /// # Errors
    /// There is no such column.
    pub fn get_truths(&self, name: &str) -> Result<Vec<bool>> {
        let array = self.find(name, |own| *own == DataType::Boolean)?.as_boolean();
        Ok(array.values().iter().collect())
    }

    fn to_batch(&self) -> Result<RecordBatch, ArrowError> {
        let list = |(name, array): &(String, ArrayRef)| -> Result<(Field, ArrayRef), ArrowError> {
            let element = Arc::new(Field::new("element", array.data_type().clone(), true));
            let lists = LargeListArray::try_new(
                Arc::clone(&element),
                OffsetBuffer::from_lengths([array.len()]),
                Arc::clone(array),
                None,
            )?;
            Ok((Field::new(name, DataType::LargeList(element), false), Arc::new(lists) as ArrayRef))
        };
        let columns: Vec<(Field, ArrayRef)> = self.columns.iter().map(list).collect::<Result<_, _>>()?;
        let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
    }

    fn from_batch(batch: &RecordBatch, path: &Path) -> Result<Self, ArrowError> {
        let of = |(field, column): (&Arc<Field>, &ArrayRef)| {
            let lists = column.as_list_opt::<i64>().filter(|lists| lists.len() == 1);
            let lists = lists.ok_or_else(|| ArrowError::SchemaError(format!("`{}` is not a list", field.name())))?;
            Ok((field.name().clone(), lists.value(0)))
        };
        batch
            .schema()
            .fields()
            .iter()
            .zip(batch.columns())
            .map(of)
            .collect::<Result<_, ArrowError>>()
            .map(|columns| Bundle { columns, path: path.to_path_buf() })
    }
}

/// Writes bundles of the same columns to a file, which appears whole or not at all.
///
/// # Errors
/// A file that can't be written.
pub fn write(path: &Path, bundles: impl Iterator<Item = Result<Bundle>>) -> Result<()> {
    store::write_whole(path, |file| {
        let fail = |e: ArrowError| Error::output(path, e.to_string(), "free some space and run the stage again");
        let mut out = BufWriter::new(file);
        let mut writer: Option<StreamWriter<&mut BufWriter<&mut File>>> = None;
        let mut sink = Some(&mut out);
        for bundle in bundles {
            let batch = bundle?.to_batch().map_err(fail)?;
            if let Some(out) = sink.take() {
                let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME));
                let options = options.map_err(fail)?;
                writer = Some(StreamWriter::try_new_with_options(out, &batch.schema(), options).map_err(fail)?);
            }
            writer.iter_mut().try_for_each(|writer| writer.write(&batch)).map_err(fail)?;
        }
        writer.iter_mut().try_for_each(StreamWriter::finish).map_err(fail)?;
        drop(writer);
        out.flush().map_err(|e| Error::io("write", path, e))
    })
}

/// Reads the bundles of a file in turn.
///
/// # Errors
/// A file that is missing or damaged.
pub fn read(path: &Path) -> Result<impl Iterator<Item = Result<Bundle>>> {
    let file = store::open(path)?.reader(0);
    // Nothing was written where there was no bundle.
    let reader = match store::len(path)? {
        0 => None,
        _ => Some(StreamReader::try_new(BufReader::new(file), None).map_err(|e| damaged(path, e))?),
    };
    let bundle = move |batch: Result<RecordBatch, ArrowError>| {
        batch.and_then(|batch| Bundle::from_batch(&batch, path)).map_err(|e| damaged(path, e))
    };
    Ok(reader.into_iter().flatten().map(bundle))
}

/// The only bundle of a file.
///
/// # Errors
/// A file that is missing or damaged.
pub fn read_one(path: &Path) -> Result<Bundle> {
    read(path)?.next().unwrap_or_else(|| Err(damaged(path, "it is empty")))
}

/// A file that is not as its stage wrote it.
pub fn damaged(path: &Path, problem: impl Display) -> Error {
    Error::input(Place::file(path), format!("it is damaged ({problem})"), "run the stage that writes it again")
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{Int64Type, UInt32Type};

    use super::*;

    #[test]
    fn what_is_read_is_what_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bundle.arrow");
        let bundle = |n: u32| {
            Bundle::default()
                .numbers::<UInt32Type>("codes", (0..n).collect())
                .numbers::<Int64Type>("times", vec![i64::MIN, -1])
                .hashes("tokens", [7u128, u128::MAX].into_iter().map(u128::to_le_bytes))
                .texts("labels", [Some("a"), None].into_iter())
                .truths("positive", &[true, false, true])
        };
        write(&path, [0, 5].into_iter().map(|n| Ok(bundle(n)))).unwrap();
        let mut seen = Vec::new();
        for bundle in read(&path).unwrap().map(Result::unwrap) {
            seen.push(bundle.get::<UInt32Type>("codes").unwrap());
            assert_eq!(bundle.get::<Int64Type>("times").unwrap(), [i64::MIN, -1]);
            assert_eq!(bundle.get_tokens("tokens").unwrap(), [7, u128::MAX]);
            assert_eq!(bundle.get_texts("labels").unwrap(), [Some("a".to_owned()), None]);
            assert_eq!(bundle.get_truths("positive").unwrap(), [true, false, true]);
            assert!(bundle.get::<UInt32Type>("times").is_err() && bundle.maybe::<UInt32Type>("none").is_none());
        }
        assert_eq!(seen, [vec![], vec![0, 1, 2, 3, 4]]);
        let cut = store::len(&path).unwrap() / 2;
        File::options().write(true).open(&path).and_then(|file| file.set_len(cut)).unwrap();
        assert!(read(&path).is_err() || read(&path).unwrap().any(|bundle| bundle.is_err()));
    }
}
