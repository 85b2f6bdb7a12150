//! One schema out of many: columns by name, each of the type that holds all its shards' values.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};

use super::paths::{find_path, without};
use super::unify::{extension, unify, with_extension};
use crate::error::{Error, Place, Result};
use crate::schema;

/// What the pipeline says of columns.
pub struct Names<'a> {
    /// Those with a role, and the pipeline key that names them.
    pub named: &'a [(&'static str, String)],
    /// Those that are not carried, and the key that says so.
    pub left_out: &'a [(&'static str, String)],
}

/// The input's schema, and the place of each of its columns in each shard's file.
pub struct OneSchema {
    pub schema: SchemaRef,
    pub roots: Vec<Arc<Vec<Option<usize>>>>,
}

/// Shards that share a schema.
struct Alike<'a> {
    fields: &'a Fields,
    /// The first of them, and the first with rows.
    first: usize,
    with_rows: Option<usize>,
    by_name: HashMap<&'a str, usize>,
}

/// A column of the input.
struct Column<'a> {
    /// As its first shard has it.
    first: &'a FieldRef,
    /// As shards with rows have it, the first of each.
    forms: Vec<(&'a FieldRef, usize)>,
    nullable: bool,
}

impl OneSchema {
    /// One schema for shards with these paths, schemas, and whether they have rows.
    ///
    /// # Errors
    /// Names that are reserved or come twice; types that nothing holds; a named column that a shard with rows lacks.
    pub fn of(paths: &[&Path], schemas: &[(SchemaRef, bool)], names: &Names<'_>) -> Result<Self> {
        let (alike, which) = group(paths, schemas)?;
        let mut columns: Vec<Column<'_>> = Vec::new();
        let mut by_name: HashMap<&str, usize> = HashMap::new();
        for some in &alike {
            for field in some.fields {
                let known = *by_name.entry(field.name().as_str()).or_insert(columns.len());
                if known == columns.len() {
                    columns.push(Column { first: field, forms: Vec::new(), nullable: false });
                }
                columns[known].nullable |= field.is_nullable();
                // A shard without rows fits every type.
                columns[known].forms.extend(some.with_rows.map(|shard| (field, shard)));
            }
        }
        let number = columns.len();
        for some in alike.iter().filter(|some| some.with_rows.is_some() && some.fields.len() < number) {
            for column in &mut columns {
                column.nullable |= !some.by_name.contains_key(column.first.name().as_str());
            }
        }
        let unread = names.unread();
        let fields_unread: Vec<&str> = unread.iter().copied().filter(|name| name.contains('.')).collect();
        let fields: Vec<FieldRef> = columns
            .iter()
            .map(|column| {
                let field = match unread.contains(column.first.name().as_str()) {
                    true => Field::clone(column.first),
                    false => column.unified(paths, &fields_unread)?,
                };
                let nullable = column.nullable || field.is_nullable();
                Ok(Arc::new(field.with_nullable(nullable)))
            })
            .collect::<Result<_>>()?;
        let fields = Fields::from(fields);
        names.named.iter().try_for_each(|(at, name)| check_there(at, name, &alike, paths, &fields))?;
        let roots: Vec<Arc<Vec<Option<usize>>>> = alike
            .iter()
            .map(|some| Arc::new(fields.iter().map(|f| some.by_name.get(f.name().as_str()).copied()).collect()))
            .collect();
        let metadata = schemas[0].0.metadata().clone();
        Ok(OneSchema {
            schema: Arc::new(Schema::new_with_metadata(fields, metadata)),
            roots: which.into_iter().map(|k| Arc::clone(&roots[k])).collect(),
        })
    }
}

impl<'a> Names<'a> {
    /// The columns that nobody reads, neither whole nor a field of theirs.
    pub(super) fn unread(&self) -> HashSet<&'a str> {
        let is_read = |column: &str| {
            self.named
                .iter()
                .any(|(_, name)| name.strip_prefix(column).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
        };
        self.left_out.iter().map(|(_, name)| name.as_str()).filter(|name| !is_read(name)).collect()
    }
}

