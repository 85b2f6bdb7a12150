//! Comparisons of columns with literals, in integers where times or large numbers are compared.

use arrow::datatypes::{DataType as Arrow, TimeUnit};
use sqlparser::ast::{BinaryOperator, DataType as SqlType, Expr as Sql, Ident, UnaryOperator, Value, ValueWithSpan};

use super::literals::{Clock, DAY};

/// What stands behind a column's name in the name of another that is made of it.
const TICKS: &str = "\u{1}ticks";
const DAYS: &str = "\u{1}days";
const SHIFTED: &str = "\u{1}shifted";

/// How a column comes into an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Its values.
    Values,
    /// A date or time as ticks from the epoch, in 64-bit integers; in the column's own unit, or another.
    Ticks(Option<TimeUnit>),
    /// A date or time as whole days from the epoch, by the clock of its zone.
    Days,
    /// 64-bit unsigned integers, less 2⁶³, as signed ones.
    Shifted,
}

impl Form {
    /// The column and the form that a name in an expression stands for.
    pub fn of(name: &str) -> (&str, Self) {
        let forms = [(TICKS, Form::Ticks(None)), (DAYS, Form::Days), (SHIFTED, Form::Shifted)];
        let of_units = UNITS.iter().map(|(end, unit)| (*end, Form::Ticks(Some(*unit))));
        let mut formed = of_units.chain(forms).filter_map(|(end, form)| Some((name.strip_suffix(end)?, form)));
        formed.next().unwrap_or((name, Form::Values))
    }
}

/// Ticks of a unit, behind a column's name.
const UNITS: [(&str, TimeUnit); 4] = [
    ("\u{1}ticks of seconds", TimeUnit::Second),
    ("\u{1}ticks of milliseconds", TimeUnit::Millisecond),
    ("\u{1}ticks of microseconds", TimeUnit::Microsecond),
    ("\u{1}ticks of nanoseconds", TimeUnit::Nanosecond),
];

/// Two columns of times, compared in the finer of their units.
///
/// # Errors
/// One has a zone and the other has none.
pub fn columns_compared(
    left: &Sql,
    comparison: Comparison,
    right: &Sql,
    types: &dyn Fn(&str) -> Option<Arrow>,
) -> Result<Option<String>, String> {
    let (Some(left), Some(right)) = (timed(left, types), timed(right, types)) else { return Ok(None) };
    let is_instant = |time: &Timed| matches!(time.clock, Clock::Instant(..));
    if is_instant(&left) != is_instant(&right) {
        return Err(format!("of `{}` and `{}` one has a time zone: cast one of them", left.name, right.name));
    }
    let sign = comparison.sign();
    if left.clock.tick() == right.clock.tick() {
        return Ok(Some(format!("{} {sign} {}", left.column, right.column)));
    }
    let unit = |time: &Timed| match time.clock {
        Clock::Date => None,
        Clock::Naive(unit) | Clock::Instant(unit, _) => Some(unit),
    };
    let finer = unit(&left).max(unit(&right));
    let end = UNITS.iter().find(|(_, unit)| Some(*unit) == finer).map_or(TICKS, |(end, _)| *end);
    // Days of an instant are told by its clock, and no ticks of the other's.
    if left.column.contains(DAYS) || right.column.contains(DAYS) {
        return Ok(None);
    }
    Ok(Some(format!("{} {sign} {}", left.column.replace(TICKS, end), right.column.replace(TICKS, end))))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    Different,
    Less,
    AtMost,
    More,
    AtLeast,
}

impl Comparison {
    pub fn of(op: &BinaryOperator) -> Option<Self> {
        Some(match op {
            BinaryOperator::Eq => Comparison::Equal,
            BinaryOperator::NotEq => Comparison::Different,
            BinaryOperator::Lt => Comparison::Less,
            BinaryOperator::LtEq => Comparison::AtMost,
            BinaryOperator::Gt => Comparison::More,
            BinaryOperator::GtEq => Comparison::AtLeast,
            _ => return None,
        })
    }

    /// With its sides exchanged.
    pub fn mirrored(self) -> Self {
        match self {
            Comparison::Less => Comparison::More,
            Comparison::AtMost => Comparison::AtLeast,
            Comparison::More => Comparison::Less,
            Comparison::AtLeast => Comparison::AtMost,
            same => same,
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Comparison::Equal => "=",
            Comparison::Different => "<>",
            Comparison::Less => "<",
            Comparison::AtMost => "<=",
            Comparison::More => ">",
            Comparison::AtLeast => ">=",
        }
    }

