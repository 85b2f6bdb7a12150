//! SQL as its standard has it, and as people write it, where Polars means something else or knows nothing of it.
//!
//! Comparisons with dates and times become comparisons of integers: the column's ticks since the epoch with those of the
//! text. So they are exact in every unit, and ask no calendar.

use std::fmt::Display;
use std::ops::ControlFlow;

use arrow::datatypes::DataType as Arrow;
use polars::prelude::{DataFrame, DataType, Expr, PlSmallStr, PolarsResult};
use polars::sql::sql_expr;
use sqlparser::ast::{
    AccessExpr, BinaryOperator, Expr as Sql, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
    SelectItem, UnaryOperator, Value, ValueWithSpan, visit_expressions, visit_expressions_mut,
};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::{Parser, ParserOptions};
use sqlparser::tokenizer::Token;

use super::comparisons::{
    Comparison, Side, columns_compared, compared, integers_compared, number_of, quoted, text_of, timed,
};

/// A predicate, parsed; `None` inside: what can't be parsed, which Polars says better.
pub struct Predicated {
    text: String,
    parsed: Option<Sql>,
}

impl Predicated {
    pub fn new(sql: &str) -> Self {
        Predicated { text: sql.to_owned(), parsed: parse(sql) }
    }

    /// The columns that it names, in no order; `a.b` of a struct by its path.
    pub fn columns(&self) -> Vec<String> {
        let mut names = Vec::new();
        let _ = visit_expressions(&self.parsed, |expr| {
            match expr {
                Sql::Identifier(name) => names.push(name.value.clone()),
                Sql::CompoundIdentifier(path) => names.push(dotted(path)),
                _ => {}
            }
            ControlFlow::<()>::Continue(())
        });
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The expression, of columns of these types.
    ///
    /// # Errors
    /// In the first place what a comparison lacks, in words; in the second what Polars does not understand.
    pub fn expr(&self, types: &dyn Fn(&str) -> Option<Arrow>) -> Result<PolarsResult<Expr>, String> {
        let rewritten = match self.parsed.clone() {
            Some(parsed) => rewritten(parsed, types)?,
            None => None,
        };
        Ok(sql_expr(rewritten.as_deref().unwrap_or(&self.text)))
    }

    /// The columns that it calculates with, not only compares.
    pub fn calculated(&self) -> Vec<String> {
        let mut names = Vec::new();
        let _ = visit_expressions(&self.parsed, |expr| {
            let operands: Vec<&Sql> = match expr {
                Sql::BinaryOp {
                    left,
                    op: BinaryOperator::Plus | BinaryOperator::Minus | BinaryOperator::Multiply,
                    right,
                } => {
                    vec![left, right]
                }
                Sql::UnaryOp { op: UnaryOperator::Minus, expr } => vec![expr],
                _ => Vec::new(),
            };
            for operand in operands {
                let _ = visit_expressions(operand, |expr| {
                    match expr {
                        Sql::Identifier(name) => names.push(name.value.clone()),
                        Sql::CompoundIdentifier(path) => names.push(dotted(path)),
                        _ => {}
                    }
                    ControlFlow::<()>::Continue(())
                });
            }
            ControlFlow::<()>::Continue(())
        });
        names
    }
}

fn parse(sql: &str) -> Option<Sql> {
    let options = ParserOptions { trailing_commas: true, ..ParserOptions::default() };
    let mut parser = Parser::new(&GenericDialect).with_options(options).try_with_sql(sql).ok()?;
    let SelectItem::UnnamedExpr(mut expr) = parser.parse_select_item().ok()? else { return None };
    let _ = visit_expressions_mut(&mut expr, |expr| {
        if let Some(path) = path_of(expr) {
            *expr = Sql::CompoundIdentifier(path);
        }
        ControlFlow::<()>::Continue(())
    });
    (parser.peek_token().token == Token::EOF).then_some(expr)
}

/// The path `user.id` and the like, which the parser takes for a field of what the word USER gives.
fn path_of(expr: &Sql) -> Option<Vec<Ident>> {
    let Sql::CompoundFieldAccess { root, access_chain } = expr else { return None };
    let root = match &**root {
        Sql::Identifier(ident) => ident.clone(),
        Sql::Function(Function { name, args: FunctionArguments::None, .. }) => match name.0.as_slice() {
            [part] => part.as_ident()?.clone(),
            _ => return None,
        },
        _ => return None,
    };
    let below = access_chain.iter().map(|access| match access {
        AccessExpr::Dot(Sql::Identifier(ident)) => Some(ident.clone()),
        _ => None,
    });
    std::iter::once(Some(root)).chain(below).collect()
}

fn dotted(path: &[Ident]) -> String {
    path.iter().map(|ident| ident.value.as_str()).collect::<Vec<_>>().join(".")
}

/// `None` where there is nothing to rewrite.
fn rewritten(mut expr: Sql, types: &dyn Fn(&str) -> Option<Arrow>) -> Result<Option<String>, String> {
    let mut any = false;
    // Operands come before what they are in, so nothing is rewritten twice.
    let flow = visit_expressions_mut(&mut expr, |expr| match replacement(expr, types) {
        Err(problem) => ControlFlow::Break(problem),
        Ok(None) => ControlFlow::Continue(()),
        Ok(Some(text)) => {
            let parsed = Parser::new(&GenericDialect).try_with_sql(&text).and_then(|mut parser| parser.parse_expr());
            if let Ok(parsed) = parsed {
                *expr = Sql::Nested(Box::new(parsed));
                any = true;
            }
            ControlFlow::Continue(())
        }
    });
    match flow {
        ControlFlow::Break(problem) => Err(problem),
        ControlFlow::Continue(()) => Ok(any.then(|| expr.to_string())),
    }
}

/// `x IS TRUE` and the like are true or false, also of a null, which Polars takes for a comparison; a remainder has the sign of
/// what is divided, where Polars gives it that of the divisor.
fn replacement(expr: &Sql, types: &dyn Fn(&str) -> Option<Arrow>) -> Result<Option<String>, String> {
    Ok(match expr {
        Sql::CompoundIdentifier(path) => Some(quoted(&dotted(path))),
        Sql::IsTrue(of) => Some(format!("COALESCE({of}, FALSE)")),
        Sql::IsNotTrue(of) => Some(format!("NOT COALESCE({of}, FALSE)")),
        Sql::IsFalse(of) => Some(format!("NOT COALESCE({of}, TRUE)")),
        Sql::IsNotFalse(of) => Some(format!("COALESCE({of}, TRUE)")),
        Sql::IsNull(of) => timed(of, types).map(|time| format!("{} IS NULL", time.column)),
        Sql::IsNotNull(of) => timed(of, types).map(|time| format!("{} IS NOT NULL", time.column)),
        Sql::IsUnknown(of) => Some(format!("({of}) IS NULL")),
        Sql::IsNotUnknown(of) => Some(format!("({of}) IS NOT NULL")),
        Sql::IsDistinctFrom(left, right) | Sql::IsNotDistinctFrom(left, right) => {
            // The parser takes all that follows for the operand.
            let is = if matches!(expr, Sql::IsDistinctFrom(..)) { "IS DISTINCT FROM" } else { "IS NOT DISTINCT FROM" };
            before_logic(right).map(|(operand, rest)| format!("(({left}) {is} ({operand})){rest}"))
        }
        // Two signs in a row would begin a comment.
        Sql::UnaryOp { op: UnaryOperator::Minus, expr } if matches!(**expr, Sql::UnaryOp { .. }) => {
            Some(format!("0 - ({expr})"))
        }
        Sql::BinaryOp { left, op: BinaryOperator::Modulo, right } => Some(remainder(&**left, &**right)),
        Sql::BinaryOp { left, op, right } => match Comparison::of(op) {
            Some(comparison) => match compared(left, comparison, right, types)? {
                Some(text) => Some(text),
                None => match compared(right, comparison.mirrored(), left, types)? {
                    Some(text) => Some(text),
                    None => match columns_compared(left, comparison, right, types)? {
                        Some(text) => Some(text),
                        None => integers_compared(left, comparison, right, types),
                    },
                },
            },
            None => None,
        },
        Sql::InList { expr, list, negated } => {
            let side = Side::of(expr, types);
            let equal = |value: &Sql| side.as_ref().map_or(Ok(None), |side| side.compared(Comparison::Equal, value));
            let equals: Vec<Option<String>> = list.iter().map(equal).collect::<Result<_, _>>()?;
            // Polars takes a list for one of literals of one type.
            let mixed = matches!(side, Some(Side::Number(_)))
                || list.iter().any(|value| matches!(value, Sql::Identifier(_) | Sql::Nested(_)))
                || list.iter().any(|value| number_of(value).is_some_and(|number| number.contains('.')));
            let rewrites = mixed || equals.iter().any(Option::is_some);
            rewrites.then(|| {
                let plain = |value: &Sql| format!("{expr} = {value}");
                let all = equals.into_iter().zip(list).map(|(equal, value)| equal.unwrap_or_else(|| plain(value)));
                let all = all.collect::<Vec<_>>().join(" OR ");
                format!("{}({all})", if *negated { "NOT " } else { "" })
            })
        }
        Sql::Between { expr, negated, low, high } => {
            let Some(side) = Side::of(expr, types) else { return Ok(None) };
            // Each end is looked at by itself.
            let end = |comparison: Comparison, end: &Sql| -> Result<Option<String>, String> {
                Ok(match side.compared(comparison, end)? {
                    Some(text) => Some(text),
                    None => match columns_compared(expr, comparison, end, types)? {
                        Some(text) => Some(text),
                        None => integers_compared(expr, comparison, end, types),
                    },
                })
            };
            let ends = (end(Comparison::AtLeast, low)?, end(Comparison::AtMost, high)?);
            (ends.0.is_some() || ends.1.is_some()).then(|| {
                let low = ends.0.unwrap_or_else(|| format!("{expr} >= {low}"));
                let high = ends.1.unwrap_or_else(|| format!("{expr} <= {high}"));
                format!("{}(({low}) AND ({high}))", if *negated { "NOT " } else { "" })
            })
        }
        Sql::Function(call) => match (call.name.to_string().to_ascii_lowercase().as_str(), arguments(call)) {
            ("mod", [left, right]) => Some(remainder(left, right)),
            // In Polars' order, which is that of comparisons, NaN is above every number.
            ("isnan" | "is_nan", [of]) => Some(format!("({of}) > 1.0e400")),
            ("date", [of]) => Some(format!("CAST({of} AS DATE)")),
            ("coalesce" | "ifnull" | "nvl" | "nullif" | "greatest" | "least" | "if", of) => {
                // Polars would make texts of the times.
                let plain: Vec<&Sql> = of.iter().filter_map(plain_argument).collect();
                let time = plain.iter().find_map(|of| timed(of, types));
                match time.filter(|_| plain.iter().any(|of| text_of(of).is_some())) {
                    Some(time) => {
                        return Err(format!("`{}` meets a text in a function: {}", time.name, time.clock.form()));
                    }
                    None => None,
                }
            }
            _ => None,
        },
        Sql::Value(ValueWithSpan { value: Value::Number(number, _), .. }) => {
            // Polars takes a number without a point for an integer.
            let exponent = number.find(['e', 'E']).filter(|_| !number.contains('.'));
            exponent.map(|at| format!("{}.0{}", &number[..at], &number[at..]))
        }
        _ => None,
    })
}

fn plain_argument(argument: &FunctionArg) -> Option<&Sql> {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    }
}

