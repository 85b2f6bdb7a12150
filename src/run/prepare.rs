//! From the pipeline to the plan: everything that needs keys alone.

use arrow::datatypes::DataType;
use rayon::prelude::*;

use super::Settings;
use super::facts::Facts;
use crate::compose::{Composed, Head, compose};
use crate::dataset::Cuts;
use crate::dedup;
use crate::error::{Error, Place, Result};
use crate::identity::Kind;
use crate::identity::{Gathered, KeyBuilder, KeyChunk, LeftOut, TAKEN, Tokenizer, role_kind, tick};
use crate::keys::{Key, Keys};
use crate::negatives::Positives;
use crate::pipeline::{Field, Hash, Pipeline, Rule, TimeUnit};
use crate::progress::Progress;
use crate::source::{self, InputColumn, Predicate, Source};
use crate::spill::{MOST_PARTITIONS, Room};
use crate::store;
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
    /// What a person should hear of the input.
    pub notices: Vec<String>,
    pub room: Room,
}

/// Reads keys and composes; writes nothing but nameless scratch files, if keys need them.
pub fn prepare(p: &Pipeline, settings: &Settings, progress: &Progress) -> Result<Prepared> {
    let tokenizer = match (p.hash, &p.key_file) {
        (Hash::Blake3, Some(key_file)) => Tokenizer::blake3(key_file)?,
        _ => Tokenizer::xxh3(),
    };
    progress.stage("reading footers", 0);
    source::check_apart(&p.shards, &p.output)?;
    let found = source::discover(&p.shards)?;
    let mut notices: Vec<String> = found.notice(p.hash == Hash::Blake3).into_iter().collect();
    let source = Source::open(found.files, &source::Options::of(p))?;
    notices.extend(source.notices.iter().cloned());
    check_columns(p, &source)?;
    let folder = settings.spill_dir.clone().unwrap_or_else(|| store::scratch_folder(&p.output));
    let room = Room::new(settings.memory, folder);
    let Gathered { mut keys, room, left_out, mut spilled } = read_keys(p, &source, &tokenizer, room, progress)?;
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
    let time = time_type(p, &source);
    keys.shape_mut().time_is_float = time.as_ref().is_some_and(DataType::is_floating);
    keys.shape_mut().time_unit_nanos = time.and_then(|time| time_unit(p, &time));
    warn_of_collisions(&keys.shape().identity.tokens, progress);

    progress.stage("deduplicating", 0);
    let mut facts = Facts::before_dedup(&keys)?;
    let wanted = p.positives || p.rules.contains(&Rule::KnownPositive);
    let positives = wanted.then(|| positives(&keys)).transpose()?;
    let rows = keys.len();
    if !p.dedup_key.is_empty() {
        let survivors = dedup::survivors_of(&keys, &p.dedup_key, p.keep, &room)?;
        keys.select(&survivors, &room)?;
    }
    let duplicates = (rows - keys.len()) as u64;
    facts.add_examples(&keys)?;

    progress.stage("composing", 0);
    let cut = |head: &Head| Cuts::new(p, head, source.row_bytes()).parts(MOST_PARTITIONS);
    let composed = compose(&keys, p, &room, cut)?;
    spilled += composed.filed_bytes();
    Ok(Prepared { source, tokenizer, keys, composed, facts, positives, left_out, spilled, duplicates, notices, room })
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

/// Every column that the pipeline names must be there, with a type that fits its use.
fn check_columns(p: &Pipeline, source: &Source) -> Result<()> {
    p.check_names(|name| source.has_column(name))?;
    for (at, name) in p.named_columns() {
        let (column, field) = source.column(at, &name)?;
        if at == "requests.columns" && matches!(column, InputColumn::Nested(_)) {
            let problem = format!("`{name}` is a field of a struct, and tables have whole columns");
            return Err(Error::pipeline(at, problem, "name the struct, or write the field as a column"));
        }
        if at == "requests.columns" || at == "columns.time" {
            continue;
        }
        if role_kind(field.data_type()).is_none() {
            return Err(Error::pipeline(at, format!("column `{name}` is {}", field.data_type()), TAKEN));
        }
    }
    let Some(time) = &p.time else { return Ok(()) };
    let (column, field) = source.column("columns.time", time)?;
    let is_folder = matches!(column, InputColumn::Hive(_));
    let plain = value_type(field.data_type());
    let is_number = !tells_time(plain) && role_kind(plain) == Some(Kind::Integer);
    let tells = tells_time(plain);
    if !is_folder && !is_number && !tells {
        return Err(Error::pipeline(
            "columns.time",
            format!("column `{time}` is {}", field.data_type()),
            "use an integer, a float, a date, a timestamp, or a folder that is a date",
        ));
    }
    if p.time_unit.is_some() && !is_number {
        return Err(Error::pipeline(
            "columns.time_unit",
            format!("column `{time}` is {}, which has a unit of its own", field.data_type()),
            "leave it out",
        ));
    }
    Ok(())
}

fn tells_time(data_type: &DataType) -> bool {
    tick(data_type).is_some()
}

fn value_type(data_type: &DataType) -> &DataType {
    if let DataType::Dictionary(_, value) = data_type { value } else { data_type }
}

/// The type in which times are told, of the column's type: folders are dates, decimals integers.
pub fn time_type(p: &Pipeline, source: &Source) -> Option<DataType> {
    let (column, field) = source.column("columns.time", p.time.as_ref()?).ok()?;
    Some(match (column, value_type(field.data_type())) {
        (InputColumn::Hive(_), _) => DataType::Date32,
        (_, plain) if plain.is_decimal() => DataType::Int64,
        (_, plain) => plain.clone(),
    })
}

/// Nanoseconds of a time's tick, where it is known.
fn time_unit(p: &Pipeline, time: &DataType) -> Option<u64> {
    let told = tick(time).and_then(|nanos| u64::try_from(nanos).ok());
    told.or_else(|| p.time_unit.map(TimeUnit::nanos))
}

/// Row groups that each thread may read while the first of them is being read.
const READ_AHEAD: usize = 8;

fn read_keys(
    p: &Pipeline,
    source: &Source,
    tokenizer: &Tokenizer,
    room: Room,
    progress: &Progress,
) -> Result<Gathered> {
    let discreet = p.hash == Hash::Blake3;
    let predicate =
        |at, text: &Option<String>| text.as_ref().map(|t| Predicate::new(at, t, source, discreet)).transpose();
    let keep = predicate("input.where", &p.predicate)?;
    let positive = predicate("mask.positive", &p.positive)?;
    let builder = KeyBuilder::new(p, tokenizer, time_type(p, source), source.rows, room)?;
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
