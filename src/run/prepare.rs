//! From the pipeline to the plan: everything that needs keys alone.

use arrow::datatypes::DataType;
use rayon::prelude::*;

use std::path::Path;

use super::composed::Composed;
use super::facts::Facts;
use super::memory::KeyRoom;
use super::{Settings, partitioned};
use crate::compose::{compose, windows};
use crate::dataset::Cuts;
use crate::dedup;
use crate::error::{Error, Place, Result};
use crate::identity::{Gathered, KeyChunk, LeftOut, PlaneBuilder, Tokenizer, role_kind};
use crate::keys::{Key, KeyPlane, Keys, PartedKeys};
use crate::negatives::Positives;
use crate::pipeline::{Field, Hash, Pipeline, Rule};
use crate::progress::Progress;
use crate::source::{self, InputColumn, Predicate, Source};
use crate::store::{self, MOST_PARTS, Parts};
use crate::tasks::in_parallel;

/// All that is known before payload is touched.
pub struct Prepared {
    pub source: Source,
    pub tokenizer: Tokenizer,
    /// The examples: after `where`, null identities and dedup.
    pub keys: Keys,
    pub composed: Composed,
    pub facts: Facts,
    /// Where a rule or an output needs them; over all rows that passed `where`.
    pub positives: Option<Positives>,
    pub left_out: LeftOut,
    /// Bytes of keys that went through scratch files.
    pub spilled: u64,
    pub duplicates: u64,
    room: KeyRoom,
}

impl Prepared {
    /// The folder of keys that are on file.
    pub fn key_folder(&self) -> Option<&Path> {
        matches!(self.keys, Keys::Filed(_)).then_some(self.room.folder.as_path())
    }

    /// For `number` parts of records.
    pub fn parts(&self, number: usize) -> Parts {
        Parts::new(number, self.room.bytes, &self.room.folder)
    }

    /// For `number` parts of rows with the columns of `shape`.
    pub fn parted(&self, shape: &KeyPlane, number: usize) -> PartedKeys {
        PartedKeys::new(shape, number, self.room.bytes, &self.room.folder)
    }
}

/// Reads keys and composes; writes nothing but nameless scratch files, if keys need them.
pub fn prepare(p: &Pipeline, settings: &Settings, progress: &Progress) -> Result<Prepared> {
    let tokenizer = match (p.hash, &p.key_file) {
        (Hash::Blake3, Some(key_file)) => Tokenizer::blake3(key_file)?,
        _ => Tokenizer::xxh3(),
    };
    progress.stage("reading footers", 0);
    let source = Source::open(source::discover(&p.shards)?, p.hive)?;
    check_columns(p, &source)?;
    let folder = settings.spill_dir.clone().unwrap_or_else(|| store::scratch_folder(&p.output));
    let room = KeyRoom::new(settings.memory, folder);
    let Gathered { mut keys, left_out, mut spilled } = read_keys(p, &source, &tokenizer, &room, progress)?;
    if keys.is_empty() {
        return Err(Error::input(
            Place::default(),
            format!(
                "no example is left of {} rows ({} fail input.where, {} have no identity)",
                source.rows, left_out.filtered, left_out.null_identity
            ),
            "loosen input.where, or add input",
        ));
    }
    keys.shape_mut().time_unit_nanos = time_unit(p, &source);
    warn_of_collisions(&keys.shape().identity.tokens, progress);

    progress.stage("deduplicating", 0);
    let mut facts = Facts::before_dedup(&keys)?;
    let wanted = p.positives || p.rules.contains(&Rule::KnownPositive);
    let positives = wanted.then(|| positives(&keys)).transpose()?;
    let rows = keys.len();
    if !p.dedup_key.is_empty() {
        let survivors = survivors(&keys, p, &room)?;
        keys.select(&survivors, &room.folder)?;
    }
    let duplicates = (rows - keys.len()) as u64;
    facts.add_examples(&keys)?;

    progress.stage("composing", 0);
    let composed = match &keys {
        Keys::Held(plane) => Composed::held(compose(plane, windows(plane, p)?, p)?),
        Keys::Filed(filed) => {
            let (plan, positions) = partitioned::compose(filed, p, &room)?;
            let cuts = Cuts::new(p, positions.len().div_ceil(p.batch_size), source.row_bytes());
            Composed::filed(filed, plan, positions, &cuts, &room)?
        }
    };
    spilled += composed.filed_bytes();
    Ok(Prepared { source, tokenizer, keys, composed, facts, positives, left_out, spilled, duplicates, room })
}

fn positives(keys: &Keys) -> Result<Positives> {
    let columns = [Key::Code(Field::Item), Key::Positive];
    Positives::of_pieces(keys.shape(), |each| {
        keys.each_piece(&columns, |_, plane| {
            each(plane);
            Ok(())
        })
    })
}

/// Whether each row survives dedup.
fn survivors(keys: &Keys, p: &Pipeline, room: &KeyRoom) -> Result<Vec<bool>> {
    if let Keys::Held(plane) = keys {
        return Ok(dedup::survivors(plane, &p.dedup_key, p.keep));
    }
    let columns: Vec<Key> = p.dedup_key.iter().cloned().map(Key::Code).chain([Key::Time]).collect();
    let mut parted: Option<PartedKeys> = None;
    keys.each_piece(&columns, |first, plane| {
        let parted = parted.get_or_insert_with(|| PartedKeys::new(plane, MOST_PARTS, room.bytes, &room.folder));
        // Rows that are equal come into one part.
        let hashes = dedup::hashes(plane, &p.dedup_key);
        hashes.enumerate().try_for_each(|(row, hash)| {
            parted.push((hash >> 32) as usize % MOST_PARTS, (first + row) as u32, plane, row)
        })
    })?;
    let mut survives = vec![false; keys.len()];
    let Some(parted) = parted else { return Ok(survives) };
    for part in 0..parted.len() {
        let (rows, plane) = parted.take(part)?;
        let kept = dedup::survivors(&plane, &p.dedup_key, p.keep);
        rows.into_iter().zip(kept).for_each(|(row, kept)| survives[row as usize] = kept);
    }
    Ok(survives)
}

