//! Footers of all shards, read and compared before the first row.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};

use super::discover::Found;
use super::guard::guarded;
use crate::error::{Error, Place, Result};
use crate::pipeline::nearest;
use crate::schema;
use crate::store;
use crate::tasks::in_parallel;

/// Value that stands for null in a `key=value` folder.
pub const HIVE_NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// An input file with its footer.
pub struct Shard {
    pub path: PathBuf,
    pub bytes: u64,
    pub footer: ArrowReaderMetadata,
    /// Values of the folder columns for all rows of this shard.
    pub hive: Vec<Option<String>>,
}

/// A row group's place in the input.
#[derive(Debug, Clone, Copy)]
pub struct RowGroup {
    pub shard: usize,
    /// Ordinal in its file.
    pub ordinal: usize,
    /// Ordinal in the input of its first row.
    pub first_row: u32,
    pub rows: u32,
}

/// Where a column's values come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputColumn {
    /// A top-level column of the files, by position.
    File(usize),
    /// A `key=value` folder, by position among the folders' keys.
    Hive(usize),
}

/// The whole input: shards with one schema, and their row groups in order.
pub struct Source {
    pub shards: Vec<Shard>,
    pub row_groups: Vec<RowGroup>,
    pub rows: u32,
    pub(super) schema: Arc<Schema>,
    hive: Vec<FieldRef>,
}

impl Source {
    /// Reads the footers of `found`; `hive` turns `key=value` folders into string columns.
    pub fn open(found: Vec<Found>, hive: bool) -> Result<Self> {
        let footers = in_parallel(&found, |_| 0, |f| footer(&f.path))?;
        let schema = Arc::clone(footers[0].1.schema());
        for (f, (_, footer)) in found.iter().zip(&footers).skip(1) {
            agree(&found[0].path, &schema, &f.path, footer.schema())?;
        }
        if let Some(field) = schema.fields().iter().find(|f| f.name().starts_with(schema::RESERVED)) {
            return Err(Error::input(
                Place::file(&found[0].path).with_column(field.name()),
                "the prefix `bw_` is reserved for generated columns",
                "rename it; a composed dataset can't be composed again",
            ));
        }
        for (i, field) in schema.fields().iter().enumerate() {
            if schema.fields()[..i].iter().any(|f| f.name() == field.name()) {
                let place = Place::file(&found[0].path).with_column(field.name());
                return Err(Error::input(place, "two columns have this name", "rename one of them"));
            }
        }
        let keys = if hive { hive_keys(&found, &schema)? } else { Vec::new() };
        let mut shards = Vec::with_capacity(found.len());
        let mut row_groups = Vec::new();
        let mut rows = 0u64;
        for (found, (bytes, footer)) in found.into_iter().zip(footers) {
            for (ordinal, group) in footer.metadata().row_groups().iter().enumerate() {
                let n = u64::try_from(group.num_rows()).unwrap_or(u64::MAX);
                let end = rows.saturating_add(n);
                if end > u64::from(u32::MAX) {
                    return Err(Error::input(
                        Place::file(&found.path).row_group(ordinal),
                        "the input passes 4,294,967,295 rows here",
                        "compose it in parts",
                    ));
                }
                let (first_row, n) = (rows as u32, n as u32);
                if n > 0 {
                    row_groups.push(RowGroup { shard: shards.len(), ordinal, first_row, rows: n });
                }
                rows = end;
            }
            let values = keys.iter().map(|key| {
                let value = found.hive.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v.clone());
                value.filter(|v| v != HIVE_NULL)
            });
            shards.push(Shard { hive: values.collect(), path: found.path, bytes, footer });
        }
        let hive = keys.into_iter().map(|k| Field::new(k, DataType::Utf8, true).into()).collect();
        Ok(Source { shards, row_groups, rows: rows as u32, schema, hive })
    }

    /// All columns: the files' and, behind them, the folders'.
    pub fn fields(&self) -> impl Iterator<Item = (InputColumn, &FieldRef)> {
        let file = self.schema.fields().iter().enumerate().map(|(i, f)| (InputColumn::File(i), f));
        file.chain(self.hive.iter().enumerate().map(|(i, f)| (InputColumn::Hive(i), f)))
    }

    /// Finds a column that the pipeline names at `at`.
    pub fn column(&self, at: &str, name: &str) -> Result<(InputColumn, &FieldRef)> {
        self.fields().find(|(_, f)| f.name() == name).ok_or_else(|| {
            let known: Vec<&str> = self.fields().map(|(_, f)| f.name().as_str()).collect();
            let remedy = match nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the columns are: {}", known.join(", ")),
            };
            Error::pipeline(at, format!("the input has no column `{name}`"), remedy)
        })
    }

    /// What a row takes on average, uncompressed, by the footers.
    pub fn row_bytes(&self) -> u64 {
        let groups = self.shards.iter().flat_map(|s| s.footer.metadata().row_groups());
        let bytes: u64 = groups.map(|g| u64::try_from(g.total_byte_size()).unwrap_or(0)).sum();
        bytes / u64::from(self.rows.max(1))
    }

    pub fn place(&self, group: &RowGroup) -> Place {
        Place::file(&self.shards[group.shard].path).row_group(group.ordinal)
    }
}

