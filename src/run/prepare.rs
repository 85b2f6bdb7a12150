//! From the pipeline to the plan: everything that needs keys alone.

use std::path::PathBuf;

use arrow::datatypes::DataType;
use rayon::prelude::*;

use super::aside::Aside;
use super::{Settings, memory};
use crate::compose::{Plan, compose, windows};
use crate::dedup;
use crate::error::{Error, Place, Result};
use crate::identity::{KeyChunk, Keys, LeftOut, PlaneBuilder, Tokenizer, role_kind};
use crate::keys::KeyPlane;
use crate::negatives::Positives;
use crate::pipeline::{Field, Hash, Pipeline, Rule};
use crate::progress::Progress;
use crate::source::{self, InputColumn, Predicate, Source};
use crate::stats::batch_times;
use crate::store;
use crate::tasks::in_parallel;

/// All that is known before payload is touched.
pub struct Prepared {
    pub source: Source,
    pub tokenizer: Tokenizer,
    /// The examples: after `where`, null identities and dedup.
    pub plane: KeyPlane,
    pub plan: Plan,
    /// The first and the last time of each batch, where a time is mapped. The plane no longer has it.
    pub times: Option<Vec<(i64, i64)>>,
    /// Where a rule or an output needs them; over all rows that passed `where`.
    pub positives: Option<Positives>,
    pub left_out: LeftOut,
    /// Bytes of keys that went through a scratch file.
    pub spilled: u64,
    pub duplicates: u64,
    /// By item code: rows before dedup.
    pub item_rows_before: Vec<u32>,
    /// By item code: an input row that shows it.
    pub item_example: Vec<u32>,
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
    let Keys { mut plane, left_out, mut spilled } = read_keys(p, &source, &tokenizer, settings, progress)?;
    if plane.is_empty() {
        return Err(Error::input(
            Place::default(),
            format!(
                "no example is left of {} rows ({} fail input.where, {} have no identity)",
                source.rows, left_out.filtered, left_out.null_identity
            ),
            "loosen input.where, or add input",
        ));
    }
    plane.time_unit_nanos = time_unit(p, &source);
    warn_of_collisions(&plane, progress);

    progress.stage("deduplicating", 0);
    let (item_rows_before, item_example) = item_facts(&plane);
    let positives = (p.positives || p.rules.contains(&Rule::KnownPositive)).then(|| Positives::new(&plane));
    let rows = plane.len();
    if !p.dedup_key.is_empty() {
        let survivors = dedup::survivors(&plane, &p.dedup_key, p.keep);
        plane.select(&survivors);
    }
    let duplicates = (rows - plane.len()) as u64;

    progress.stage("composing", 0);
    let windows = windows(&plane, p)?;
    let mut aside = Aside::put(&mut plane, p, memory::room_for_keys(settings.memory), &scratch_dir(p, settings))?;
    let plan = compose(&plane, windows, p)?;
    if let Some(aside) = &mut aside {
        aside.bring_times(&mut plane)?;
    }
    let times = batch_times(&plane, &plan);
    plane.time = None;
    if let Some(aside) = aside {
        spilled += aside.bring_others(&mut plane, p)?;
    }
    Ok(Prepared {
        source,
        tokenizer,
        plane,
        plan,
        times,
        positives,
        left_out,
        spilled,
        duplicates,
        item_rows_before,
        item_example,
    })
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

fn scratch_dir(p: &Pipeline, settings: &Settings) -> PathBuf {
    settings.spill_dir.clone().unwrap_or_else(|| store::nearest_folder(&p.output))
}

fn read_keys(
    p: &Pipeline,
    source: &Source,
    tokenizer: &Tokenizer,
    settings: &Settings,
    progress: &Progress,
) -> Result<Keys> {
    let discreet = p.hash == Hash::Blake3;
    let predicate =
        |at, text: &Option<String>| text.as_ref().map(|t| Predicate::new(at, t, source, discreet)).transpose();
    let keep = predicate("input.where", &p.predicate)?;
    let positive = predicate("mask.positive", &p.positive)?;
    let room = memory::room_for_keys(settings.memory);
    let builder = PlaneBuilder::new(p, tokenizer, room, scratch_dir(p, settings));
    let columns: Vec<InputColumn> =
        builder.columns().iter().map(|name| Ok(source.column("columns", name)?.0)).collect::<Result<_>>()?;
    progress.stage("reading keys", source.row_groups.len());
    let groups: Vec<usize> = (0..source.row_groups.len()).collect();
    // In input order, in which the plane takes them in.
    in_parallel(
        &groups,
        |_| 0,
        |&ordinal| {
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
        },
    )?;
    builder.finish()
}

/// By item code: rows, and the first input row that shows it.
fn item_facts(plane: &KeyPlane) -> (Vec<u32>, Vec<u32>) {
    let Some(item) = &plane.item else { return (Vec::new(), Vec::new()) };
    let (mut rows, mut example) = (vec![0; item.len()], vec![u32::MAX; item.len()]);
    for (code, input_row) in item.rows.iter().zip(&plane.input_row) {
        rows[*code as usize] += 1;
        example[*code as usize] = example[*code as usize].min(*input_row);
    }
    (rows, example)
}

fn warn_of_collisions(plane: &KeyPlane, progress: &Progress) {
    let mut low: Vec<u64> = plane.identity.tokens.iter().map(|t| *t as u64).collect();
    low.par_sort_unstable();
    let collisions = low.windows(2).filter(|w| w[0] == w[1]).count();
    if collisions > 0 {
        progress.warn(&format!(
            "{collisions} identities share the low 64 bits of their tokens: bw_user can't tell them apart"
        ));
    }
}
