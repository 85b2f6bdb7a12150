//! Key columns of a row group in, their tokens by row out.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::compute::filter;
use arrow::datatypes::DataType;

use super::canonical::{any_null, flatten};
use super::hasher::Tokenizer;
use super::reorder::{ChunkKeys, LeftOut, Texts};
use super::roles::{self, as_integers, without_nan};
use super::runs::{KeyColumn, Run};
use super::share::IdentityShare;
use super::times;
use crate::error::{Error, Place, Result};
use crate::parallel::in_parallel;
use crate::pipeline::{Field, Nulls, Pipeline};

/// A row group's key columns, in the order of [`KeyColumns::names`].
pub struct KeyChunk {
    /// The file, for errors.
    pub place: Place,
    /// Ordinal in the input of the chunk's first row.
    pub first_row: u32,
    pub columns: Vec<ArrayRef>,
    /// Rows for which `input.where` is true; `None`: all.
    pub keep: Option<BooleanArray>,
    /// Rows for which `mask.positive` is true; `None`: all.
    pub positive: Option<BooleanArray>,
}

/// Which columns keys are made of, and how.
pub struct KeyColumns {
    names: Vec<String>,
    share: Option<IdentityShare>,
    nulls: Nulls,
    identity_width: usize,
    /// The identity, then `fields`, then the label.
    pub(super) keys: Vec<KeyColumn>,
    /// Fields beside identity, label and time.
    pub(super) fields: Vec<Field>,
    pub(super) label: bool,
    /// The type that the input has of times.
    pub(super) time: Option<DataType>,
    /// Whether only some rows are positives.
    pub(super) positive: bool,
}

impl KeyColumns {
    /// `time`: the type that the input has of times, where they are mapped.
    pub fn new(p: &Pipeline, tokenizer: &Tokenizer, time: Option<DataType>) -> Self {
        let mut fields: Vec<Field> = Vec::new();
        let named = p.rules.iter().chain(&p.positive_rules).flat_map(|rule| &rule.fields);
        let roles = [(Field::Request, !p.request.is_empty()), (Field::Item, p.item.is_some())];
        let mapped = roles.iter().filter(|(_, mapped)| *mapped).map(|(field, _)| field);
        for field in mapped.chain(&p.dedup_key).chain(named) {
            if !matches!(field, Field::Identity | Field::Label) && !fields.contains(field) {
                fields.push(field.clone());
            }
        }
        let columns = |field: &Field| -> Vec<String> {
            match field {
                Field::Request => p.request.clone(),
                Field::Item => p.item.clone().into_iter().collect(),
                Field::Column(name) => vec![name.clone()],
                Field::Identity | Field::Label => Vec::new(),
            }
        };
        let mut names = p.identity.clone();
        names.extend(fields.iter().flat_map(columns));
        names.extend(p.label.clone());
        names.extend(p.time.clone());
        // Only the tokens of identities and items reach the output; for the rest, the fast hash does.
        let fast = |names: Vec<String>| KeyColumn { names, tokenizer: Tokenizer::xxh3() };
        let mut keys = vec![KeyColumn { names: p.identity.clone(), tokenizer: tokenizer.clone() }];
        keys.extend(fields.iter().map(|field| match field {
            Field::Item => KeyColumn { names: columns(field), tokenizer: tokenizer.clone() },
            _ => fast(columns(field)),
        }));
        keys.extend(p.label.clone().map(|name| fast(vec![name])));
        KeyColumns {
            names,
            share: IdentityShare::new(p, tokenizer),
            nulls: p.nulls,
            identity_width: p.identity.len(),
            keys,
            fields,
            label: p.label.is_some(),
            time,
            positive: p.positive.is_some(),
        }
    }

    /// The input columns that chunks must bring, in order; a column may come twice.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Number of key columns, each of which has runs.
    pub fn runs(&self) -> usize {
        self.keys.len()
    }

    /// Bytes that a row's keys take.
    pub(super) fn row_bytes(&self) -> usize {
        4 * (1 + self.keys.len()) + if self.time.is_some() { 8 } else { 0 } + usize::from(self.positive)
    }