    /// Compares an integer column with `whole`, or with what lies between it and the next integer. What no 64 bits hold is above
    /// or below all values.
    fn with(self, column: &str, whole: i128, between: bool) -> String {
        let (never, ever) = (format!("({column} < 0 AND {column} > 0)"), format!("({column} < 0 OR {column} >= 0)"));
        let above = whole > i128::from(i64::MAX);
        // The least of all is no literal.
        if whole == i128::from(i64::MIN) && !between {
            let least = format!("({column} < -{} AND {column} < 0)", i64::MAX);
            return match self {
                Comparison::Equal | Comparison::AtMost => least,
                Comparison::Different | Comparison::More => format!("(NOT {least})"),
                Comparison::Less => never,
                Comparison::AtLeast => ever,
            };
        }
        if above || whole < -i128::from(i64::MAX) {
            let holds = match self {
                Comparison::Equal => false,
                Comparison::Different => true,
                Comparison::Less | Comparison::AtMost => above,
                Comparison::More | Comparison::AtLeast => !above,
            };
            return if holds { ever } else { never };
        }
        match (self, between) {
            (Comparison::Equal, true) => never,
            (Comparison::Different, true) => ever,
            (Comparison::Less, true) => format!("{column} <= {whole}"),
            (Comparison::AtLeast, true) => format!("{column} > {whole}"),
            _ => format!("{column} {} {whole}", self.sign()),
        }
    }
}

/// A column of dates or times in an expression.
pub struct Timed {
    /// The name of its integers, quoted.
    pub column: String,
    /// How it tells time; days of an instant's date are those of its zone.
    pub clock: Clock,
    pub name: String,
}

/// The column of dates or times that an expression is, if it is one.
pub fn timed(expr: &Sql, types: &dyn Fn(&str) -> Option<Arrow>) -> Option<Timed> {
    match expr {
        Sql::Nested(inner) => timed(inner, types),
        Sql::Identifier(ident) => {
            let clock = Clock::of(&types(&ident.value)?)?;
            Some(Timed { column: quoted(&format!("{}{TICKS}", ident.value)), clock, name: ident.value.clone() })
        }
        // DATE(x) was rewritten so before.
        Sql::Cast { expr, data_type: SqlType::Date, .. } => {
            // Days of a zone that is known by name alone would be a guess.
            let is_known = |of: &Timed| !of.column.contains(DAYS) && !matches!(of.clock, Clock::Instant(_, None));
            let of = timed(expr, types).filter(is_known)?;
            Some(Timed { column: of.column.replace(TICKS, DAYS), clock: Clock::Date, name: of.name })
        }
        _ => None,
    }
}

/// A side of a comparison that is a column of a known type.
pub enum Side {
    Timed(Timed),
    /// Integers; the type has 64 bits without a sign.
    Integer(String, bool),
    Number(String),
    Text(String),
}

impl Side {
    pub fn of(expr: &Sql, types: &dyn Fn(&str) -> Option<Arrow>) -> Option<Self> {
        if let Some(time) = timed(expr, types) {
            return Some(Side::Timed(time));
        }
        match expr {
            Sql::Nested(inner) => Side::of(inner, types),
            Sql::Identifier(Ident { value: name, .. }) => match value_type(types(name)?) {
                t if t.is_integer() => Some(Side::Integer(name.clone(), t == Arrow::UInt64)),
                t if t.is_numeric() => Some(Side::Number(name.clone())),
                t if t.is_string() => Some(Side::Text(name.clone())),
                _ => None,
            },
            _ => None,
        }
    }

    /// The comparison with a literal, in integers where it is one of times or of large numbers.
    ///
    /// # Errors
    /// A text that is no such value, told as it is to be shown.
    pub fn compared(&self, comparison: Comparison, literal: &Sql) -> Result<Option<String>, String> {
        let text = text_of(literal);
        let number = number_of(literal);
        Ok(match (self, text, number) {
            (Side::Timed(time), Some(text), _) => {
                let refused = || format!("`{}` is {}: {}", time.name, told(&time.clock), time.clock.form());
                let nanos = time.clock.nanos(&text).ok_or_else(refused)?;
                if time.column.contains(DAYS) && nanos.rem_euclid(DAY) != 0 {
                    return Err(refused());
                }
                let tick = time.clock.tick();
                Some(comparison.with(&time.column, nanos.div_euclid(tick), nanos.rem_euclid(tick) != 0))
            }
            (Side::Timed(time), None, Some(_)) => {
                return Err(format!("`{}` is {}: {}", time.name, told(&time.clock), time.clock.form()));
            }
            (Side::Timed(time), ..) if is_null(literal) => Some(format!("{} {} NULL", time.column, comparison.sign())),
            (Side::Integer(name, unsigned), None, Some(number)) => {
                let Ok(whole) = number.parse::<i128>() else { return Ok(None) };
                let is_large = i64::try_from(whole).is_err() || whole == i128::from(i64::MIN);
                match unsigned {
                    true => Some(comparison.with(&quoted(&format!("{name}{SHIFTED}")), whole - (1 << 63), false)),
                    false => is_large.then(|| comparison.with(&quoted(name), whole, false)),
                }
            }
            // Polars reads no integer of more than 64 bits.
            (Side::Number(name), None, Some(number)) => {
                let is_large = number.parse::<i128>().is_ok_and(|whole| i64::try_from(whole).is_err());
                is_large.then(|| format!("{} {} {number}.0", quoted(name), comparison.sign()))
            }
            (Side::Integer(name, _) | Side::Number(name), Some(_), _) => {
                return Err(format!("`{name}` is a number: compare it with one, without quotes"));
            }
            (Side::Text(name), None, Some(_)) => {
                return Err(format!("`{name}` is text: compare it with text, in single quotes"));
            }
            _ => None,
        })
    }
}

