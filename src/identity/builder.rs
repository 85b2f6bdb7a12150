//! Builds keys: chunks of key columns in, [`Keys`] out.

use std::sync::{Arc, Mutex};

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::compute::filter;
use arrow::datatypes::DataType;

use super::canonical::{any_null, flatten};
use super::codes::{Order, Partitions, Settled, Wanted};
use super::hasher::Tokenizer;
use super::reorder::{ChunkKeys, Joined, LeftOut, Texts};
use super::roles::{self, as_integers, without_nan};
use super::runs::{KeyColumn, Run};
use super::times;
use crate::error::{Error, Place, Result};
use crate::keys::{Codes, KeyView, Keys, Labels};
use crate::pipeline::{Field, Nulls, Pipeline, Rule};
use crate::spill::Room;
use crate::tasks::in_parallel;

/// A row group's key columns, in the order of [`PlaneBuilder::columns`].
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

/// Which columns are needed, and the keys that have come.
pub struct KeyBuilder {
    names: Vec<String>,
    nulls: Nulls,
    identity_width: usize,
    /// The identity, then `fields`, then the label.
    keys: Vec<KeyColumn>,
    /// Fields beside identity, label and time.
    fields: Vec<Field>,
    label: bool,
    /// The type that the input has of times.
    time: Option<DataType>,
    room: Room,
    joined: Mutex<Joined>,
}

/// All keys that have come.
pub struct Gathered {
    pub keys: Keys,
    /// The room, with what it has decided of them.
    pub room: Room,
    pub left_out: LeftOut,
    /// Bytes that went through a scratch file.
    pub spilled: u64,
}

impl KeyBuilder {
    /// For up to `rows` rows; keys are held if all fit the room, which the builder gives back with them. `time`: the type that
    /// the input has of times, where they are mapped.
    pub fn new(p: &Pipeline, tokenizer: &Tokenizer, time: Option<DataType>, rows: u32, room: Room) -> Result<Self> {
        let mut fields: Vec<Field> = Vec::new();
        let named = p.rules.iter().flat_map(|r| match r {
            Rule::Same(fields) => fields.as_slice(),
            Rule::KnownPositive => &[],
        });
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
        let positive = p.positive.is_some();
        let row_bytes = 4 * (1 + keys.len()) + if time.is_some() { 8 } else { 0 } + usize::from(positive);
        let room = room.for_rows(u64::from(rows), row_bytes as u64);
        // Only who is who decides what comes first.
        let orders = keys.iter().enumerate().map(|(k, _)| if k == 0 { Order::seeded(p.seed) } else { Order::Tokens });
        let runs = Partitions::new(orders.collect(), &room);
        Ok(KeyBuilder {
            names,
            nulls: p.nulls,
            identity_width: p.identity.len(),
            joined: Mutex::new(Joined::new(runs, time.is_some(), positive, &room)?),
            keys,
            fields,
            label: p.label.is_some(),
            time,
            room,
        })
    }

    /// The input columns that chunks must bring, in order; a column may come twice.
    pub fn columns(&self) -> &[String] {
        &self.names
    }

    /// Takes a chunk in; called from many threads, for each ordinal once and roughly in their order, as a chunk waits for
    /// those before it.
    pub fn add(&self, ordinal: usize, chunk: KeyChunk) -> Result<()> {
        let keys = self.keys_of(chunk)?;
        self.joined.lock().unwrap_or_else(|p| p.into_inner()).add(ordinal, keys)
    }

    fn keys_of(&self, chunk: KeyChunk) -> Result<ChunkKeys> {
        let rows = chunk.columns.first().map_or(0, |c| c.len());
        let mut keep: Vec<bool> = match &chunk.keep {
            Some(keep) => (0..rows).map(|i| keep.is_valid(i) && keep.value(i)).collect(),
            None => vec![true; rows],
        };
        let filtered = keep.iter().filter(|k| !**k).count() as u64;
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

    /// The keys of all chunks.
    pub fn finish(self) -> Result<Gathered> {
        let mut joined = self.joined.into_inner().unwrap_or_else(|p| p.into_inner());
        let rows = joined.input_row.len();
        joined.runs.finish()?;
        let (mut codes, mut columns) = (Vec::new(), self.keys.iter().enumerate());
        // One column after the other, so that one column's tokens are held at a time.
        let mut next = |field: &Field, wanted: Wanted| -> Result<(usize, Vec<u128>)> {
            let Some((column, key)) = columns.next() else { return Ok((0, Vec::new())) };
            let Settled { rows, distinct, tokens } =
                joined.runs.settle(column, rows, &key.names, wanted, &self.room)?;
            codes.push((field.clone(), rows));
            Ok((distinct, tokens))
        };
        let (_, identities) = next(&Field::Identity, Wanted::Tokens)?;
        let mut shape = KeyView { identity: Codes::new(Vec::new(), identities), ..KeyView::default() };
        for field in self.fields {
            let wanted = if field == Field::Item { Wanted::Tokens } else { Wanted::Codes };
            let (distinct, tokens) = next(&field, wanted)?;
            match field {
                Field::Item => shape.item = Some(Codes::new(Vec::new(), tokens)),
                Field::Request => shape.request = Some(Codes::without_tokens(Vec::new(), distinct)),
                Field::Column(name) => shape.columns.push((name, Codes::without_tokens(Vec::new(), distinct))),
                Field::Identity | Field::Label => {}
            }
        }
        if self.label {
            let (_, tokens) = next(&Field::Label, Wanted::Tokens)?;
            // Rows without a label have the code behind all others.
            let text = tokens.iter().map(|token| joined.texts.get(token).cloned()).chain([None]).collect();
            shape.label = Some(Labels { rows: Vec::new().into(), text: Arc::new(text) });
        }
        let (left_out, spilled) = (joined.left_out, joined.runs.filed_bytes());
        let Joined { input_row, time, positive, .. } = joined;
        (shape.time, shape.positive) =
            (time.as_ref().map(|_| Vec::new().into()), positive.as_ref().map(|_| Vec::new().into()));
        let keys = Keys::new(shape, input_row, codes, time, positive);
        Ok(Gathered { spilled: spilled + keys.filed_bytes(), keys, room: self.room, left_out })
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
