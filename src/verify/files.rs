//! Files: there, as long as recorded, with their digests; footers that say what the manifest says.

use std::sync::Arc;

use rayon::prelude::*;

use super::finding::{Finding, Findings};
use crate::reader::{Dataset, RecordedFile, footer_of, readable_columns, schema_of};
use crate::schema::{self, Generated};
use crate::store;

/// A shard whose footer can be read: rows of its row groups.
pub struct Readable {
    pub shard: usize,
    pub row_groups: Vec<usize>,
}

/// Checks all files; gives the shards that can be read further.
pub fn check(dataset: &Dataset, findings: &mut Findings) -> Vec<Readable> {
    let recorded: Vec<&RecordedFile> = dataset.recorded.shards.iter().chain(&dataset.recorded.tables).collect();
    let problems: Vec<Option<String>> = recorded
        .par_iter()
        .map(|file| match store::digest_file(&dataset.root.join(&file.path)) {
            Err(e) => Some(e.to_string()),
            Ok((bytes, _)) if bytes != file.bytes => Some(format!("it has {bytes} bytes, not {}", file.bytes)),
            Ok((_, digest)) if digest != file.xxh3_128 => {
                Some("its bytes are not those that were written (digest)".into())
            }
            Ok(_) => None,
        })
        .collect();
    for (file, problem) in recorded.iter().zip(problems) {
        if let Some(problem) = problem {
            findings.add(Finding::of(&file.path, problem));
        }
    }
    strangers(dataset, findings);
    sequence(dataset, findings);
    open_all(dataset, findings)
}

/// Files that the manifest does not know.
fn strangers(dataset: &Dataset, findings: &mut Findings) {
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for name in store::list_dir(&dataset.root.join(&folder)).unwrap_or_default() {
            let name = name.to_string_lossy();
            let path = if folder.is_empty() { name.into_owned() } else { format!("{folder}/{name}") };
            if store::is_dir(&dataset.root.join(&path)) {
                folders.push(path);
            } else if path != schema::MANIFEST
                && !dataset.recorded.shards.iter().chain(&dataset.recorded.tables).any(|f| f.path == path)
            {
                findings.add(Finding::of(path, "the manifest does not know this file"));
            }
        }
    }
}

/// Each rank's shards must follow one another, alike for all ranks.
fn sequence(dataset: &Dataset, findings: &mut Findings) {
    for rank in 0..dataset.ranks {
        let mut next = 0;
        for shard in dataset.recorded.shards.iter().filter(|s| s.rank == rank) {
            if shard.first_batch != next {
                let problem = format!("it should start with batch {next}, and starts with {}", shard.first_batch);
                findings.add_of_kind("sequence", Finding::of(&shard.path, problem));
            }
            next = shard.first_batch + shard.batches;
        }
        if next as u64 != dataset.count("batches") {
            let problem = format!("rank {rank} has {next} batches, counts.batches is {}", dataset.count("batches"));
            findings.add_of_kind("sequence", Finding::of(schema::MANIFEST, problem));
        }
    }
}

/// Opens all shards' footers.
pub fn open_all(dataset: &Dataset, findings: &mut Findings) -> Vec<Readable> {
    let mut first: Option<(usize, Arc<arrow::datatypes::Schema>)> = None;
    let mut out = Vec::new();
    for (k, shard) in dataset.recorded.shards.iter().enumerate() {
        let Some(footer) = footer_of(&dataset.root.join(&shard.path)) else {
            findings.add(Finding::of(&shard.path, "it can't be read as Parquet"));
            continue;
        };
        let facts = footer.metadata().file_metadata();
        if u64::try_from(facts.num_rows()) != Ok(shard.rows) {
            findings.add(Finding::of(&shard.path, format!("it has {} rows, not {}", facts.num_rows(), shard.rows)));
        }
        let wanted = [
            ("format", schema::FORMAT.to_owned()),
            ("batch_size", dataset.batch_size.to_string()),
            ("rank", shard.rank.to_string()),
            ("first_batch", shard.first_batch.to_string()),
            ("batches", shard.batches.to_string()),
            ("run", dataset.recorded.run_id.clone()),
        ];
        let pairs = facts.key_value_metadata();
        for (key, value) in wanted {
            let key = format!("batchwright.{key}");
            let found = pairs.into_iter().flatten().find(|p| p.key == key).and_then(|p| p.value.clone());
            if found.as_ref() != Some(&value) {
                let found = found.unwrap_or_else(|| "nothing".into());
                findings.add(Finding::of(&shard.path, format!("its footer says {key} = {found}, not {value}")));
            }
        }
        match &first {
            None => {
                check_schema(dataset, &shard.path, footer.schema(), findings);
                first = Some((k, Arc::clone(footer.schema())));
            }
            Some((other, schema)) if schema.fields() != footer.schema().fields() => {
                let other = &dataset.recorded.shards[*other].path;
                findings.add(Finding::of(&shard.path, format!("its schema is not that of {other}")));
                continue;
            }
            Some(_) => {}
        }
        let row_groups = footer.metadata().row_groups().iter().map(|g| g.num_rows().max(0) as usize).collect();
        out.push(Readable { shard: k, row_groups });
    }
    out
}