/// Shards by schema, in the order of their first, and which each shard has.
fn group<'a>(paths: &[&Path], schemas: &'a [(SchemaRef, bool)]) -> Result<(Vec<Alike<'a>>, Vec<usize>)> {
    let mut alike: Vec<Alike<'a>> = Vec::new();
    let mut known: HashMap<(&Fields, Vec<bool>), usize> = HashMap::new();
    let mut which = Vec::with_capacity(schemas.len());
    for (shard, (schema, has_rows)) in schemas.iter().enumerate() {
        let fields = schema.fields();
        // Equality of fields leaves the order of dictionaries out.
        let ordered = fields.iter().map(|field| field.dict_is_ordered() == Some(true)).collect();
        let of = match known.get(&(fields, ordered)) {
            Some(of) => *of,
            None => {
                let ordered = fields.iter().map(|field| field.dict_is_ordered() == Some(true)).collect();
                known.insert((fields, ordered), alike.len());
                let by_name = names_of(paths[shard], fields)?;
                alike.push(Alike { fields, first: shard, with_rows: None, by_name });
                alike.len() - 1
            }
        };
        if *has_rows {
            alike[of].with_rows.get_or_insert(shard);
        }
        which.push(of);
    }
    Ok((alike, which))
}

/// Columns by name, which are all different and not ours.
fn names_of<'a>(path: &Path, fields: &'a Fields) -> Result<HashMap<&'a str, usize>> {
    let mut by_name = HashMap::with_capacity(fields.len());
    for (k, field) in fields.iter().enumerate() {
        let place = || Place::file(path).with_column(field.name());
        if field.name().starts_with(schema::RESERVED) {
            return Err(Error::input(
                place(),
                format!("the prefix `{}` is reserved for generated columns", schema::RESERVED),
                "rename it; a composed dataset can't be composed again",
            ));
        }
        if by_name.insert(field.name().as_str(), k).is_some() {
            return Err(Error::input(place(), "two columns have this name", "rename one of them"));
        }
        if let Some(twice) = field_twice(field.data_type()) {
            let problem = format!("two fields of a struct are called `{twice}`");
            return Err(Error::input(place(), problem, "rename one of them, or write it without"));
        }
    }
    Ok(by_name)
}

impl Column<'_> {
    /// The field that holds the values of all shards, but for fields of structs that nobody reads.
    fn unified(&self, paths: &[&Path], fields_unread: &[&str]) -> Result<Field> {
        let read = |field: &FieldRef| match self.forms.iter().all(|(other, _)| *other == field) {
            true => Field::clone(field),
            false => fields_unread.iter().fold(Field::clone(field), |field, name| without_path(field, name)),
        };
        let forms: Vec<(Field, usize)> = self.forms.iter().map(|(field, shard)| (read(field), *shard)).collect();
        let fields: Vec<&Field> = forms.iter().map(|(field, _)| field).collect();
        if fields.is_empty() {
            return Ok(Field::clone(self.first));
        }
        let why = match unify(&fields) {
            Ok(field) => {
                // A shard without rows tells of no extension type, and of all else that is no value.
                let metadata = with_extension(self.first, &field);
                return Ok(field.with_metadata(metadata));
            }
            Err(why) => why,
        };
        // The first shard that does not fit those before, and the first of them that it does not fit.
        let last = (1..fields.len()).find(|k| unify(&fields[..=*k]).is_err()).unwrap_or(fields.len() - 1);
        let other = (0..last).find(|k| unify(&[fields[*k], fields[last]]).is_err()).unwrap_or(0);
        let why = unify(&[fields[other], fields[last]]).err().unwrap_or(why);
        let ((here, shard), (there, from)) = (&forms[last], &forms[other]);
        Err(Error::input(
            Place::file(paths[*shard]).with_column(here.name()),
            format!("it is {} here but {} in {}: {why}", told(here), told(there), paths[*from].display()),
            "write it as one type, leave this file out, or leave the column out with input.drop",
        ))
    }
}

/// A field's type, and what it says of its values.
fn told(field: &Field) -> String {
    let ordered = if field.dict_is_ordered() == Some(true) { ", ordered" } else { "" };
    let extension = extension(field).map(|(name, _)| format!(" as {name}")).unwrap_or_default();
    format!("{}{ordered}{extension}", field.data_type())
}

/// A column without a field below it, if it has that.
fn without_path(column: Field, name: &str) -> Field {
    let Some((_, path, _)) = find_path(&Fields::from(vec![column.clone()]), name) else { return column };
    let nothing = || column.clone().with_data_type(DataType::Struct(Fields::empty()));
    without(&column, &path).unwrap_or_else(nothing)
}

