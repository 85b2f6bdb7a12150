//! SQL predicates, evaluated by Polars on one row group at a time.

use std::sync::OnceLock;

use arrow::array::BooleanArray;
use polars::prelude::{
    AggExpr, Column, DataFrame, DataType, Expr, IntoLazy, ParallelStrategy, PlSmallStr, PolarsError,
};
use polars_io::parquet::metadata::FileMetadataRef;
use polars_plan::plans::{AExpr, ArenaExprIter, ExprToIRContext, is_inherently_nondeterministic, to_expr_ir};
use polars_plan::prelude::Arena;

use super::comparisons::Form;
use super::frame::is_simple;
use super::guard::{guarded, unguarded};
use super::literals::Clock;
use super::row_group::{polars_footer, read_row_group};
use super::shard::Shard;
use super::sql::{Predicated, widen_integers};
use super::table::{InputColumn, RowGroup, Source};
use crate::error::{Error, Place, Result};
use crate::store;

/// A predicate over input columns that decides row by row.
pub struct Predicate {
    /// The pipeline key, for errors; the text itself may name identities and is never shown.
    at: &'static str,
    /// Errors repeat nothing that may be an identity.
    discreet: bool,
    expr: Expr,
    /// The columns of the frame, by their name in it.
    columns: Vec<(String, InputColumn, Form)>,
    /// Lists, structs and the like, which Polars reads.
    nested: Vec<(String, InputColumn)>,
    /// The columns that it calculates with.
    calculated: Vec<String>,
    /// Each shard's footer, once it was read.
    footers: Vec<OnceLock<FileMetadataRef>>,
}

impl Predicate {
    /// Parses the predicate of pipeline key `at` and binds its columns. If `discreet`, errors repeat nothing of it: what does not
    /// fit may be an identity.
    ///
    /// # Errors
    /// What is no predicate of rows, names no column, or compares one with what its type does not have.
    pub fn new(at: &'static str, sql: &str, source: &Source, discreet: bool) -> Result<Self> {
        let bad = |problem: String, remedy: &str| Error::pipeline(at, problem, remedy);
        if sql.trim().is_empty() {
            return Err(bad("it is empty".into(), "leave it out to take all rows"));
        }
        let parsed = Predicated::new(sql);
        for name in parsed.columns() {
            let column = source.column(at, &name);
            if discreet && column.is_err() {
                let known: Vec<&str> = source.fields().map(|(_, f)| f.name().as_str()).collect();
                return Err(bad(
                    "a name in it is not a column".into(),
                    &format!("the columns are: {}", known.join(", ")),
                ));
            }
            column?;
        }
        let type_of = |name: &str| source.column(at, name).ok().map(|(_, field)| field.data_type().clone());
        let expr = guarded(&Place::default(), || {
            let expr = parsed.expr(&type_of).map_err(|problem| bad(problem, "write it so, or cast the column"))?;
            expr.map_err(|e| {
                bad(
                    if discreet { NOT_UNDERSTOOD.into() } else { describe(&e, sql) },
                    "write it as in SQL's WHERE, with names that SQL reserves (\"user\", \"order\") in double quotes",
                )
            })
        })
        .map_err(|e| match e.kind() {
            crate::error::Kind::Pipeline { .. } => e,
            _ => bad("it can't be parsed as SQL".into(), "write it as in SQL's WHERE"),
        })?;
        if let Some(what) = expr.into_iter().find_map(not_row_by_row) {
            return Err(bad(format!("{what} looks beyond the row"), ROW_BY_ROW));
        }
        let mut names: Vec<PlSmallStr> = expr.clone().meta().root_names();
        names.sort_unstable();
        names.dedup();
        let (mut columns, mut nested) = (Vec::new(), Vec::new());
        for name in names {
            let (of, form) = Form::of(&name);
            let (column, field) = source.column(at, of)?;
            if form == Form::Values
                && let Some(clock @ Clock::Instant(_, zone)) = Clock::of(field.data_type())
                && zone != Some(0)
            {
                return Err(bad(format!("`{of}` has a zone of its own, and is more than compared"), clock.form()));
            }
            let simple = is_simple(field.data_type());
            if !simple && matches!(column, InputColumn::Nested(_)) {
                let problem = format!("`{of}` is {}, which predicates do not read in a struct", field.data_type());
                return Err(bad(problem, "compare a simple field, or write it as a column"));
            }
            match simple {
                true => columns.push((name.to_string(), column, form)),
                false => nested.push((name.to_string(), column)),
            }
        }
        let footers = source.shards.iter().map(|_| OnceLock::new()).collect();
        Ok(Predicate { at, expr, discreet, columns, nested, calculated: parsed.calculated(), footers })
    }

