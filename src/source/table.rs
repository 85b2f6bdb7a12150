//! The whole input as one table: its columns, and its row groups in order.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{FieldRef, Schema};

use super::order::Order;
use super::shard::Shard;
use crate::error::{Error, Place, Result};
use crate::parallel::in_parallel;
use crate::pipeline::nearest;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InputColumn {
    /// A top-level column, by position in the input's schema.
    File(usize),
    /// A `key=value` folder, by position among the folders' keys.
    Hive(usize),
    /// A field of a struct, by position among those that the pipeline names.
    Nested(usize),
}

/// A field of a struct that the pipeline names by its path.
pub(super) struct Nested {
    /// The struct, by position in the input's schema.
    pub root: usize,
    pub path: Vec<String>,
    /// Called as the pipeline calls it.
    pub field: FieldRef,
}

/// The whole input: shards as one table, and their row groups in order.
pub struct Source {
    pub shards: Vec<Shard>,
    pub row_groups: Vec<RowGroup>,
    pub rows: u32,
    pub(super) schema: Arc<Schema>,
    pub(super) hive: Vec<FieldRef>,
    pub(super) nested: Vec<Nested>,
    pub(super) by_name: HashMap<String, InputColumn>,
    /// By column: the values of ordered dictionaries.
    pub(super) orders: HashMap<usize, Order>,
    /// What the output carries of the columns.
    pub(super) carried: Vec<(InputColumn, FieldRef)>,
    /// The column of items.
    pub(super) item: Option<InputColumn>,
    /// What a person should hear of it.
    pub notices: Vec<String>,
}

impl Source {
    /// All columns: the files' and, behind them, the folders'.
    pub fn fields(&self) -> impl Iterator<Item = (InputColumn, &FieldRef)> {
        let file = self.schema.fields().iter().enumerate().map(|(i, f)| (InputColumn::File(i), f));
        file.chain(self.hive.iter().enumerate().map(|(i, f)| (InputColumn::Hive(i), f)))
    }

    /// The columns that the output carries, with the types that it has of them.
    pub fn carried(&self) -> &[(InputColumn, FieldRef)] {
        &self.carried
    }

    pub fn field(&self, column: InputColumn) -> &FieldRef {
        match column {
            InputColumn::File(k) => &self.schema.fields()[k],
            InputColumn::Hive(k) => &self.hive[k],
            InputColumn::Nested(k) => &self.nested[k].field,
        }
    }

    /// The values of an ordered dictionary, which stand for their order; `None` for all other columns.
    pub fn order(&self, column: InputColumn) -> Option<&Order> {
        let InputColumn::File(k) = column else { return None };
        self.orders.get(&k)
    }

    /// Whether a column's values reach the output: on rows, or in the table of items.
    pub(super) fn is_shown(&self, column: InputColumn) -> bool {
        self.item == Some(column) || self.carried.iter().any(|(carried, _)| *carried == column)
    }

    /// Whether there is a column of this name, at the top.
    pub fn has_column(&self, name: &str) -> bool {
        matches!(self.by_name.get(name), Some(InputColumn::File(_) | InputColumn::Hive(_)))
    }

    /// Finds a column that the pipeline names at `at`.
    ///
    /// # Errors
    /// There is no such column; the nearest name is told.
    pub fn column(&self, at: &str, name: &str) -> Result<(InputColumn, &FieldRef)> {
        if let Some(column) = self.by_name.get(name) {
            return Ok((*column, self.field(*column)));
        }
        const MOST_SHOWN: usize = 40;
        let known: Vec<&str> = self.fields().map(|(_, f)| f.name().as_str()).collect();
        let remedy = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.len() > MOST_SHOWN => format!("the columns are: {}, …", known[..MOST_SHOWN].join(", ")),
            None => format!("the columns are: {}", known.join(", ")),
        };
        Err(Error::pipeline(at, format!("the input has no column `{name}`"), remedy))
    }

    /// What a row that is carried takes on average, texts of dictionaries as often as they occur, as far as footers tell.
    pub fn row_bytes(&self) -> u64 {
        let bytes: u64 = self.carried.iter().map(|(column, _)| self.plain_bytes(*column)).sum();
        bytes / u64::from(self.rows.max(1))
    }

    /// Looks at all files again.
    ///
    /// # Errors
    /// One has changed since its footer was read.
    pub fn check_unchanged(&self) -> Result<()> {
        in_parallel(&self.shards, |_| 0, |shard| shard.stamp.check(&shard.path)).map(drop)
    }

    pub fn place(&self, group: &RowGroup) -> Place {
        Place::file(&self.shards[group.shard].path).row_group(group.ordinal)
    }
}
