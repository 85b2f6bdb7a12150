//! The input's files as the judge sees them: footers, folders, and row groups as frames.

use std::path::PathBuf;

use arrow::datatypes::{DataType, Fields};
use polars::prelude::{Column, DataFrame, ParallelStrategy};
use polars_io::parquet::metadata::FileMetadataRef;

use super::columns::{folders, root_of};
use super::intervals;
use super::second;
use super::widened::Told;
use crate::error::{Error, Place, Result};
use crate::pipeline::Pipeline;
use crate::reader::readable_columns;
use crate::source::{HIVE_NULL, polars_footer, read_row_group, unless_panic};
use crate::store;

/// An input file.
pub struct InputFile {
    pub path: PathBuf,
    pub told: Told,
    footer: FileMetadataRef,
    /// The columns of its folders, and their values.
    folders: Vec<(String, Option<String>)>,
    /// What of it is read.
    columns: Vec<String>,
    /// Columns that Polars does not read.
    pub foreign: Vec<String>,
}

impl InputFile {
    /// `carried`: the payload columns of the dataset.
    ///
    /// # Errors
    /// A file that Polars can't read at all.
    pub fn open(p: &Pipeline, path: PathBuf, carried: &[String]) -> Result<Self> {
        let damaged = || Error::damaged(Place::file(&path), "Polars can't read it");
        let file = store::open_local(&path)?;
        let footer = unless_panic(|| polars_footer(file)).and_then(|f| f.ok()).ok_or_else(damaged)?;
        let schema = crate::reader::schema_of(&path).ok_or_else(damaged)?;
        let own = |name: &str| schema.index_of(name).is_ok();
        let named = p.named_columns();
        let roles: Vec<&str> = named.iter().map(|(_, name)| root_of(name, own)).collect();
        let mut columns: Vec<String> =
            carried.iter().map(String::as_str).chain(roles.iter().copied()).map(str::to_owned).collect();
        columns.sort_unstable();
        columns.dedup();
        let readable = readable_columns(&path);
        let is_readable = |name: &String| readable.as_ref().is_none_or(|readable| readable.contains(name));
        let is_foreign = |name: &&String| own(name) && !is_readable(name) && !intervals::is_one(&schema, name);
        let foreign = columns.iter().filter(is_foreign).cloned().collect();
        columns.retain(|name| own(name) && is_readable(name));
        let mut by_folder: Vec<(String, Option<String>)> = Vec::new();
        // The inner one of two folders with one name counts.
        for (key, value) in folders(&path).into_iter().filter(|_| p.hive) {
            let value = Some(value).filter(|value| value != HIVE_NULL);
            match by_folder.iter_mut().find(|(known, _)| *known == key) {
                Some((_, known)) => *known = value,
                None => by_folder.push((key, value)),
            }
        }
        let has_rows = footer.num_rows > 0;
        Ok(InputFile { told: Told { schema, has_rows }, footer, folders: by_folder, columns, foreign, path })
    }

    pub fn folder_names(&self) -> Vec<String> {
        self.folders.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Whether a column, or a field by its path, holds floats.
    pub fn has_floats(&self, name: &str) -> bool {
        fn at(fields: &Fields, name: &str) -> bool {
            fields.iter().any(|field| match name.strip_prefix(field.name().as_str()) {
                Some("") => field.data_type().is_floating(),
                Some(rest) => match (rest.strip_prefix('.'), field.data_type()) {
                    (Some(rest), DataType::Struct(fields)) => at(fields, rest),
                    _ => false,
                },
                None => false,
            })
        }
        at(self.told.schema.fields(), name)
    }

    pub fn row_groups(&self) -> usize {
        self.footer.row_groups.len()
    }

    /// The rows of a row group; of `foreign` columns digests of their values without what is left out, and of those with a role
    /// what that needs.
    ///
    /// # Errors
    /// A row group that can't be read.
    pub fn rows(&self, p: &Pipeline, row_group: usize, foreign: &[String], left_out: &[String]) -> Result<DataFrame> {
        let place = || Place::file(&self.path).row_group(row_group);
        let damaged = || Error::damaged(place(), "Polars can't read it");
        let rows = self.footer.row_groups.get(row_group).map_or(0, |group| group.num_rows());
        let mut frame = match self.columns.is_empty() {
            true => DataFrame::empty_with_height(rows),
            false => {
                let (file, columns) = (store::open_local(&self.path)?, Some(self.columns.clone()));
                let read = || read_row_group(file, &self.footer, row_group, columns, ParallelStrategy::Columns);
                unless_panic(read).and_then(|f| f.ok()).ok_or_else(damaged)?
            }
        };
        let mut more: Vec<Column> = intervals::columns(&self.path, row_group, |_| true).ok_or_else(damaged)?;
        more.extend(
            self.folders.iter().map(|(key, value)| Column::new(key.as_str().into(), vec![value.as_deref(); rows])),
        );
        let named = p.named_columns();
        for name in foreign.iter().filter(|name| self.told.schema.index_of(name).is_ok()) {
            more.extend(second::column(&self.path, row_group, name, left_out));
            // A role may be a field of it.
            let own = |name: &str| self.told.schema.index_of(name).is_ok();
            for (_, role) in named.iter().filter(|(_, role)| root_of(role, own) == name) {
                if p.time.as_ref() == Some(role) {
                    more.extend(second::time(&self.path, row_group, role));
                }
                more.extend(second::role(&self.path, Some(row_group), role));
            }
        }
        for column in more {
            frame.with_column(column).map_err(|e| Error::damaged(place(), e))?;
        }
        crate::source::plain_text(&mut frame);
        Ok(frame)
    }
}
