//! Values of stored columns.

use polars::prelude::Column;

/// An integer column; null is −1, which no generated column holds where it counts.
pub fn ints(column: &Column) -> Vec<i64> {
    let wide = column.cast(&polars::prelude::DataType::Int64);
    wide.ok()
        .and_then(|c| c.as_materialized_series().i64().ok().map(|c| c.iter().map(|v| v.unwrap_or(-1)).collect()))
        .unwrap_or_default()
}

/// Bytes as words, without end: zeros follow.
pub fn words_of(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    (0..).map(|w: usize| {
        let mut word = [0; 8];
        let own = bytes.get(w * 8..).unwrap_or_default();
        let n = own.len().min(8);
        word[..n].copy_from_slice(&own[..n]);
        u64::from_le_bytes(word)
    })
}
