//! Stage 7, dataset: columns in, files out; alone makes anything visible.
//!
//! Takes the plan's cuts and, for each row group, its columns; gives shards, statistics, items, positives and the manifest.
//! Promises: the bytes depend on what is written alone, not on threads; everything is synced and re-read
//! before the one rename that makes it appear.

mod bitmaps;
mod commit;
mod cuts;
mod encode;
mod encoding;
mod inputs;
mod manifest;
mod ordered;
mod shards;
mod tables;
mod trial;

pub use bitmaps::{EncodedChunk, encode_bitmaps};
pub use commit::{check_inputs, check_target, holds_dataset, publish, reread};
pub use cuts::{Cuts, ShardCut};
pub use encode::ColumnSource;
pub use encoding::{ColumnHints, LeafEncoding, LeafStorage, writer_properties};
pub use inputs::input_records;
pub use manifest::{InputRecord, Manifest, ShardRecord, TableRecord};
pub use shards::{RowGroupColumns, ShardWriter, write_shards};
pub use tables::{ItemRow, write_items, write_positives, write_stats};
pub use trial::{TRIAL_ROWS, leaf_storage};