fn footer(path: &Path) -> Result<(u64, ArrowReaderMetadata)> {
    let place = Place::file(path);
    let file = store::open(path)?;
    let bytes = store::len(path)?;
    guarded(&place, || {
        ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(|e| Error::damaged(place.clone(), e))
    })
    .map(|footer| (bytes, footer))
}

fn agree(first_path: &Path, first: &Schema, path: &Path, other: &Schema) -> Result<()> {
    let drift = |column: &str, problem: String| {
        Err(Error::input(
            Place::file(path).with_column(column),
            problem,
            "write all shards with one schema, or leave this one out",
        ))
    };
    for (i, field) in other.fields().iter().enumerate() {
        match first.field_with_name(field.name()) {
            Err(_) => return drift(field.name(), format!("{} has no such column", first_path.display())),
            Ok(f) if f.data_type() != field.data_type() => {
                let (here, there) = (field.data_type(), f.data_type());
                return drift(field.name(), format!("it is {here} here but {there} in {}", first_path.display()));
            }
            Ok(f) if f != field.as_ref() => {
                let what = if f.is_nullable() == field.is_nullable() { "metadata" } else { "nullability" };
                return drift(field.name(), format!("its {what} differs from {}", first_path.display()));
            }
            Ok(_) if first.fields().get(i).is_none_or(|f| f.name() != field.name()) => {
                return drift(field.name(), format!("it is column {i} here but not in {}", first_path.display()));
            }
            Ok(_) => {}
        }
    }
    match first.fields().iter().find(|f| other.field_with_name(f.name()).is_err()) {
        Some(missing) => drift(missing.name(), format!("it is missing here but not in {}", first_path.display())),
        None => Ok(()),
    }
}

fn hive_keys(found: &[Found], schema: &Schema) -> Result<Vec<String>> {
    let keys = |f: &Found| {
        let mut keys: Vec<String> = Vec::new();
        f.hive.iter().for_each(|(k, _)| {
            if !keys.contains(k) {
                keys.push(k.clone())
            }
        });
        keys
    };
    let first = keys(&found[0]);
    for f in found {
        if keys(f) != first {
            return Err(Error::input(
                Place::file(&f.path),
                format!("its key=value folders are not those of {}", found[0].path.display()),
                "lay out all shards alike, or set input.hive = false",
            ));
        }
    }
    if let Some(key) = first.iter().find(|k| schema.field_with_name(k).is_ok() || k.starts_with(schema::RESERVED)) {
        return Err(Error::input(
            Place::file(&found[0].path).with_column(key),
            "a folder and a column have this name, or it is reserved",
            "set input.hive = false, or rename one",
        ));
    }
    Ok(first)
}