    /// For each row of a row group: true, false, or null.
    ///
    /// # Errors
    /// A damaged file, or a value that the predicate can't take.
    pub fn evaluate(&self, source: &Source, group: &RowGroup) -> Result<BooleanArray> {
        let shard = &source.shards[group.shard];
        let place = source.place(group);
        guarded(&place, || {
            let mut frame = self.frame(source, group, shard, &place)?;
            plain_text(&mut frame);
            widen_integers(&mut frame);
            let bad = |e: PolarsError| {
                // Values may be part of the message of a failed conversion: only errors of structure are quoted.
                let problem = match &e {
                    PolarsError::ColumnNotFound(_) | PolarsError::SchemaMismatch(_) => e.to_string(),
                    _ => format!("it can't be evaluated on these columns' types ({})", self.types_told(source)),
                };
                let place = match self.discreet {
                    // A folder may be named after an identity.
                    true => format!("file {}, row group {}", group.shard + 1, group.ordinal),
                    false => place.to_string(),
                };
                Error::pipeline(
                    format!("{} on {place}", self.at),
                    problem,
                    "compare columns with values of their own types",
                )
            };
            if functions_look_beyond_the_row(&self.expr, &frame).map_err(bad)? {
                return Err(Error::pipeline(
                    self.at,
                    "one of its functions looks beyond the row, or at chance",
                    ROW_BY_ROW,
                ));
            }
            let out = frame.lazy().select([self.expr.clone().alias("p")]).collect().map_err(bad)?;
            let column = out.column("p").map_err(bad)?.as_materialized_series().clone();
            let column = column.bool().map_err(|_| {
                Error::pipeline(
                    self.at,
                    format!("it gives {}, not true or false", column.dtype()),
                    "write a comparison",
                )
            })?;
            let values: BooleanArray = column.iter().collect();
            let rows = group.rows as usize;
            match values.len() {
                n if n == rows => Ok(values),
                1 => Ok(std::iter::repeat_n(values.iter().next().flatten(), rows).collect()),
                n => Err(Error::pipeline(self.at, format!("it gives {n} values for {rows} rows"), "decide row by row")),
            }
        })
    }
}

impl Predicate {
    /// The columns with their types, for errors.
    fn types_told(&self, source: &Source) -> String {
        let columns =
            self.columns.iter().map(|(_, column, _)| *column).chain(self.nested.iter().map(|(_, column)| *column));
        let told = |column: InputColumn| {
            let field = source.field(column);
            format!("`{}` is {}", field.name(), field.data_type())
        };
        let told: std::collections::BTreeSet<String> = columns.map(told).collect();
        told.into_iter().collect::<Vec<_>>().join(", ")
    }

