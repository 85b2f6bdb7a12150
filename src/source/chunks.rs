//! What footers tell of a column chunk.

use parquet::basic::{Encoding, Type};
use parquet::file::metadata::ColumnChunkMetaData;

pub(super) fn plain(chunk: &ColumnChunkMetaData) -> u64 {
    uncompressed(chunk).max(texts(chunk).unwrap_or(0))
}

/// Bytes of all texts of a chunk, where writers record them.
pub(super) fn texts(chunk: &ColumnChunkMetaData) -> Option<u64> {
    u64::try_from(chunk.unencoded_byte_array_data_bytes()?).ok()
}

pub(super) fn uncompressed(chunk: &ColumnChunkMetaData) -> u64 {
    u64::try_from(chunk.uncompressed_size()).unwrap_or(0)
}

/// The dictionary page's share of a chunk, by the place where data pages begin.
pub(super) fn dictionary_bytes(chunk: &ColumnChunkMetaData) -> u64 {
    let Some(start) = chunk.dictionary_page_offset() else { return 0 };
    let stored = u64::try_from(chunk.data_page_offset().saturating_sub(start)).unwrap_or(0);
    let of = u64::try_from(chunk.compressed_size()).unwrap_or(0).max(1);
    (stored.min(of) as f64 / of as f64 * uncompressed(chunk) as f64) as u64
}

pub(super) fn values(chunk: &ColumnChunkMetaData) -> u64 {
    u64::try_from(chunk.num_values()).unwrap_or(0)
}

/// Bytes of a plain value, rounded up; `None` where it varies.
pub(super) fn width(chunk: &ColumnChunkMetaData) -> Option<u64> {
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
pub(super) fn in_dictionary(chunk: &ColumnChunkMetaData) -> bool {
    let of_dictionary = |e: Encoding| matches!(e, Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY);
    match chunk.dictionary_page_offset() {
        None => chunk.num_values() == 0,
        // The chunk's own list of encodings can't tell, as the dictionary itself is plain; that of its data pages can.
        Some(_) => chunk.page_encoding_stats_mask().is_none_or(|pages| pages.encodings().all(of_dictionary)),
    }
}