/// A name that two fields of a struct have, at any depth.
fn field_twice(data_type: &DataType) -> Option<String> {
    use DataType::*;
    match data_type {
        Struct(fields) => {
            let mut seen = HashSet::with_capacity(fields.len());
            let twice =
                fields.iter().find(|field| !seen.insert(field.name().as_str())).map(|field| field.name().clone());
            twice.or_else(|| fields.iter().find_map(|field| field_twice(field.data_type())))
        }
        List(f) | LargeList(f) | FixedSizeList(f, _) | ListView(f) | LargeListView(f) | Map(f, _) => {
            field_twice(f.data_type())
        }
        _ => None,
    }
}

/// A column that the pipeline names must be in every shard with rows: a typo in one night's log must not unmask it.
fn check_there(at: &str, name: &str, alike: &[Alike<'_>], paths: &[&Path], fields: &Fields) -> Result<()> {
    let somewhere = |name: &str| alike.iter().any(|some| some.by_name.contains_key(name));
    // The path of a field is looked up where the struct's type is known; what is nowhere is told with its nearest name.
    let name = match find_path(fields, name) {
        Some((root, ..)) if !somewhere(name) => fields[root].name().as_str(),
        _ => name,
    };
    if !somewhere(name) {
        return Ok(());
    }
    let lacks = |some: &&Alike<'_>| some.with_rows.is_some() && !some.by_name.contains_key(name);
    let Some(shard) = alike.iter().find(lacks).and_then(|some| some.with_rows) else { return Ok(()) };
    let has = alike.iter().find(|some| some.by_name.contains_key(name)).map_or(0, |some| some.first);
    Err(Error::input(
        Place::file(paths[shard]).with_column(name),
        format!("{at} names it, and this file lacks it, though {} has it", paths[has].display()),
        "write the column, if only of nulls, or leave the file out",
    ))
}

/// `input.schema = "strict"`: what is read must be the same in all shards, in the same order.
///
/// # Errors
/// The first difference, with file, column and both types.
pub fn agree(paths: &[&Path], schemas: &[(SchemaRef, bool)], names: &Names<'_>) -> Result<()> {
    let unread = names.unread();
    let first = schemas[0].0.fields();
    for (path, (other, _)) in paths.iter().zip(schemas).skip(1) {
        let same_order = |(a, b): (&FieldRef, &FieldRef)| a.dict_is_ordered() == b.dict_is_ordered();
        if first == other.fields() && first.iter().zip(other.fields()).all(same_order) {
            continue;
        }
        difference(paths[0], first, path, other.fields(), &unread)?;
    }
    Ok(())
}

fn difference(first_path: &Path, first: &Fields, path: &Path, other: &Fields, unread: &HashSet<&str>) -> Result<()> {
    let drift = |column: &str, problem: String| {
        Err(Error::input(
            Place::file(path).with_column(column),
            problem,
            "write all shards with one schema, leave this one out, or set input.schema = \"widen\"",
        ))
    };
    let kept = |fields: &'_ Fields| -> Vec<FieldRef> {
        fields.iter().filter(|field| !unread.contains(field.name().as_str())).cloned().collect()
    };
    let (first, other) = (kept(first), kept(other));
    let there: HashMap<&str, (usize, &FieldRef)> =
        first.iter().enumerate().map(|(k, field)| (field.name().as_str(), (k, field))).collect();
    let here: HashMap<&str, ()> = other.iter().map(|field| (field.name().as_str(), ())).collect();
    let named = first_path.display();
    for (i, field) in other.iter().enumerate() {
        match there.get(field.name().as_str()) {
            None => return drift(field.name(), format!("{named} has no such column")),
            Some((_, f)) if f.data_type() != field.data_type() => {
                let (here, there) = (field.data_type(), f.data_type());
                return drift(field.name(), format!("it is {here} here but {there} in {named}"));
            }
            Some((_, f)) if *f != field || f.dict_is_ordered() != field.dict_is_ordered() => {
                let what = match f.is_nullable() == field.is_nullable() {
                    true if f.metadata() == field.metadata() => "dictionary's order",
                    true => "metadata",
                    false => "nullability",
                };
                return drift(field.name(), format!("its {what} differs from {named}"));
            }
            Some((k, _)) if *k != i => {
                return drift(field.name(), format!("it is column {i} here but column {k} in {named}"));
            }
            Some(_) => {}
        }
    }
    match first.iter().find(|f| !here.contains_key(f.name().as_str())) {
        Some(missing) => drift(missing.name(), format!("it is missing here but not in {named}")),
        None => Ok(()),
    }
}