/// What comes before the first AND or OR, and the text of all behind.
fn before_logic(expr: &Sql) -> Option<(String, String)> {
    let Sql::BinaryOp { left, op: op @ (BinaryOperator::And | BinaryOperator::Or | BinaryOperator::Xor), right } = expr
    else {
        return None;
    };
    let (operand, between) = before_logic(left).unwrap_or_else(|| (left.to_string(), String::new()));
    Some((operand, format!("{between} {op} {right}")))
}

fn arguments(call: &Function) -> &[FunctionArg] {
    match &call.args {
        FunctionArguments::List(list) => &list.args,
        _ => &[],
    }
}

/// Polars' remainder of a positive divisor lies from 0 up to it.
fn remainder(left: impl Display, right: impl Display) -> String {
    let polars = format!("(({left}) % ABS({right}))");
    format!("CASE WHEN ({left}) < 0 AND {polars} > 0 THEN {polars} - ABS({right}) ELSE {polars} END")
}

/// Integers 64 bits wide, as Polars calculates in the width of the column and wraps. Unsigned ones that do not fit stay.
pub fn widen_integers(frame: &mut DataFrame) {
    let names: Vec<PlSmallStr> = frame.get_column_names().into_iter().cloned().collect();
    for name in names {
        let wide = match frame.column(&name) {
            Ok(column) if column.dtype().is_integer() => column.strict_cast(&DataType::Int64),
            _ => continue,
        };
        // A cast that fails leaves the column as it is.
        let _ = wide.and_then(|wide| frame.with_column(wide).map(|_| ()));
    }
}

