//! How the input stores its columns, by its footers: what that takes, and how the output had best store them.

use arrow::datatypes::DataType;
use parquet::basic::{Encoding, Type};
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};

use super::preflight::{InputColumn, RowGroup, Shard, Source};

impl Source {
    /// What a column's values take in all shards, those in dictionaries as often as they occur, if footers tell that of texts.
    pub fn plain_bytes(&self, column: InputColumn) -> u64 {
        let InputColumn::File(index) = column else { return 0 };
        self.leaves(index).into_iter().flat_map(|leaf| self.chunks(leaf)).map(plain).sum()
    }

    /// What a column takes once decoded, as far as footers tell: at least its fixed-width values, and what is encoded.
    pub fn decoded_bytes(&self, column: InputColumn) -> u64 {
        self.row_groups.iter().map(|group| self.decoded_bytes_in(group, column)).sum()
    }

    /// What a column takes in one row group once decoded, as [`Source::decoded_bytes`] tells of all.
    pub fn decoded_bytes_in(&self, group: &RowGroup, column: InputColumn) -> u64 {
        let InputColumn::File(index) = column else { return u64::from(group.rows) * 16 };
        let chunks = self.shards[group.shard].footer.metadata().row_group(group.ordinal).columns();
        // Of texts, what they take if the footer tells, and where they begin; else a guess.
        let width = |chunk| width(chunk).unwrap_or(if texts(chunk).is_some() { 4 } else { 24 });
        let of_values =
            |chunk| values(chunk).saturating_mul(width(chunk) + 1).saturating_add(texts(chunk).unwrap_or(0));
        let decoded = |chunk| of_values(chunk).max(uncompressed(chunk));
        self.leaves(index).into_iter().filter_map(|leaf| chunks.get(leaf)).map(decoded).sum()
    }

    /// What a column's dictionaries take in one row group, about: a reader holds each whole.
    pub fn dictionary_bytes_in(&self, group: &RowGroup, column: InputColumn) -> u64 {
        let InputColumn::File(index) = column else { return 0 };
        let chunks = self.shards[group.shard].footer.metadata().row_group(group.ordinal).columns();
        self.leaves(index).into_iter().filter_map(|leaf| chunks.get(leaf)).map(dictionary_bytes).sum()
    }

    /// Whether there are 64-bit dates, in columns or in lists and structs, and all of them are stored as days.
    pub fn dates_as_days(&self) -> bool {
        let Some(shard) = self.shards.first() else { return false };
        let descriptor = shard.footer.parquet_schema();
        let mut stored = self.schema.fields().iter().enumerate().flat_map(|(root, field)| {
            let mut types = Vec::new();
            leaf_types(field.data_type(), &mut types);
            let dates = self.leaves(root).into_iter().zip(types).filter(|(_, leaf)| *leaf == DataType::Date64);
            dates.map(|(leaf, _)| descriptor.column(leaf).physical_type()).collect::<Vec<_>>()
        });
        stored.next() == Some(Type::INT32) && stored.all(|physical| physical == Type::INT32)
    }

    /// For each leaf of a column: whether dictionaries hold all its values, in every row group, and made it smaller.
    pub fn dictionaries(&self, column: InputColumn) -> Option<Vec<bool>> {
        let InputColumn::File(index) = column else { return None };
        let serves = |leaf: usize| {
            let stored: u64 = self.chunks(leaf).map(uncompressed).sum();
            let plain = self.chunks(leaf).map(|c| Some(values(c).saturating_mul(width(c)?))).sum::<Option<u64>>();
            self.chunks(leaf).all(in_dictionary) && plain.is_none_or(|plain| stored < plain)
        };
        Some(self.leaves(index).into_iter().map(serves).collect())
    }

    /// The leaves of a top-level column.
    fn leaves(&self, root: usize) -> Vec<usize> {
        let Some(shard) = self.shards.first() else { return Vec::new() };
        let descriptor = shard.footer.parquet_schema();
        (0..descriptor.num_columns()).filter(|leaf| descriptor.get_column_root_idx(*leaf) == root).collect()
    }

