//! How the input stores its columns, by its footers: what that takes, and how the output had best store them.

use arrow::datatypes::DataType;
use parquet::basic::{Compression, Type};
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};

use super::chunks::{dictionary_bytes, in_dictionary, plain, texts, uncompressed, values, width};
use super::shard::Shard;
use super::table::{InputColumn, RowGroup, Source};

/// What compression must come to, of what it is given.
const SHRINKS: f64 = 0.9;

impl Source {
    /// What a column's values take in all shards, those in dictionaries as often as they occur, if footers tell that of texts.
    pub fn plain_bytes(&self, column: InputColumn) -> u64 {
        self.chunks(column).map(plain).sum()
    }

    /// [`Source::plain_bytes`] of one row group.
    pub(super) fn plain_bytes_in(&self, group: &RowGroup, column: InputColumn) -> u64 {
        self.chunks_in(group, column).map(plain).sum()
    }

    /// What a column takes once decoded, as far as footers tell: at least its fixed-width values, and what is encoded.
    pub fn decoded_bytes(&self, column: InputColumn) -> u64 {
        self.row_groups.iter().map(|group| self.decoded_bytes_in(group, column)).sum()
    }

    /// What a column takes in one row group once decoded, as [`Source::decoded_bytes`] tells of all.
    pub fn decoded_bytes_in(&self, group: &RowGroup, column: InputColumn) -> u64 {
        if matches!(column, InputColumn::Hive(_)) {
            return u64::from(group.rows) * 16;
        }
        // Texts take what the footer tells, and where they begin; else this is a guess.
        let width = |chunk| width(chunk).unwrap_or(if texts(chunk).is_some() { 4 } else { 24 });
        let of_values =
            |chunk| values(chunk).saturating_mul(width(chunk) + 1).saturating_add(texts(chunk).unwrap_or(0));
        self.chunks_in(group, column).map(|chunk| of_values(chunk).max(uncompressed(chunk))).sum()
    }

    /// What a column's dictionaries take in one row group, about: a reader holds each whole.
    pub fn dictionary_bytes_in(&self, group: &RowGroup, column: InputColumn) -> u64 {
        self.chunks_in(group, column).map(dictionary_bytes).sum()
    }

    /// Whether a column's values are worth compressing while they wait: whether the input's own compression was worth it, or,
    /// where it has none or values stand in dictionaries, whether they are likely to be alike.
    pub fn shrinks(&self, column: InputColumn) -> bool {
        let alike = |chunk: &ColumnChunkMetaData| chunk.column_type() == Type::BYTE_ARRAY || in_dictionary(chunk);
        let (mut stored, mut plain, mut any_alike) = (0u64, 0u64, false);
        for chunk in self.chunks(column) {
            any_alike |= alike(chunk);
            if chunk.compression() != Compression::UNCOMPRESSED {
                stored += u64::try_from(chunk.compressed_size()).unwrap_or(0);
                plain += uncompressed(chunk);
            }
        }
        any_alike || (plain > 0 && stored as f64 <= SHRINKS * plain as f64)
    }

    /// Whether there are 64-bit dates, in columns or in lists and structs, and all of them are stored as days.
    pub fn dates_as_days(&self) -> bool {
        let mut any = false;
        let mut holds_dates = self.schema.fields().iter().enumerate().filter(|(_, field)| {
            let mut types = Vec::new();
            leaf_types(field.data_type(), &mut types);
            types.contains(&DataType::Date64)
        });
        let as_days = |(column, _): (usize, _)| {
            self.shards.iter().all(|shard| {
                let Some(root) = shard.root(column) else { return true };
                let mut types = Vec::new();
                leaf_types(shard.footer.schema().field(root).data_type(), &mut types);
                let descriptor = shard.footer.parquet_schema();
                let mut dates = shard.leaves(root).zip(types).filter(|(_, leaf)| *leaf == DataType::Date64);
                dates.all(|(leaf, _)| {
                    any = true;
                    descriptor.column(leaf).physical_type() == Type::INT32
                })
            })
        };
        holds_dates.all(as_days) && any
    }

    /// For each leaf of a column: whether dictionaries hold all its values, in every row group, and made it smaller. `None`
    /// where footers can't tell, as shards have it otherwise than the output will.
    pub fn dictionaries(&self, column: InputColumn, carried: &DataType) -> Option<Vec<bool>> {
        let InputColumn::File(index) = column else { return None };
        let mut types = Vec::new();
        leaf_types(carried, &mut types);
        let serves = |leaf: usize| {
            let (mut stored, mut plain, mut all) = (0u64, Some(0u64), true);
            for group in &self.row_groups {
                let Some(chunk) = self.chunks_in(group, column).nth(leaf) else { continue };
                stored += uncompressed(chunk);
                plain = plain.and_then(|sum| Some(sum.saturating_add(values(chunk).saturating_mul(width(chunk)?))));
                all &= in_dictionary(chunk);
            }
            all && plain.is_none_or(|plain| stored < plain)
        };
        let leaves = |shard: &Shard| shard.root(index).map(|root| shard.leaves(root).len());
        let alike = self.shards.iter().filter_map(leaves).all(|leaves| leaves == types.len());
        alike.then(|| (0..types.len()).map(serves).collect())
    }

    /// A column's chunks in one row group, by leaf; none where the shard lacks it.
    fn chunks_in(&self, group: &RowGroup, column: InputColumn) -> impl Iterator<Item = &ColumnChunkMetaData> {
        let shard = &self.shards[group.shard];
        let root = match column {
            InputColumn::File(index) => shard.root(index),
            InputColumn::Nested(k) => shard.root(self.nested[k].root),
            InputColumn::Hive(_) => None,
        };
        let chunks = shard.footer.metadata().row_group(group.ordinal).columns();
        root.map_or(0..0, |root| shard.leaves(root)).filter_map(|leaf| chunks.get(leaf))
    }

    /// A column's chunks, those of all row groups.
    fn chunks(&self, column: InputColumn) -> impl Iterator<Item = &ColumnChunkMetaData> {
        self.row_groups.iter().flat_map(move |group| self.chunks_in(group, column))
    }
}

/// What leaves take in a row group, as [`Source::plain_bytes`] tells of all.
pub(super) fn plain_bytes_of(group: &RowGroupMetaData, leaves: impl Iterator<Item = usize>) -> u64 {
    leaves.filter_map(|leaf| group.columns().get(leaf)).map(plain).sum()
}

/// The types of a type's leaves, in the order in which Parquet has them.
pub(super) fn leaf_types(data_type: &DataType, leaves: &mut Vec<DataType>) {
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