#[cfg(test)]
mod tests {
    use polars::prelude::{Column, IntoLazy};

    use super::*;

    fn expr_of(sql: &str) -> Expr {
        Predicated::new(sql).expr(&|_| None).unwrap().unwrap()
    }

    #[test]
    fn truth_tests_are_true_or_false_of_nulls_too() {
        let frame = || DataFrame::new(3, vec![Column::new("b".into(), [Some(true), None, Some(false)])]).unwrap();
        for (sql, expected) in [
            ("b IS TRUE", [true, false, false]),
            ("b IS NOT TRUE", [false, true, true]),
            ("b IS FALSE", [false, false, true]),
            ("b IS NOT FALSE", [true, true, false]),
            ("NOT (b IS TRUE)", [false, true, true]),
            ("(NOT b) IS NOT TRUE AND b IS NOT NULL", [true, false, false]),
            ("(b IS NOT TRUE) IS NOT FALSE", [false, true, true]),
        ] {
            let out = frame().lazy().select([expr_of(sql).alias("p")]).collect().unwrap();
            let found: Vec<Option<bool>> = out.column("p").unwrap().bool().unwrap().iter().collect();
            assert_eq!(found, expected.map(Some), "{sql}");
        }
    }

    #[test]
    fn a_remainder_has_the_sign_of_what_is_divided() {
        let (a, b) = (Column::new("a".into(), [-5i64, 5, -6, 0]), Column::new("b".into(), [3i64, -3, 3, 3]));
        let frame = DataFrame::new(4, vec![a, b]).unwrap();
        for (sql, expected) in [
            ("a % 3 = -2", [true, false, false, false]),
            ("a % b = 2", [false, true, false, false]),
            ("MOD(a, 3) = 0", [false, false, true, true]),
            ("(a + 1) % 3 % 2 = -1", [true, false, false, false]),
            ("a % 0 IS NULL", [true; 4]),
        ] {
            let out = frame.clone().lazy().select([expr_of(sql).alias("p")]).collect().unwrap();
            let found: Vec<Option<bool>> = out.column("p").unwrap().bool().unwrap().iter().collect();
            assert_eq!(found, expected.map(Some), "{sql}");
        }
    }

    #[test]
    fn integers_do_not_wrap_in_the_width_of_their_column() {
        let small = Column::new("k".into(), [1u8, 5, 9]);
        let mut frame = DataFrame::new(3, vec![small, Column::new("big".into(), [u64::MAX, 0, 1])]).unwrap();
        widen_integers(&mut frame);
        assert_eq!(frame.column("big").unwrap().dtype(), &DataType::UInt64);
        let out = frame.lazy().select([expr_of("k - 5 > 0").alias("p")]).collect().unwrap();
        let found: Vec<Option<bool>> = out.column("p").unwrap().bool().unwrap().iter().collect();
        assert_eq!(found, [false, false, true].map(Some));
    }
}
