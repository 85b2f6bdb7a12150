//! Chooses how a payload column is encoded, by trying on the first rows of the output.
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

use super::encoding::{LeafEncoding, set_encoding};

/// Rows that decide.
pub const TRIAL_ROWS: usize = 8192;

/// A dictionary of the first rows alone saves less than it will on a whole row group; so it may be this much larger.
const DICTIONARY_MAY: f64 = 1.1;
/// What byte-stream-split or delta must come to, of plain.
const OTHERS_MUST: f64 = 0.97;

/// The encoding of each leaf of a column with these rows. `dictionary`: by leaf, whether the input's dictionaries served.
pub fn leaf_encodings(
    field: &FieldRef,
    rows: &[ArrayRef],
    dictionary: &[bool],
    compression: Compression,
) -> Result<Vec<LeafEncoding>, ParquetError> {
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
    if !all.clone().any(|leaf| other(leaf) != Plain || served(leaf)) {
        return Ok(vec![Plain; leaves.num_columns()]);
    }
    let sizes = |encoding: &dyn Fn(usize) -> LeafEncoding| -> Result<Vec<f64>, ParquetError> {
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
        let size = |leaf: usize| footer.row_groups().iter().map(|g| g.column(leaf).compressed_size() as f64).sum();
        Ok(all.clone().map(size).collect())
    };
    let plain = sizes(&|_| Plain)?;
    let dictionary = if all.clone().any(served) { sizes(&|_| Dictionary)? } else { plain.clone() };
    let others = if all.clone().any(|leaf| other(leaf) != Plain) { sizes(&other)? } else { plain.clone() };
    let choose = |leaf: usize| match leaf {
        _ if served(leaf) && dictionary[leaf] <= DICTIONARY_MAY * plain[leaf] => Dictionary,
        _ if others[leaf] <= OTHERS_MUST * plain[leaf] => other(leaf),
        _ => Plain,
    };
    Ok(all.map(choose).collect())
}
