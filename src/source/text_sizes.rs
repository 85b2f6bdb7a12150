//! What texts take once they are decoded, where a footer does not tell: a dictionary of long ones is small in the file, and
//! large in memory.

use std::sync::Arc;

use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::Type;
use parquet::column::page::{Page, PageReader};
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::serialized_reader::SerializedPageReader;

use super::chunks::{dictionary_bytes, values};
use crate::store::Blob;

/// Chunks whose texts can't take more are not looked at: this much for each value of the dictionary, were there but one.
const WORTH_A_LOOK: u64 = 32 << 20;

/// The footer, in which chunks of texts without a word on their size have that of as many average values of their dictionary.
///
/// # Errors
/// A dictionary page that can't be read.
pub fn with_text_sizes(file: &Blob, footer: ArrowReaderMetadata) -> ParquetResult<ArrowReaderMetadata> {
    let metadata = footer.metadata();
    let is_open = |chunk: &ColumnChunkMetaData| {
        chunk.column_type() == Type::BYTE_ARRAY
            && chunk.unencoded_byte_array_data_bytes().is_none()
            && values(chunk).saturating_mul(dictionary_bytes(chunk)) > WORTH_A_LOOK
    };
    if !metadata.row_groups().iter().any(|group| group.columns().iter().any(is_open)) {
        return Ok(footer);
    }
    let mut groups = Vec::with_capacity(metadata.num_row_groups());
    for group in metadata.row_groups() {
        let mut columns = Vec::with_capacity(group.num_columns());
        for chunk in group.columns() {
            columns.push(match is_open(chunk) {
                true => {
                    let bytes = i64::try_from(texts(file, chunk, group.num_rows())?).ok();
                    chunk.clone().into_builder().set_unencoded_byte_array_data_bytes(bytes).build()?
                }
                false => chunk.clone(),
            });
        }
        groups.push(group.clone().into_builder().set_column_metadata(columns).build()?);
    }
    let sized = Arc::new(metadata.as_ref().clone().into_builder().set_row_groups(groups).build());
    let options = ArrowReaderOptions::new().with_schema(Arc::clone(footer.schema()));
    let sized = ArrowReaderMetadata::try_new(sized, options)?;
    // A reader that means another schema by it would decode something else.
    Ok(if sized.schema().fields() == footer.schema().fields() { sized } else { footer })
}

/// What a chunk's texts take, about.
fn texts(file: &Blob, chunk: &ColumnChunkMetaData, rows: i64) -> ParquetResult<u64> {
    let rows = usize::try_from(rows).unwrap_or(0);
    let mut pages = SerializedPageReader::new(Arc::new(file.clone()), chunk, rows, None)?;
    let Some(Page::DictionaryPage { buf, num_values, .. }) = pages.get_next_page()? else { return Ok(0) };
    // Each is stored behind the four bytes of its length.
    let texts = (buf.len() as u64).saturating_sub(4 * u64::from(num_values));
    Ok((texts as f64 / f64::from(num_values.max(1)) * values(chunk) as f64) as u64)
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, RecordBatch, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};
    use parquet::arrow::ArrowWriter;
    use parquet::file::properties::{EnabledStatistics, WriterProperties};

    use super::*;

    #[test]
    fn long_texts_of_a_dictionary_are_told_by_their_average() {
        let texts: ArrayRef =
            Arc::new(StringArray::from_iter_values((0..60_000).map(|k| format!("{:0>1000}", k % 10))));
        let schema = Arc::new(Schema::new(vec![Field::new("t", DataType::Utf8, true)]));
        let mut file = tempfile::NamedTempFile::new().unwrap();
        // As writers leave it that record no sizes.
        let properties = WriterProperties::builder().set_statistics_enabled(EnabledStatistics::None).build();
        let mut writer = ArrowWriter::try_new(&mut file, Arc::clone(&schema), Some(properties)).unwrap();
        writer.write(&RecordBatch::try_new(schema, vec![texts]).unwrap()).unwrap();
        writer.close().unwrap();
        let blob = crate::store::open(file.path()).unwrap();
        let footer = ArrowReaderMetadata::load(&blob, ArrowReaderOptions::new()).unwrap();
        assert_eq!(footer.metadata().row_group(0).column(0).unencoded_byte_array_data_bytes(), None);
        let sized = with_text_sizes(&blob, footer).unwrap();
        assert_eq!(sized.metadata().row_group(0).column(0).unencoded_byte_array_data_bytes(), Some(60_000_000));
    }
}
