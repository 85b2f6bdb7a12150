//! Chooses how a payload column is stored, by trying on the first rows of the output.
//!
//! Composition changes what compresses: values that repeat side by side in the input, like the columns of a request, may
//! stand far apart in the output. So the input's word for a dictionary counts only if the output's rows bear it out.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{FieldRef, Schema};
use parquet::arrow::{ArrowSchemaConverter, ArrowWriter};
use parquet::basic::{Compression, Type};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use super::encoding::{LeafEncoding, LeafStorage, set_encoding};

/// Rows that decide.
pub const TRIAL_ROWS: usize = 8192;

/// A dictionary of the first rows alone saves less than it will on a whole row group; so it may be this much larger.
const DICTIONARY_MAY: f64 = 1.1;
/// What byte-stream-split or delta must come to, of plain.
const OTHERS_MUST: f64 = 0.97;

/// What compression must come to, of encoded values, to be worth its time. Packed differences have little left to take away:
/// trying took a twentieth of an inline run.
const COMPRESSED_MUST: f64 = 0.95;
/// Encoded bytes a row of leaves that it is asked of; those of narrow ones take no time.
const WIDE: f64 = 32.0;

/// What a leaf of the first rows takes, in bytes.
#[derive(Clone, Copy)]
struct Size {
    encoded: f64,
    compressed: f64,
}

/// The storage of each leaf of a column with these rows. `dictionary`: by leaf, whether the input's dictionaries served.
///
/// # Errors
/// Values that can't be encoded.
pub fn leaf_storage(
    field: &FieldRef,
    rows: &[ArrayRef],
    dictionary: &[bool],
    compression: Compression,
) -> Result<Vec<LeafStorage>, ParquetError> {
    use LeafEncoding::{Delta, Dictionary, Plain, Split};
    let schema = Arc::new(Schema::new(vec![Arc::clone(field)]));
    let leaves = ArrowSchemaConverter::new().convert(&schema)?;
    // What else than plain values or a dictionary may suit a leaf.
    let other = |leaf: usize| match leaves.column(leaf).physical_type() {
        Type::FLOAT | Type::DOUBLE => Split,
        Type::INT32 | Type::INT64 => Delta,
        _ => Plain,
    };
    let served = |leaf: usize| dictionary.get(leaf).copied().unwrap_or(false);
    let all = 0..leaves.num_columns();
    let sizes = |encoding: &dyn Fn(usize) -> LeafEncoding| -> Result<Vec<Size>, ParquetError> {
        let mut builder = WriterProperties::builder()
            .set_compression(compression)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_dictionary_enabled(false);
        for leaf in all.clone() {
            builder = set_encoding(builder, leaves.column(leaf).path().clone(), encoding(leaf));
        }
        let mut writer = ArrowWriter::try_new(std::io::sink(), Arc::clone(&schema), Some(builder.build()))?;
        for array in rows {
            writer.write(&RecordBatch::try_new(Arc::clone(&schema), vec![Arc::clone(array)])?)?;
        }
        let footer = writer.close()?;
        let chunks = |leaf: usize| footer.row_groups().iter().map(move |group| group.column(leaf));
        let size = |leaf: usize| Size {
            encoded: chunks(leaf).map(|chunk| chunk.uncompressed_size() as f64).sum(),
            compressed: chunks(leaf).map(|chunk| chunk.compressed_size() as f64).sum(),
        };
        Ok(all.clone().map(size).collect())
    };
    let plain = sizes(&|_| Plain)?;
    let dictionary = if all.clone().any(served) { sizes(&|_| Dictionary)? } else { plain.clone() };
    let others = if all.clone().any(|leaf| other(leaf) != Plain) { sizes(&other)? } else { plain.clone() };
    let number: usize = rows.iter().map(|array| array.len()).sum();
    let choose = |leaf: usize| {
        let (encoding, size) = match plain[leaf].compressed {
            plain if served(leaf) && dictionary[leaf].compressed <= DICTIONARY_MAY * plain => {
                (Dictionary, dictionary[leaf])
            }
            plain if others[leaf].compressed <= OTHERS_MUST * plain => (other(leaf), others[leaf]),
            _ => (Plain, plain[leaf]),
        };
        let wide = size.encoded >= WIDE * number as f64;
        LeafStorage { encoding, compressed: !wide || size.compressed <= COMPRESSED_MUST * size.encoded }
    };
    Ok(all.map(choose).collect())
}
