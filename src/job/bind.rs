//! A pipeline, bound to what the input has: every column that it names is there, with a type that fits its use.

use arrow::datatypes::DataType;

use crate::error::{Error, Result};
use crate::identity::{Kind, TAKEN, role_kind, tick};
use crate::pipeline::{Pipeline, TimeUnit};
use crate::source::{InputColumn, Source};

/// Every column that the pipeline names must be there, with a type that fits its use.
///
/// # Errors
/// The first that is not, or that does not fit.
pub fn check_columns(p: &Pipeline, source: &Source) -> Result<()> {
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

/// Whether a type of times names no moments, but what a clock or a calendar shows somewhere.
pub fn is_local(time: &DataType) -> bool {
    matches!(time, DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, None))
}