    /// A leaf's chunks, those of all row groups.
    fn chunks(&self, leaf: usize) -> impl Iterator<Item = &ColumnChunkMetaData> {
        let groups = self.shards.iter().flat_map(|s| s.footer.metadata().row_groups());
        groups.filter_map(move |group| group.columns().get(leaf))
    }
}

/// [`Source::plain_bytes`] in a row group.
pub(super) fn root_plain_bytes(shard: &Shard, group: &RowGroupMetaData, root: usize) -> u64 {
    let leaves = group.columns().iter().enumerate();
    leaves
        .filter(|(leaf, _)| shard.footer.parquet_schema().get_column_root_idx(*leaf) == root)
        .map(|(_, chunk)| plain(chunk))
        .sum()
}

fn plain(chunk: &ColumnChunkMetaData) -> u64 {
    uncompressed(chunk).max(texts(chunk).unwrap_or(0))
}

/// Bytes of all texts of a chunk, where writers record them.
fn texts(chunk: &ColumnChunkMetaData) -> Option<u64> {
    u64::try_from(chunk.unencoded_byte_array_data_bytes()?).ok()
}

fn uncompressed(chunk: &ColumnChunkMetaData) -> u64 {
    u64::try_from(chunk.uncompressed_size()).unwrap_or(0)
}

/// The dictionary page's share of a chunk, by the place where data pages begin.
fn dictionary_bytes(chunk: &ColumnChunkMetaData) -> u64 {
    let Some(start) = chunk.dictionary_page_offset() else { return 0 };
    let stored = u64::try_from(chunk.data_page_offset().saturating_sub(start)).unwrap_or(0);
    let of = u64::try_from(chunk.compressed_size()).unwrap_or(0).max(1);
    (stored.min(of) as f64 / of as f64 * uncompressed(chunk) as f64) as u64
}

fn values(chunk: &ColumnChunkMetaData) -> u64 {
    u64::try_from(chunk.num_values()).unwrap_or(0)
}

/// Bytes of a plain value, rounded up; `None` where it varies.
fn width(chunk: &ColumnChunkMetaData) -> Option<u64> {
    match chunk.column_type() {
        Type::BOOLEAN => Some(1),
        Type::INT32 | Type::FLOAT => Some(4),
        Type::INT64 | Type::DOUBLE => Some(8),
        Type::INT96 => Some(12),
        Type::FIXED_LEN_BYTE_ARRAY => Some(u64::try_from(chunk.column_descr().type_length()).unwrap_or(16)),
        Type::BYTE_ARRAY => None,
    }
}

/// Whether all data pages of a chunk refer to its dictionary, which did not overflow then.
fn in_dictionary(chunk: &ColumnChunkMetaData) -> bool {
    let of_dictionary = |e: Encoding| matches!(e, Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY);
    match chunk.dictionary_page_offset() {
        None => chunk.num_values() == 0,
        // The chunk's own list of encodings can't tell, as the dictionary itself is plain; that of its data pages can.
        Some(_) => chunk.page_encoding_stats_mask().is_none_or(|pages| pages.encodings().all(of_dictionary)),
    }
}

/// The types of a type's leaves, in the order in which Parquet has them.
fn leaf_types(data_type: &DataType, leaves: &mut Vec<DataType>) {
    match data_type {
        DataType::List(element)
        | DataType::LargeList(element)
        | DataType::ListView(element)
        | DataType::LargeListView(element)
        | DataType::FixedSizeList(element, _)
        | DataType::Map(element, _) => leaf_types(element.data_type(), leaves),
        DataType::Struct(fields) => fields.iter().for_each(|field| leaf_types(field.data_type(), leaves)),
        DataType::Dictionary(_, value) => leaf_types(value, leaves),
        leaf => leaves.push(leaf.clone()),
    }
}
