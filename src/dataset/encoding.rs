//! How columns are encoded: chosen from the data and the footers, never from threads or memory.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowSchemaConverter;
use parquet::basic::{Compression, Encoding};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

use super::encode::is_bitmap;
use crate::error::{Error, Result};
use crate::schema;

/// How a leaf of a payload column is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeafEncoding {
    Dictionary,
    Plain,
    /// BYTE_STREAM_SPLIT: the first bytes of all values, then the second, and so on; floats compress better so.
    Split,
    /// DELTA_BINARY_PACKED: differences of neighbours, in as many bits as they need; for integers near one another.
    Delta,
}

/// How a leaf of a payload column is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeafStorage {
    pub encoding: LeafEncoding,
    /// Whether compressing it is worth the time.
    pub compressed: bool,
}

/// What the data asks for.
#[derive(Debug, Default, Clone)]
pub struct ColumnHints {
    /// For top-level payload columns by name, of each leaf.
    pub leaves: HashMap<String, Vec<LeafStorage>>,
    /// Whether the input stores its 64-bit dates as days, which other readers then take for dates.
    pub dates_as_days: bool,
    /// Bitmap columns of which rows come again, and the most bytes that a row group's distinct ones are worth; the others
    /// have no dictionary.
    pub bitmaps: Vec<(&'static str, usize)>,
}

/// Properties for the shards of a dataset with this schema.
///
/// # Errors
/// A column of a type that has no Parquet form.
pub fn writer_properties(schema: &Schema, compression: Compression, hints: &ColumnHints) -> Result<WriterProperties> {
    let coerce = hints.dates_as_days;
    let descriptor = ArrowSchemaConverter::new().with_coerce_types(coerce).convert(schema).map_err(|e| {
        Error::pipeline("columns", format!("a column's type has no Parquet form ({e})"), "drop it with input.drop")
    })?;
    let mut builder = WriterProperties::builder()
        .set_compression(compression)
        // Days stay days: written as milliseconds, they would be plain integers to every reader but ours.
        .set_coerce_types(coerce)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(false);
    let mut leaf_of_root: HashMap<usize, usize> = HashMap::new();
    for (leaf, column) in descriptor.columns().iter().enumerate() {
        let root = descriptor.get_column_root_idx(leaf);
        let ordinal = leaf_of_root.entry(root).or_default();
        let name = schema.field(root).name();
        let leaf = hints.leaves.get(name).and_then(|leaves| leaves.get(*ordinal)).copied();
        *ordinal += 1;
        let path = column.path().clone();
        builder = match name.as_str() {
            name if is_bitmap(name, schema.field(root).data_type()) => {
                let limit = hints.bitmaps.iter().find(|(bitmaps, _)| *bitmaps == name).map_or(0, |(_, limit)| *limit);
                builder
                    .set_column_dictionary_enabled(path.clone(), limit > 0)
                    .set_column_dictionary_page_size_limit(path.clone(), limit)
                    .set_column_statistics_enabled(path, EnabledStatistics::None)
            }
            schema::SLOT
            | schema::USER_SLOT
            | schema::ITEM_SLOT
            | schema::REQUEST_SLOT
            | schema::EXCLUDED
            | schema::OWN_POSITIVES
            | schema::VALID_POSITIVES
            | schema::VALID_NEGATIVES => set_encoding(builder, path, LeafEncoding::Delta),
            // A type that needs its dictionary must not overflow it.
            _ if needs_dictionary(schema.field(root)) => builder
                .set_column_dictionary_enabled(path.clone(), true)
                .set_column_dictionary_page_size_limit(path, i32::MAX as usize),
            _ => match leaf {
                Some(LeafStorage { encoding, compressed }) => {
                    let codec = if compressed { compression } else { Compression::UNCOMPRESSED };
                    set_encoding(builder, path.clone(), encoding).set_column_compression(path, codec)
                }
                None => builder,
            },
        };
    }
    Ok(builder.build())
}

/// Whether a column holds categories of Polars, which that reads from dictionaries only.
fn needs_dictionary(field: &Field) -> bool {
    let marked = |field: &Field| field.metadata().keys().any(|key| key.starts_with("_PL_"));
    marked(field)
        || match field.data_type() {
            DataType::Struct(fields) => fields.iter().any(|field| needs_dictionary(field)),
            DataType::List(element)
            | DataType::LargeList(element)
            | DataType::FixedSizeList(element, _)
            | DataType::Map(element, _) => needs_dictionary(element),
            _ => false,
        }
}

/// Sets the encoding of a leaf.
pub(super) fn set_encoding(
    builder: WriterPropertiesBuilder,
    path: ColumnPath,
    encoding: LeafEncoding,
) -> WriterPropertiesBuilder {
    let builder = builder.set_column_dictionary_enabled(path.clone(), encoding == LeafEncoding::Dictionary);
    match encoding {
        LeafEncoding::Split => builder.set_column_encoding(path, Encoding::BYTE_STREAM_SPLIT),
        LeafEncoding::Delta => builder.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED),
        LeafEncoding::Dictionary | LeafEncoding::Plain => builder,
    }
}