    /// The columns of a row group that the predicate looks at; Polars needs one to know how many rows there are.
    fn frame(&self, source: &Source, group: &RowGroup, shard: &Shard, place: &Place) -> Result<DataFrame> {
        let damaged = |e: PolarsError| Error::damaged(place.clone(), e);
        let rows = group.rows as usize;
        let mut columns = Vec::with_capacity(self.columns.len() + self.nested.len());
        for (name, column, form) in &self.columns {
            let made = unguarded(|| super::frame::column(source, group, *column, *form, name))?;
            if made.dtype() == &DataType::UInt64 && self.calculated.contains(name) {
                return Err(Error::pipeline(
                    self.at,
                    format!("`{name}` holds integers from 2⁶³ on, which are compared, and not calculated with"),
                    "compare the column itself, or write it with a sign",
                ));
            }
            columns.push(made);
        }
        let there = |column: &InputColumn| matches!(column, InputColumn::File(k) if shard.root(*k).is_some());
        let (read, missing): (Vec<_>, Vec<_>) = self.nested.iter().partition(|(_, column)| there(column));
        if !read.is_empty() {
            let footer = match self.footers[group.shard].get() {
                Some(footer) => footer,
                None => {
                    let footer = polars_footer(store::open_local(&shard.path)?).map_err(damaged)?;
                    self.footers[group.shard].get_or_init(|| footer)
                }
            };
            let names = read.into_iter().map(|(name, _)| name.clone()).collect();
            let file = store::open_local(&shard.path)?;
            let frame =
                read_row_group(file, footer, group.ordinal, Some(names), ParallelStrategy::None).map_err(damaged)?;
            columns.extend(frame.columns().iter().cloned());
        }
        columns.extend(missing.iter().map(|(name, _)| Column::full_null(name.as_str().into(), rows, &DataType::Null)));
        if columns.is_empty() {
            columns.push(Column::full_null("\u{1}rows".into(), rows, &DataType::Boolean));
        }
        DataFrame::new(rows, columns).map_err(damaged)
    }
}

/// Dictionaries as their texts, so that SQL's text functions take them.
pub fn plain_text(frame: &mut DataFrame) {
    let names: Vec<PlSmallStr> = frame.get_column_names().into_iter().cloned().collect();
    for name in names {
        let text = match frame.column(&name) {
            Ok(column) if column.dtype().is_categorical() || column.dtype().is_enum() => column.cast(&DataType::String),
            _ => continue,
        };
        // A cast that fails leaves the column as it is.
        let _ = text.and_then(|text| frame.with_column(text).map(|_| ()));
    }
}

const NOT_UNDERSTOOD: &str = "it is not an SQL predicate that is understood here";

const ROW_BY_ROW: &str =
    "a predicate decides row by row: leave aggregates, statistics, windows, ordering, chance and subqueries out";

/// Asks Polars of each function in the expression.
fn functions_look_beyond_the_row(expr: &Expr, frame: &DataFrame) -> Result<bool, PolarsError> {
    let mut arena = Arena::new();
    let root = to_expr_ir(expr.clone(), &mut ExprToIRContext::new(&mut arena, frame.schema()))?.node();
    let by_row = |node: &AExpr| match node {
        AExpr::Function { options, .. } | AExpr::AnonymousFunction { options, .. } => options.is_elementwise(),
        _ => true,
    };
    let nodes: &Arena<AExpr> = &arena;
    Ok(is_inherently_nondeterministic(root, nodes) || !nodes.iter(root).all(|(_, node)| by_row(node)))
}

fn not_row_by_row(expr: &Expr) -> Option<&'static str> {
    Some(match expr {
        // `x IN (1, 2)` gathers its list of literals into one.
        Expr::Agg(AggExpr::Implode { input, .. }) if matches!(**input, Expr::Literal(_)) => return None,
        Expr::Agg(_) => "an aggregate",
        Expr::Len => "a count",
        Expr::Over { .. } => "a window function",
        Expr::Sort { .. } | Expr::SortBy { .. } => "an ordering",
        Expr::SubPlan(..) => "a subquery",
        Expr::Filter { .. } | Expr::Slice { .. } | Expr::Gather { .. } | Expr::Explode { .. } => "a change of rows",
        _ => return None,
    })
}

/// Polars' message without the predicate's literals, which may be identities, and without its syntax trees.
fn describe(error: &PolarsError, sql: &str) -> String {
    const LONGEST: usize = 160;
    let mut message = error.to_string().replace(sql, "the predicate");
    let mut repeats = false;
    for literal in sql.split('\'').skip(1).step_by(2).filter(|l| !l.is_empty()) {
        message = message.replace(&format!("'{literal}'"), "'…'");
        repeats |= message.contains(literal);
    }
    let tree = message.contains("Value(") || message.contains(" { ");
    if repeats || tree || message.len() > LONGEST { NOT_UNDERSTOOD.into() } else { message }
}
