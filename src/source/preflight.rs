//! Footers of all shards, read and made one schema before the first row.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema};

use super::discover::Found;
use super::hive::HIVE_NULL;
use super::one_schema::{Names, OneSchema, agree};
use super::orders::{check_orders, orders, without_lost_orders};
use super::paths::{find_path, without};
use super::shard::{Shard, footer, leaves_by_root, rows_of};
use super::sql::Predicated;
use super::table::{InputColumn, Nested, RowGroup, Source};
use crate::error::{Error, Place, Result};
use crate::parallel::in_parallel;
use crate::pipeline::{Pipeline, SchemaMode};
use crate::schema;

/// How the input becomes one table.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub mode: SchemaMode,
    /// Whether `key=value` folders become string columns.
    pub hive: bool,
    /// Columns, and fields of structs, that play a role, with the pipeline key that names them: no shard may lack them.
    pub named: Vec<(&'static str, String)>,
    /// Those that the output does not carry, with the key that says so.
    pub left_out: Vec<(&'static str, String)>,
}

impl Options {
    /// Those of a pipeline.
    pub fn of(p: &Pipeline) -> Self {
        let predicates = [("input.where", &p.predicate), ("mask.positive", &p.positive)];
        let mut named = p.named_columns();
        for (at, sql) in predicates {
            named.extend(sql.iter().flat_map(|sql| Predicated::new(sql).columns()).map(|name| (at, name)));
        }
        Options { mode: p.schema, hive: p.hive, named, left_out: p.left_out() }
    }
}

impl Source {
    /// Reads the footers of `found` and makes their schemas one.
    ///
    /// # Errors
    /// A file that is no Parquet; schemas that no table holds without loss; a named column that a shard lacks.
    pub fn open(found: Vec<Found>, options: &Options) -> Result<Self> {
        let footers = in_parallel(&found, |_| 0, |f| footer(&f.path))?;
        let paths: Vec<&Path> = found.iter().map(|f| f.path.as_path()).collect();
        let names = Names { named: &options.named, left_out: &options.left_out };
        let schemas: Vec<_> = footers.iter().map(|(_, f)| (Arc::clone(f.schema()), rows_of(f) > 0)).collect();
        if options.mode == SchemaMode::Strict {
            agree(&paths, &schemas, &names)?;
        }
        let OneSchema { schema, roots } = OneSchema::of(&paths, &schemas, &names)?;
        check_orders(&paths, &schemas, &names)?;
        let (schema, unordered) = without_lost_orders(schema);
        let keys = if options.hive { hive_keys(&found, &schema)? } else { Vec::new() };
        let mut shards: Vec<Shard> = Vec::with_capacity(found.len());
        let mut row_groups = Vec::new();
        let mut rows = 0u64;
        let mut last_leaves: Option<Arc<Vec<Range<usize>>>> = None;
        for ((found, (stamp, footer)), roots) in found.into_iter().zip(footers).zip(roots) {
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
            let leaves = leaves_by_root(&footer);
            let leaves = last_leaves.take().filter(|last| **last == leaves).unwrap_or_else(|| Arc::new(leaves));
            last_leaves = Some(Arc::clone(&leaves));
            shards.push(Shard { hive: values.collect(), path: found.path, stamp, footer, roots, leaves });
        }
        let hive: Vec<FieldRef> = keys.into_iter().map(|k| Field::new(k, DataType::Utf8, true).into()).collect();
        let file = schema.fields().iter().enumerate().map(|(k, f)| (f.name().clone(), InputColumn::File(k)));
        let folders = hive.iter().enumerate().map(|(k, f)| (f.name().clone(), InputColumn::Hive(k)));
        let by_name: HashMap<String, InputColumn> = file.chain(folders).collect();
        let mut source = Source {
            shards,
            row_groups,
            rows: rows as u32,
            schema,
            hive,
            nested: Vec::new(),
            by_name,
            orders: HashMap::new(),
            carried: Vec::new(),
            item: None,
            notices: Vec::new(),
        };
        source.notices = unordered;
        source.bind_paths(options)?;
        let item = options.named.iter().find(|(at, _)| *at == "columns.item");
        source.item = item.and_then(|(_, name)| source.by_name.get(name).copied());
        source.carry(options)?;
        source.orders = orders(&source)?;
        Ok(source)
    }

    /// Finds the fields of structs that the pipeline names.
    fn bind_paths(&mut self, options: &Options) -> Result<()> {
        for (at, name) in &options.named {
            if self.by_name.contains_key(name) {
                continue;
            }
            let Some((root, path, field)) = find_path(self.schema.fields(), name) else { continue };
            for shard in self.shards.iter().filter(|shard| shard.has_rows()) {
                let own = shard.root(root).map(|k| shard.footer.schema().field(k));
                let lacks = own.is_none_or(|own| !own.data_type().is_null() && !has_path(own, &path));
                if lacks {
                    return Err(Error::input(
                        Place::file(&shard.path).with_column(name),
                        format!("{at} names it, and this file lacks it"),
                        "check the name, write the column, or leave the file out",
                    ));
                }
            }
            // A field in a struct keeps no order.
            let field = Field::clone(&field).with_name(name).with_nullable(true).with_dict_is_ordered(false);
            let field = Arc::new(field);
            self.by_name.insert(name.clone(), InputColumn::Nested(self.nested.len()));
            self.nested.push(Nested { root, path, field });
        }
        Ok(())
    }

    /// Settles what the output carries: all columns but those left out, structs without the fields left out.
    fn carry(&mut self, options: &Options) -> Result<()> {
        let mut fields: Vec<Option<FieldRef>> = self.schema.fields().iter().cloned().map(Some).collect();
        let mut hive: Vec<Option<FieldRef>> = self.hive.iter().cloned().map(Some).collect();
        for (at, name) in &options.left_out {
            match self.by_name.get(name) {
                Some(InputColumn::File(k)) => fields[*k] = None,
                Some(InputColumn::Hive(k)) => hive[*k] = None,
                Some(InputColumn::Nested(_)) | None => {
                    let Some((root, path, _)) = find_path(self.schema.fields(), name) else {
                        // A field that nobody reads may be left out of the schema already, and all of its struct.
                        let column = |shard: &Shard| {
                            let fields = shard.footer.schema().fields();
                            find_path(fields, name).map(|(root, ..)| fields[root].name().clone())
                        };
                        match self.shards.iter().find_map(column).and_then(|name| self.by_name.get(&name)) {
                            Some(InputColumn::File(k)) if is_empty(&self.schema.fields()[*k]) => fields[*k] = None,
                            Some(_) => {}
                            None => self.column(at, name).map(|_| ())?,
                        }
                        continue;
                    };
                    fields[root] = fields[root].take().and_then(|field| without(&field, &path)).map(Arc::new);
                }
            }
        }
        let file = fields.into_iter().enumerate().filter_map(|(k, f)| Some((InputColumn::File(k), f?)));
        let hive = hive.into_iter().enumerate().filter_map(|(k, f)| Some((InputColumn::Hive(k), f?)));
        self.carried = file.chain(hive).collect();
        Ok(())
    }
}

fn is_empty(field: &Field) -> bool {
    matches!(field.data_type(), DataType::Struct(fields) if fields.is_empty())
}

fn has_path(field: &Field, path: &[String]) -> bool {
    match (path.split_first(), field.data_type()) {
        (None, _) => true,
        (Some((name, rest)), DataType::Struct(fields)) => {
            fields.iter().find(|f| f.name() == name).is_some_and(|f| has_path(f, rest))
        }
        (Some(_), t) => t.is_null(),
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
