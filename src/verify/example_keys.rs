//! What tells examples apart where a dataset says nothing of its input.

use xxhash_rust::xxh3::xxh3_128;

use super::digest::digests;
use super::rows::BatchRows;
use crate::reader::Dataset;
use crate::schema;

/// A digest of each row's payload and identity, by which copies are told; request columns of layout "first" are left out.
pub fn example_keys(dataset: &Dataset, batch: &BatchRows) -> Vec<u128> {
    let skip = dataset.list("requests.columns");
    let mut keys: Vec<Vec<u8>> = vec![Vec::new(); batch.frame.height()];
    for column in batch.frame.columns() {
        let name = column.name().as_str();
        if skip.iter().any(|s| s == name) || (name.starts_with(schema::RESERVED) && name != schema::USER) {
            continue;
        }
        for (key, value) in keys.iter_mut().zip(digests(column.as_materialized_series())) {
            key.extend(value.unwrap_or(0).to_le_bytes());
        }
    }
    keys.iter().map(|k| xxh3_128(k)).collect()
}