/// The comparison of a column with a literal, where it is to be written otherwise.
///
/// # Errors
/// What a column of its type may be compared with, in words.
pub fn compared(
    side: &Sql,
    comparison: Comparison,
    literal: &Sql,
    types: &dyn Fn(&str) -> Option<Arrow>,
) -> Result<Option<String>, String> {
    let Some(side) = Side::of(side, types) else { return Ok(None) };
    side.compared(comparison, literal)
}

fn told(clock: &Clock) -> &'static str {
    match clock {
        Clock::Date => "a date",
        Clock::Naive(_) => "a time without a zone",
        Clock::Instant(_, Some(_)) => "an instant",
        Clock::Instant(_, None) => "an instant in a named zone",
    }
}

fn value_type(t: Arrow) -> Arrow {
    match t {
        Arrow::Dictionary(_, value) => *value,
        t => t,
    }
}

/// A text, also behind DATE, TIMESTAMP and the like.
pub fn text_of(expr: &Sql) -> Option<String> {
    let of_value = |value: &Value| match value {
        Value::SingleQuotedString(text) => Some(text.clone()),
        _ => None,
    };
    match expr {
        Sql::Nested(inner) => text_of(inner),
        Sql::Value(value) => of_value(&value.value),
        Sql::TypedString(typed) => of_value(&typed.value.value).filter(|_| is_time(&typed.data_type)),
        Sql::Cast { expr, data_type, .. } if is_time(data_type) => match &**expr {
            Sql::Value(value) => of_value(&value.value),
            _ => None,
        },
        _ => None,
    }
}

fn is_time(t: &SqlType) -> bool {
    use SqlType::{Custom, Date, Datetime, Timestamp, TimestampNtz};
    match t {
        Date | Datetime(_) | Timestamp(..) | TimestampNtz(_) => true,
        Custom(name, _) => name.to_string().eq_ignore_ascii_case("timestamptz"),
        _ => false,
    }
}

/// A number, with its sign.
pub fn number_of(expr: &Sql) -> Option<String> {
    match expr {
        Sql::Nested(inner) => number_of(inner),
        Sql::Value(ValueWithSpan { value: Value::Number(number, _), .. }) => Some(number.clone()),
        Sql::UnaryOp { op: UnaryOperator::Minus, expr } => number_of(expr).map(|number| format!("-{number}")),
        _ => None,
    }
}

fn is_null(expr: &Sql) -> bool {
    matches!(expr, Sql::Value(ValueWithSpan { value: Value::Null, .. }))
}

/// Two columns of integers of which one, and one alone, has 64 bits without a sign: Polars would compare them as doubles.
pub fn integers_compared(
    left: &Sql,
    comparison: Comparison,
    right: &Sql,
    types: &dyn Fn(&str) -> Option<Arrow>,
) -> Option<String> {
    let (name, other, comparison) = match (Side::of(left, types)?, Side::of(right, types)?) {
        (Side::Integer(name, true), Side::Integer(other, false)) => (name, other, comparison),
        (Side::Integer(other, false), Side::Integer(name, true)) => (name, other, comparison.mirrored()),
        _ => return None,
    };
    let shifted = |name: &str| quoted(&format!("{name}{SHIFTED}"));
    let (own, shifted, other) = (shifted(&name), shifted(&other), quoted(&other));
    let compared = format!("{own} {} {shifted}", comparison.sign());
    // Below zero, the other is less than all there are.
    Some(match comparison {
        Comparison::Equal | Comparison::Less | Comparison::AtMost => {
            format!("({own} = {own} AND {other} >= 0 AND {compared})")
        }
        Comparison::Different | Comparison::More | Comparison::AtLeast => {
            format!("({own} = {own} AND ({other} < 0 OR {compared}))")
        }
    })
}

/// A name in double quotes.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