/// The payload columns that Polars does not read of a dataset's shards, but for intervals.
pub fn foreign_payload(dataset: &Dataset) -> Vec<String> {
    let Some(shard) = dataset.recorded.shards.first() else { return Vec::new() };
    let path = dataset.root.join(&shard.path);
    let (Some(schema), Some(readable)) = (schema_of(&path), readable_columns(&path)) else { return Vec::new() };
    let names = schema.fields().iter().map(|field| field.name().clone());
    names.filter(|name| !readable.contains(name) && !super::intervals::is_one(&schema, name)).collect()
}

/// The payload columns of a dataset.
pub fn payload_names(dataset: &Dataset) -> Vec<String> {
    let first = dataset.recorded.shards.first().and_then(|shard| schema_of(&dataset.root.join(&shard.path)));
    let names = first.iter().flat_map(|schema| schema.fields()).map(|field| field.name().clone());
    names.filter(|name| !name.starts_with(schema::RESERVED)).collect()
}

/// Payload columns must be those that the input gives, with these fields; of those in which files differ (false), metadata is
/// whichever file's.
pub fn check_payload(dataset: &Dataset, wanted: &[(arrow::datatypes::Field, bool)], findings: &mut Findings) {
    use arrow::datatypes::Field;
    for shard in dataset.recorded.shards.iter().take(1) {
        let Some(schema) = schema_of(&dataset.root.join(&shard.path)) else { return };
        let found: Vec<&Field> =
            schema.fields().iter().map(|f| f.as_ref()).filter(|f| !f.name().starts_with(schema::RESERVED)).collect();
        let names = |fields: &mut dyn Iterator<Item = &str>| fields.collect::<Vec<_>>().join(", ");
        let have = names(&mut found.iter().map(|f| f.name().as_str()));
        let want = names(&mut wanted.iter().map(|(f, _)| f.name().as_str()));
        if have != want {
            findings.add(Finding::of(&shard.path, format!("its payload columns are {have}; the input gives {want}")));
            continue;
        }
        for (found, (wanted, same)) in found.into_iter().zip(wanted) {
            let wanted = &dataset.written(wanted.clone());
            let what = |f: &Field| {
                let order = if f.dict_is_ordered() == Some(true) { ", ordered" } else { "" };
                format!("{}{order}{}", undescribed(f).data_type(), if f.is_nullable() { "" } else { " without nulls" })
            };
            let extension = |f: &Field| f.metadata().get("ARROW:extension:name").cloned();
            if what(found) != what(wanted) {
                let problem = format!("it is {}, and the input has {}", what(found), what(wanted));
                findings.add(Finding::of(&shard.path, problem).column(found.name()));
            } else if extension(found) != extension(wanted) {
                let problem = "its extension type is not the input's";
                findings.add(Finding::of(&shard.path, problem).column(found.name()));
            } else if *same && !same_metadata(found, wanted) {
                findings.add(Finding::of(&shard.path, "its field metadata is not the input's").column(found.name()));
            }
        }
    }
}

