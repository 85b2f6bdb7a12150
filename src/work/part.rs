//! A part of the output between `compose` and `write`: the keys of its examples, their order, copies and logQ.
//!
//! Codes count the values of the part alone; the identities and items of the whole input stand beside them.

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::{Float32Type, Int64Type, UInt32Type};

use super::bundle::Bundle;
use crate::compose::{Head, Part, Plan, distinct};
use crate::error::Result;
use crate::keys::{Codes, KeyView, Labels};
use crate::negatives::LogQ;

/// A part as it is read.
pub struct PartValues {
    pub view: KeyView<'static>,
    /// The code of each identity, and of each item, among those of the whole input; ascending.
    pub identities: Vec<u32>,
    pub items: Vec<u32>,
    order: Vec<u32>,
    copy: Vec<u32>,
    log_q: Vec<f32>,
}

/// A part as it is written; `log_q` is told by position, where an item is mapped.
pub fn bundle(part: &Part<'_>, log_q: Option<&LogQ>) -> Bundle {
    let view = &part.view;
    let mut all = Bundle::default()
        .numbers::<UInt32Type>("input_row", view.input_row.to_vec())
        .numbers::<UInt32Type>("order", part.plan.order.to_vec())
        .numbers::<UInt32Type>("copy", part.plan.copy.to_vec());
    all = with_tokens(all, "identity", &view.identity);
    if let Some(item) = &view.item {
        all = with_tokens(all, "item", item);
        let positions = part.plan.positions().zip(part.plan.order.iter());
        let share = |log_q: &LogQ| positions.map(|(at, row)| log_q.at(at, item.rows[*row as usize])).collect();
        all = all.numbers::<Float32Type>("log_q", log_q.map(share).unwrap_or_default());
    }
    if let Some(request) = &view.request {
        all = all.numbers::<UInt32Type>("request", distinct(&request.rows).1);
    }
    if let Some(label) = &view.label {
        let (firsts, codes) = distinct(&label.rows);
        let text = firsts.iter().map(|at| label.text[label.rows[*at as usize] as usize].as_deref());
        all = all.numbers::<UInt32Type>("label", codes).texts("label_text", text);
    }
    for (k, (_, codes)) in view.columns.iter().enumerate() {
        all = all.numbers::<UInt32Type>(&format!("column_{k}"), distinct(&codes.rows).1);
    }
    if let Some(time) = &view.time {
        all = all.numbers::<Int64Type>("time", time.to_vec());
    }
    if let Some(positive) = &view.positive {
        all = all.truths("positive", positive);
    }
    all
}

/// Codes with what they stand for: tokens, and codes of the whole input.
fn with_tokens(all: Bundle, name: &str, codes: &Codes<'_>) -> Bundle {
    let (firsts, own) = distinct(&codes.rows);
    let global: Vec<u32> = firsts.iter().map(|at| codes.rows[*at as usize]).collect();
    let tokens = global.iter().map(|code| codes.tokens[*code as usize].to_le_bytes());
    all.hashes(&format!("{name}_token"), tokens)
        .numbers::<UInt32Type>(&format!("{name}_code"), global.clone())
        .numbers::<UInt32Type>(name, own)
}

impl PartValues {
    /// The values of so many positions; `columns` are the further columns that rules name, in their order.
    ///
    /// # Errors
    /// Columns of other lengths, or codes that stand for nothing.
    pub fn read(bundle: &Bundle, positions: usize, columns: &[String]) -> Result<Self> {
        let input_row = bundle.get::<UInt32Type>("input_row")?;
        let examples = input_row.len();
        let codes = |name: &str| -> Result<(Vec<u32>, usize)> {
            let codes = bundle.get::<UInt32Type>(name)?;
            let distinct = codes.iter().max().map_or(0, |most| *most as usize + 1);
            if codes.len() != examples || distinct > examples {
                return Err(bundle.damaged(format!("`{name}` is not of its examples")));
            }
            Ok((codes, distinct))
        };
        let with_tokens = |name: &str| -> Result<(Codes<'static>, Vec<u32>)> {
            let ((rows, distinct), tokens) = (codes(name)?, bundle.get_tokens(&format!("{name}_token"))?);
            let global = bundle.get::<UInt32Type>(&format!("{name}_code"))?;
            if tokens.len() != distinct || global.len() != distinct {
                return Err(bundle.damaged(format!("`{name}` has codes without tokens")));
            }
            Ok((Codes::new(rows, tokens), global))
        };
        let without_tokens = |name: &str| codes(name).map(|(rows, distinct)| Codes::without_tokens(rows, distinct));
        let has = |name: &str| bundle.has(name);
        let (identity, identities) = with_tokens("identity")?;
        let item = has("item").then(|| with_tokens("item")).transpose()?;
        let (item, items) = item.map_or((None, Vec::new()), |(item, items)| (Some(item), items));
        let label = has("label").then(|| -> Result<Labels<'static>> {
            let ((rows, distinct), text) = (codes("label")?, bundle.get_texts("label_text")?);
            if text.len() != distinct {
                return Err(bundle.damaged("`label` has codes without text"));
            }
            Ok(Labels { rows: rows.into(), text: Arc::new(text) })
        });
        let view = KeyView {
            identity,
            item,
            request: has("request").then(|| without_tokens("request")).transpose()?,
            label: label.transpose()?,
            time: bundle.maybe::<Int64Type>("time").filter(|time| time.len() == examples).map(Into::into),
            positive: bundle.get_truths("positive").ok().filter(|own| own.len() == examples).map(Into::into),
            columns: (0..columns.len())
                .map(|k| Ok((columns[k].clone(), without_tokens(&format!("column_{k}"))?)))
                .collect::<Result<_>>()?,
            input_row: input_row.into(),
            ..KeyView::default()
        };
        let (order, copy) = (bundle.get::<UInt32Type>("order")?, bundle.get::<UInt32Type>("copy")?);
        let log_q = if has("log_q") { bundle.get::<Float32Type>("log_q")? } else { Vec::new() };
        let lengths = |other: usize| other == positions || other == 0;
        if order.len() != positions
            || order.iter().any(|row| *row as usize >= examples)
            || !lengths(copy.len())
            || !lengths(log_q.len())
        {
            return Err(bundle.damaged("its order is not of its examples"));
        }
        Ok(PartValues { view, identities, items, order, copy, log_q })
    }

    /// The part, of these batches.
    pub fn into_part(self, head: &Head, batches: Range<usize>) -> Part<'_> {
        let plan = Plan { head, batches, order: self.order.into(), copy: self.copy.into() };
        Part { view: self.view, plan }
    }

    /// logQ by position of the dataset, of which the part's first one is `first`; `None` where no item is mapped.
    pub fn take_log_q(&mut self, first: usize) -> Option<LogQ> {
        let shares = std::mem::take(&mut self.log_q);
        self.view.item.is_some().then_some(LogQ::OfPositions { first, shares })
    }
}
