//! A file of the input: its footer, and where in it the input's columns are.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::Schema;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::{FileMetaData, ParquetMetaDataBuilder, RowGroupMetaData};
use parquet::schema::types::{SchemaDescriptor, Type};

use super::declared::with_declared_zones;
use super::guard::guarded;
use super::sniff::check_magic;
use super::stamp::Stamp;
use super::text_sizes::with_text_sizes;
use crate::error::{Error, Place, Result};
use crate::store;

/// An input file with its footer.
pub struct Shard {
    pub path: PathBuf,
    pub stamp: Stamp,
    pub footer: ArrowReaderMetadata,
    /// Values of the folder columns for all rows of this shard.
    pub hive: Vec<Option<String>>,
    /// The place among the file's columns of each column of the input.
    pub(super) roots: Arc<Vec<Option<usize>>>,
    /// The Parquet leaves of each of the file's columns.
    pub(super) leaves: Arc<Vec<Range<usize>>>,
}

impl Shard {
    /// By the footer.
    pub(super) fn has_rows(&self) -> bool {
        rows_of(&self.footer) > 0
    }

    /// A column's place in this file; `None` where it has none.
    pub(super) fn root(&self, column: usize) -> Option<usize> {
        self.roots[column]
    }

    /// The leaves of one of the file's columns.
    pub(super) fn leaves(&self, root: usize) -> Range<usize> {
        self.leaves[root].clone()
    }

    /// The footer of a file of one row group that had but this column: a reader looks at all columns that there are, and of
    /// thousands each would be looked at thousands of times.
    pub(super) fn alone(&self, root: usize, group: &RowGroupMetaData) -> ParquetResult<ArrowReaderMetadata> {
        let file = self.footer.metadata().file_metadata();
        let stored = self.footer.parquet_schema().root_schema();
        let fields = vec![Arc::clone(&stored.get_fields()[root])];
        let stored = Type::group_type_builder(stored.name()).with_fields(fields).build()?;
        let stored = Arc::new(SchemaDescriptor::new(Arc::new(stored)));
        let chunks = self.leaves(root).map(|leaf| group.column(leaf).clone()).collect();
        let group = RowGroupMetaData::builder(Arc::clone(&stored))
            .set_num_rows(group.num_rows())
            .set_total_byte_size(group.total_byte_size())
            .set_column_metadata(chunks)
            .build()?;
        let created_by = file.created_by().map(str::to_owned);
        let facts = FileMetaData::new(file.version(), group.num_rows(), created_by, None, stored, None);
        let metadata = ParquetMetaDataBuilder::new(facts).set_row_groups(vec![group]).build();
        let field = Arc::clone(&self.footer.schema().fields()[root]);
        let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(vec![field])));
        ArrowReaderMetadata::try_new(Arc::new(metadata), options)
    }
}

/// Rows, by a footer.
pub(super) fn rows_of(footer: &ArrowReaderMetadata) -> u64 {
    u64::try_from(footer.metadata().file_metadata().num_rows()).unwrap_or(0)
}

/// The leaves of each of a file's columns.
pub(super) fn leaves_by_root(footer: &ArrowReaderMetadata) -> Vec<Range<usize>> {
    let descriptor = footer.parquet_schema();
    let mut leaves: Vec<Range<usize>> = vec![0..0; footer.schema().fields().len()];
    for leaf in 0..descriptor.num_columns() {
        if let Some(own) = leaves.get_mut(descriptor.get_column_root_idx(leaf)) {
            *own = if own.end == 0 { leaf..leaf + 1 } else { own.start..leaf + 1 };
        }
    }
    leaves
}

/// Reads a file's footer, and what it is known by.
///
/// # Errors
/// A file that is no Parquet, called what it is, or damaged.
pub(super) fn footer(path: &Path) -> Result<(Stamp, ArrowReaderMetadata)> {
    let place = Place::file(path);
    let file = store::open(path)?;
    let stamp = Stamp::of(path, &file)?;
    let footer = guarded(&place, || {
        ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())
            .map(with_declared_zones)
            // An estimate; what is damaged shows where it is read.
            .map(|footer| with_text_sizes(&file, footer.clone()).unwrap_or(footer))
            .map_err(|e| Error::damaged(place.clone(), e))
    });
    match footer {
        Ok(footer) => Ok((stamp, footer)),
        // What is no Parquet at all is called what it is.
        Err(e) => check_magic(path).and(Err(e)),
    }
}