/// Whether two fields of one type have the same metadata, at any depth.
fn same_metadata(a: &arrow::datatypes::Field, b: &arrow::datatypes::Field) -> bool {
    use arrow::datatypes::{DataType::*, Field};
    fn below(field: &Field) -> Vec<&Field> {
        match field.data_type() {
            List(f) | LargeList(f) | FixedSizeList(f, _) | ListView(f) | LargeListView(f) | Map(f, _) => vec![f],
            Struct(fields) => fields.iter().map(|f| f.as_ref()).collect(),
            _ => Vec::new(),
        }
    }
    a.metadata() == b.metadata() && below(a).into_iter().zip(below(b)).all(|(a, b)| same_metadata(a, b))
}

/// A field without what is no value, at any depth: metadata, and what lists and maps call what they hold.
fn undescribed(field: &arrow::datatypes::Field) -> arrow::datatypes::Field {
    use arrow::datatypes::{DataType::*, Field, FieldRef};
    let child = |f: &FieldRef| std::sync::Arc::new(undescribed(f));
    let called = |f: &FieldRef, name: &str| std::sync::Arc::new(undescribed(f).with_name(name));
    let entries = |f: &FieldRef| match f.data_type() {
        Struct(fields) => {
            let fields = fields.iter().zip(["key", "value"]).map(|(f, name)| called(f, name)).collect();
            std::sync::Arc::new(Field::new("entries", Struct(fields), f.is_nullable()))
        }
        _ => child(f),
    };
    let data_type = match field.data_type() {
        List(f) => List(called(f, "item")),
        LargeList(f) => LargeList(called(f, "item")),
        FixedSizeList(f, n) => FixedSizeList(called(f, "item"), *n),
        ListView(f) => ListView(called(f, "item")),
        LargeListView(f) => LargeListView(called(f, "item")),
        Map(f, sorted) => Map(entries(f), *sorted),
        Struct(fields) => Struct(fields.iter().map(child).collect()),
        same => same.clone(),
    };
    Field::new(field.name(), data_type, field.is_nullable())
}

/// Generated columns must be there, with their types, behind the payload.
fn check_schema(dataset: &Dataset, path: &str, schema: &arrow::datatypes::Schema, findings: &mut Findings) {
    let has = |role: &str| dataset.role(role).is_some();
    let grouped = !dataset.classes().is_empty();
    let first = dataset.setting("requests.layout") == "first";
    let encoding = dataset.setting("mask.encoding");
    let positives = !dataset.list("mask.positives").is_empty();
    use Generated::*;
    let expected = [
        (Batch, true),
        (Slot, true),
        (Copy, true),
        (Anchor, true),
        (User, true),
        (Item, has("item")),
        (UserSlot, true),
        (ItemSlot, has("item")),
        (GroupSlot, grouped),
        (RequestSlot, first),
        (RequestFirst, first),
        (SameUser, dataset.batch_size <= schema::MAX_BITMAP_BATCH && encoding != "none"),
        (Negatives, encoding == "bitmap"),
        (Excluded, encoding == "slots"),
        (Positives, positives && encoding == "bitmap"),
        (PositiveSlots, positives && encoding == "slots"),
        (ValidPositives, positives),
        (ValidNegatives, true),
        (LogQ, has("item")),
    ];
    let mut generated = false;
    for field in schema.fields() {
        if field.name().starts_with(schema::RESERVED) {
            generated = true;
        } else if generated {
            findings.add(Finding::of(path, "payload must come before generated columns").column(field.name()));
        }
    }
    for (column, present) in expected {
        let wanted = dataset.written(column.field(dataset.batch_size));
        match schema.field_with_name(column.name()) {
            Err(_) if present => findings.add(Finding::of(path, "the column is missing").column(column.name())),
            // Another form of it is there.
            Ok(_) if !present && expected.iter().any(|(other, there)| *there && other.name() == column.name()) => {}
            Ok(_) if !present => {
                findings.add(Finding::of(path, "the column should not be there").column(column.name()))
            }
            Ok(found) if found.data_type() != wanted.data_type() || found.is_nullable() => {
                let problem = format!("it is {}, not {} without nulls", found.data_type(), wanted.data_type());
                findings.add(Finding::of(path, problem).column(column.name()));
            }
            _ => {}
        }
    }
}