    /// The tokens of a chunk's examples.
    ///
    /// # Errors
    /// A row without an identity where the pipeline allows none, or a value that can't play its role.
    pub fn chunk(&self, chunk: KeyChunk) -> Result<ChunkKeys> {
        let rows = chunk.columns.first().map_or(0, |c| c.len());
        let mut keep: Vec<bool> = match &chunk.keep {
            Some(keep) => (0..rows).map(|i| keep.is_valid(i) && keep.value(i)).collect(),
            None => vec![true; rows],
        };
        let mut filtered = keep.iter().filter(|k| !**k).count() as u64;
        let mut null_identity = 0;
        if self.nulls != Nulls::Distinct
            && let Some(nulls) =
                any_null(&chunk.columns[..self.identity_width].iter().map(without_nan).collect::<Vec<_>>())
        {
            for (i, keep) in keep.iter_mut().enumerate().filter(|(i, keep)| **keep && nulls[*i]) {
                if self.nulls == Nulls::Error {
                    return Err(Error::input(
                        chunk.place.with_column(self.names[..self.identity_width].join("+")),
                        format!("row {i} of this row group has no identity"),
                        "set identity.nulls to \"drop\" or \"distinct\", or filter with input.where",
                    ));
                }
                *keep = false;
                null_identity += 1;
            }
        }
        if let Some(share) = &self.share {
            let identity = &chunk.columns[..self.identity_width];
            filtered += share.select(identity, &chunk.place, chunk.first_row, &mut keep)?;
        }
        let all = filtered == 0 && null_identity == 0;
        let input_row: Vec<u32> = (0..rows).filter(|i| keep[*i]).map(|i| chunk.first_row + i as u32).collect();
        let mask = BooleanArray::from(keep.clone());
        let columns: Vec<ArrayRef> = chunk
            .columns
            .iter()
            .map(|c| if all { Ok(Arc::clone(c)) } else { filter(c, &mask) })
            .collect::<Result<_, _>>()
            .map_err(|e| Error::damaged(chunk.place.clone(), e))?;
        let row = |i: usize| input_row[i] - chunk.first_row;
        let (keyed, times) = columns.split_at(columns.len() - usize::from(self.time.is_some()));
        let keyed: Vec<ArrayRef> = keyed
            .iter()
            .zip(&self.names)
            .map(|(column, name)| as_integers(column, &chunk.place, name, row))
            .collect::<Result<_>>()?;
        let mut rest = keyed.as_slice();
        let mut keys: Vec<(&KeyColumn, &[ArrayRef])> = Vec::with_capacity(self.keys.len());
        for key in &self.keys {
            let (own, others) = rest.split_at(key.names.len());
            keys.push((key, own));
            rest = others;
        }
        let labels = if self.label { keys.pop() } else { None };
        // A file may be a single row group: its columns go to different cores.
        let mut runs = in_parallel(&keys, |_| 0, |(key, parts)| key.runs(parts, |i| i as u32, &input_row))?;
        let mut texts = Texts::new();
        if let Some((key, [column])) = labels {
            let (labels, of_labels) = label_runs(key, column, &input_row)?;
            runs.push(labels);
            texts = of_labels;
        }
        let time = match (&self.time, times.first()) {
            (Some(wanted), Some(column)) => {
                let name = self.names.last().map(String::as_str).unwrap_or_default();
                Some(times::times(column, wanted, &chunk.place.clone().with_column(name), row)?)
            }
            _ => None,
        };
        Ok(ChunkKeys {
            runs,
            texts,
            time,
            positive: chunk
                .positive
                .map(|p| (0..rows).filter(|i| keep[*i]).map(|i| p.is_valid(i) && p.value(i)).collect()),
            input_row,
            left_out: LeftOut { filtered, null_identity },
        })
    }
}

/// The runs of the labels that there are, and the text of each of them.
fn label_runs(key: &KeyColumn, column: &ArrayRef, input_row: &[u32]) -> Result<(Vec<Run>, Texts)> {
    let plain = flatten(column);
    let nulls = plain.logical_nulls();
    let valid: Vec<u32> =
        (0..plain.len() as u32).filter(|i| nulls.as_ref().is_none_or(|n| n.is_valid(*i as usize))).collect();
    let fail = |e: arrow::error::ArrowError| Error::damaged(Place::column("label"), e);
    let mask: BooleanArray = (0..plain.len()).map(|i| Some(nulls.as_ref().is_none_or(|n| n.is_valid(i)))).collect();
    let present = filter(&plain, &mask).map_err(fail)?;
    let rows: Vec<u32> = valid.iter().map(|i| input_row[*i as usize]).collect();
    let runs = key.runs(&[Arc::clone(&present)], |i| valid[i], &rows)?;
    let all = roles::texts(&present).map_err(fail)?;
    let mut texts = Texts::new();
    for run in &runs {
        texts.entry(run.token).or_insert_with(|| {
            let text = all[valid.partition_point(|row| *row < run.row)].clone();
            text.unwrap_or_else(|| format!("binary label {:08x}", run.token >> 96))
        });
    }
    Ok((runs, texts))
}
