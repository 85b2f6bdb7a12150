//! SQL as its standard has it, where Polars means something else.

use std::fmt::Display;
use std::ops::ControlFlow;

use polars::prelude::{DataFrame, DataType, Expr, PlSmallStr, PolarsResult};
use polars::sql::sql_expr;
use sqlparser::ast::{
    BinaryOperator, Expr as Sql, Function, FunctionArg, FunctionArguments, SelectItem, visit_expressions_mut,
};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::{Parser, ParserOptions};
use sqlparser::tokenizer::Token;

/// The predicate of a text.
pub fn predicate_expr(sql: &str) -> PolarsResult<Expr> {
    sql_expr(as_polars_means_it(sql).as_deref().unwrap_or(sql))
}

/// `x IS TRUE` and the like are true or false, also of a null, which Polars takes for a comparison; a remainder has the sign of
/// what is divided, where Polars gives it that of the divisor. `None` where there is nothing to rewrite, or the text can't be
/// parsed, which Polars says better.
fn as_polars_means_it(sql: &str) -> Option<String> {
    let options = ParserOptions { trailing_commas: true, ..ParserOptions::default() };
    let mut parser = Parser::new(&GenericDialect).with_options(options).try_with_sql(sql).ok()?;
    let SelectItem::UnnamedExpr(mut expr) = parser.parse_select_item().ok()? else { return None };
    if parser.peek_token().token != Token::EOF {
        return None;
    }
    let mut rewritten = false;
    // Operands come before what they are in, so nothing is rewritten twice.
    let _ = visit_expressions_mut(&mut expr, |expr| {
        let text = match expr {
            Sql::IsTrue(of) => format!("COALESCE({of}, FALSE)"),
            Sql::IsNotTrue(of) => format!("NOT COALESCE({of}, FALSE)"),
            Sql::IsFalse(of) => format!("NOT COALESCE({of}, TRUE)"),
            Sql::IsNotFalse(of) => format!("COALESCE({of}, TRUE)"),
            Sql::BinaryOp { left, op: BinaryOperator::Modulo, right } => remainder(&**left, &**right),
            Sql::Function(call) => match arguments(call) {
                Some([left, right]) => remainder(left, right),
                None => return ControlFlow::<()>::Continue(()),
            },
            _ => return ControlFlow::<()>::Continue(()),
        };
        let parsed = Parser::new(&GenericDialect).try_with_sql(&text).and_then(|mut parser| parser.parse_expr());
        if let Ok(parsed) = parsed {
            *expr = Sql::Nested(Box::new(parsed));
            rewritten = true;
        }
        ControlFlow::Continue(())
    });
    rewritten.then(|| expr.to_string())
}

/// The arguments of `mod(a, b)`.
fn arguments(call: &Function) -> Option<[&FunctionArg; 2]> {
    let FunctionArguments::List(list) = &call.args else { return None };
    let [left, right] = list.args.as_slice() else { return None };
    call.name.to_string().eq_ignore_ascii_case("mod").then_some([left, right])
}

fn remainder(left: impl Display, right: impl Display) -> String {
    format!("CASE WHEN ({left}) < 0 THEN 0 - ((0 - ({left})) % ABS({right})) ELSE ({left}) % ABS({right}) END")
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
            let out = frame().lazy().select([predicate_expr(sql).unwrap().alias("p")]).collect().unwrap();
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
            let out = frame.clone().lazy().select([predicate_expr(sql).unwrap().alias("p")]).collect().unwrap();
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
        let out = frame.lazy().select([predicate_expr("k - 5 > 0").unwrap().alias("p")]).collect().unwrap();
        let found: Vec<Option<bool>> = out.column("p").unwrap().bool().unwrap().iter().collect();
        assert_eq!(found, [false, false, true].map(Some));
    }
}
