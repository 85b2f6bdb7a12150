//! The stage `job`: a pipeline and the footers of its input, checked against one another.

use arrow::datatypes::DataType;

use crate::compose;
use crate::error::{Error, Result};
use crate::identity::{Kind, TAKEN, Tokenizer, role_kind, tick};
use crate::negatives;
use crate::pipeline::{Hash, Pipeline, TimeUnit};
use crate::progress::Progress;
use crate::source::{self, InputColumn, Source};

/// What is known once footers are read.
pub struct Job {
    pub source: Source,
    pub tokenizer: Tokenizer,
    /// What a person should hear of the input.
    pub notices: Vec<String>,
}

/// Finds the input and reads its footers.
///
/// # Errors
/// A pipeline that does not fit the input, an input that is not readable as one table, or a key file that is refused.
pub fn open(p: &Pipeline, progress: &Progress) -> Result<Job> {
    compose::mode(p).check(p)?;
    negatives::rules(p)?;
    let tokenizer = match (p.hash, &p.key_file) {
        (Hash::Blake3, Some(key_file)) => Tokenizer::blake3(key_file)?,
        _ => Tokenizer::xxh3(),
    };
    progress.stage("reading footers", 0, "");
    source::check_apart(&p.shards, &p.output)?;
    let found = source::discover(&p.shards)?;
    let mut notices: Vec<String> = found.notice(p.hash == Hash::Blake3).into_iter().collect();
    let source = Source::open(found.files, &source::Options::of(p))?;
    notices.extend(source.notices.iter().cloned());
    check_columns(p, &source)?;
    Ok(Job { source, tokenizer, notices })
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
pub fn time_unit(p: &Pipeline, time: &DataType) -> Option<u64> {
    let told = tick(time).and_then(|nanos| u64::try_from(nanos).ok());
    told.or_else(|| p.time_unit.map(TimeUnit::nanos))
}
