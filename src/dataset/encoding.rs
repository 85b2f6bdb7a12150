//! How columns are encoded: chosen from the data and the footers, never from threads or memory.

use std::collections::HashMap;

use arrow::datatypes::Schema;
use parquet::arrow::ArrowSchemaConverter;
use parquet::basic::{Compression, Encoding};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};

use crate::error::{Error, Result};
use crate::schema;

/// For top-level payload columns by name: for each leaf, whether the input's dictionaries held all its values.
#[derive(Debug, Default, Clone)]
pub struct ColumnHints {
    pub dictionary: HashMap<String, Vec<bool>>,
    /// Whether the input stores its 64-bit dates as days, which other readers then take for dates.
    pub dates_as_days: bool,
}

/// Properties for the shards of a dataset with this schema.
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
        let dictionary = hints.dictionary.get(name).and_then(|leaves| leaves.get(*ordinal)).copied();
        *ordinal += 1;
        let path = column.path().clone();
        builder = match name.as_str() {
            schema::SAME_USER | schema::NEGATIVES => builder
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_statistics_enabled(path, EnabledStatistics::None),
            schema::SLOT
            | schema::USER_SLOT
            | schema::ITEM_SLOT
            | schema::REQUEST_SLOT
            | schema::EXCLUDED
            | schema::VALID_NEGATIVES => delta(builder, path),
            _ if dictionary == Some(false) => builder.set_column_dictionary_enabled(path, false),
            _ => builder,
        };
    }
    Ok(builder.build())
}

fn delta(builder: WriterPropertiesBuilder, path: parquet::schema::types::ColumnPath) -> WriterPropertiesBuilder {
    builder.set_column_dictionary_enabled(path.clone(), false).set_column_encoding(path, Encoding::DELTA_BINARY_PACKED)
}