/// Every column that the pipeline names must be there, with a type that fits its use.
fn check_columns(p: &Pipeline, source: &Source) -> Result<()> {
    let roles = [("columns.request", &p.request), ("columns.item", &p.item), ("columns.label", &p.label)];
    let mut keys: Vec<(&str, &str)> = p.identity.iter().map(|c| ("columns.identity", c.as_str())).collect();
    keys.extend(roles.iter().filter_map(|(at, column)| column.as_ref().map(|c| (*at, c.as_str()))));
    let named = |at: &'static str, fields: &'_ [Field]| -> Vec<(&'static str, String)> {
        let column = |f: &Field| if let Field::Column(name) = f { Some((at, name.clone())) } else { None };
        fields.iter().filter_map(column).collect()
    };
    let mut others = named("dedup.key", &p.dedup_key);
    for rule in &p.rules {
        if let Rule::Same(fields) = rule {
            others.extend(named("mask.rules", fields));
        }
    }
    keys.extend(others.iter().map(|(at, name)| (*at, name.as_str())));
    for (at, name) in keys {
        let (_, field) = source.column(at, name)?;
        if role_kind(field.data_type()).is_none() {
            return Err(Error::pipeline(
                at,
                format!("column `{name}` is {}", field.data_type()),
                "use an integer, boolean, string, binary, date, timestamp, or a dictionary of these",
            ));
        }
    }
    if let Some(time) = &p.time {
        let (_, field) = source.column("columns.time", time)?;
        let fits =
            |t: &DataType| t.is_integer() || matches!(t, DataType::Date32 | DataType::Date64 | DataType::Timestamp(..));
        let fits_in_dictionary = matches!(field.data_type(), DataType::Dictionary(_, v) if fits(v));
        if !fits(field.data_type()) && !fits_in_dictionary {
            return Err(Error::pipeline(
                "columns.time",
                format!("column `{time}` is {}", field.data_type()),
                "use an integer, a date or a timestamp",
            ));
        }
    }
    for name in &p.drop {
        source.column("input.drop", name)?;
    }
    for name in &p.request_columns {
        source.column("requests.columns", name)?;
    }
    Ok(())
}

fn time_unit(p: &Pipeline, source: &Source) -> Option<u64> {
    use arrow::datatypes::TimeUnit::*;
    let (_, field) = source.column("columns.time", p.time.as_ref()?).ok()?;
    let value = if let DataType::Dictionary(_, v) = field.data_type() { v } else { field.data_type() };
    match value {
        DataType::Date32 => Some(86_400_000_000_000),
        DataType::Date64 | DataType::Timestamp(Millisecond, _) => Some(1_000_000),
        DataType::Timestamp(Second, _) => Some(1_000_000_000),
        DataType::Timestamp(Microsecond, _) => Some(1_000),
        DataType::Timestamp(Nanosecond, _) => Some(1),
        _ => None,
    }
}

/// Row groups that each thread may read while the first of them is being read.
const READ_AHEAD: usize = 8;

fn read_keys(
    p: &Pipeline,
    source: &Source,
    tokenizer: &Tokenizer,
    room: &KeyRoom,
    progress: &Progress,
) -> Result<Gathered> {
    let discreet = p.hash == Hash::Blake3;
    let predicate =
        |at, text: &Option<String>| text.as_ref().map(|t| Predicate::new(at, t, source, discreet)).transpose();
    let keep = predicate("input.where", &p.predicate)?;
    let positive = predicate("mask.positive", &p.positive)?;
    let builder = PlaneBuilder::new(p, tokenizer, source.rows, room.bytes, room.folder.clone())?;
    let columns: Vec<InputColumn> =
        builder.columns().iter().map(|name| Ok(source.column("columns", name)?.0)).collect::<Result<_>>()?;
    progress.stage("reading keys", source.row_groups.len());
    let groups: Vec<usize> = (0..source.row_groups.len()).collect();
    let read = |&ordinal: &usize| {
        let group = &source.row_groups[ordinal];
        let evaluate = |p: &Option<Predicate>| p.as_ref().map(|p| p.evaluate(source, group)).transpose();
        let chunk = KeyChunk {
            place: source.place(group),
            first_row: group.first_row,
            columns: in_parallel(&columns, |_| 0, |column| source::decode(source, group, *column))?,
            keep: evaluate(&keep)?,
            positive: evaluate(&positive)?,
        };
        builder.add(ordinal, chunk)?;
        progress.advance(1);
        Ok(())
    };
    // In input order, in which the plane takes them in; no more wait for a slow one than are read side by side.
    for some in groups.chunks(READ_AHEAD * rayon::current_num_threads()) {
        in_parallel(some, |_| 0, read)?;
    }
    builder.finish()
}

fn warn_of_collisions(tokens: &[u128], progress: &Progress) {
    let mut low: Vec<u64> = tokens.iter().map(|t| *t as u64).collect();
    low.par_sort_unstable();
    let collisions = low.windows(2).filter(|w| w[0] == w[1]).count();
    if collisions > 0 {
        progress.warn(&format!(
            "{collisions} identities share the low 64 bits of their tokens: bw_user can't tell them apart"
        ));
    }
}
