//! Builds the key plane: chunks of key columns in, one [`KeyPlane`] out.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::{cast, filter};
use arrow::datatypes::{DataType, Int64Type};

use super::canonical::{any_null, flatten};
use super::hasher::Tokenizer;
use super::intern::{Interner, NO_VALUE};
use super::join::{ChunkCodes, Joined, LabelCodes, LeftOut};
use crate::error::{Error, Place, Result};
use crate::keys::{Codes, KeyPlane, Labels};
use crate::pipeline::{Field, Nulls, Pipeline, Rule};
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

/// Which columns are needed, and the codes handed out so far.
pub struct PlaneBuilder {
    names: Vec<String>,
    nulls: Nulls,
    identity: Interner,
    identity_width: usize,
    /// Fields beside identity, label and time, each one column.
    fields: Vec<Field>,
    others: Vec<Interner>,
    label: Option<Interner>,
    time: bool,
    joined: Mutex<Joined>,
}

impl PlaneBuilder {
    pub fn new(p: &Pipeline, tokenizer: &Tokenizer) -> Self {
        let mut fields: Vec<Field> = Vec::new();
        let named = p.rules.iter().flat_map(|r| match r {
            Rule::Same(fields) => fields.as_slice(),
            Rule::KnownPositive => &[],
        });
        let roles = [(Field::Request, &p.request), (Field::Item, &p.item)];
        let mapped = roles.iter().filter(|(_, column)| column.is_some()).map(|(field, _)| field);
        for field in mapped.chain(&p.dedup_key).chain(named) {
            if !matches!(field, Field::Identity | Field::Label) && !fields.contains(field) {
                fields.push(field.clone());
            }
        }
        let column = |field: &Field| -> String {
            let name = match field {
                Field::Request => p.request.as_ref(),
                Field::Item => p.item.as_ref(),
                Field::Column(name) => Some(name),
                Field::Identity | Field::Label => None,
            };
            name.cloned().unwrap_or_default()
        };
        let mut names = p.identity.clone();
        names.extend(fields.iter().map(column));
        names.extend(p.label.clone());
        names.extend(p.time.clone());
        let others = fields
            .iter()
            .map(|field| {
                // Only the item's tokens reach the output; for the rest, the fast hash does.
                let tokenizer = if *field == Field::Item { tokenizer.clone() } else { Tokenizer::xxh3() };
                Interner::new(vec![column(field)], tokenizer)
            })
            .collect();
        PlaneBuilder {
            names,
            nulls: p.nulls,
            identity: Interner::new(p.identity.clone(), tokenizer.clone()),
            identity_width: p.identity.len(),
            fields,
            others,
            label: p.label.clone().map(|l| Interner::new(vec![l], Tokenizer::xxh3())),
            time: p.time.is_some(),
            joined: Mutex::default(),
        }
    }

    /// The input columns that chunks must bring, in order; a column may come twice.
    pub fn columns(&self) -> &[String] {
        &self.names
    }

    /// Takes a chunk in; called from many threads, for each ordinal once and roughly in their order, as a chunk waits for
    /// those before it.
    pub fn add(&self, ordinal: usize, chunk: KeyChunk) -> Result<()> {
        let codes = self.codes(chunk)?;
        self.joined.lock().unwrap_or_else(|p| p.into_inner()).add(ordinal, codes);
        Ok(())
    }

    fn codes(&self, chunk: KeyChunk) -> Result<ChunkCodes> {
        let rows = chunk.columns.first().map_or(0, |c| c.len());
        let mut keep: Vec<bool> = match &chunk.keep {
            Some(keep) => (0..rows).map(|i| keep.is_valid(i) && keep.value(i)).collect(),
            None => vec![true; rows],
        };
        let filtered = keep.iter().filter(|k| !**k).count() as u64;
        let mut null_identity = 0;
        if self.nulls != Nulls::Distinct
            && let Some(nulls) = any_null(&chunk.columns[..self.identity_width])
        {
            for (i, keep) in keep.iter_mut().enumerate().filter(|(i, keep)| **keep && nulls[*i]) {
                if self.nulls == Nulls::Error {
                    return Err(Error::input(
                        chunk.place.with_column(self.names[..self.identity_width].join("+")),
                        format!("row {} has no identity", chunk.first_row as usize + i),
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
        let (identity, rest) = columns.split_at(self.identity_width);
        let (others, rest) = rest.split_at(self.others.len());
        let label = match (&self.label, rest.first()) {
            (Some(interner), Some(column)) => Some(label_codes(interner, column, &input_row)?),
            _ => None,
        };
        let time = match (self.time, rest.last()) {
            (true, Some(column)) => Some(self.times(&chunk.place, column, &input_row)?),
            _ => None,
        };
        let others = self.others.iter().zip(others.iter().map(std::slice::from_ref));
        let keys: Vec<(&Interner, &[ArrayRef])> = std::iter::once((&self.identity, identity)).chain(others).collect();
        // A file may be a single row group: its columns go to different cores.
        let mut codes = in_parallel(&keys, |_| 0, |(interner, parts)| interner.intern(parts, &input_row))?;
        Ok(ChunkCodes {
            others: codes.split_off(1),
            identity: codes.swap_remove(0),
            label,
            time,
            positive: chunk
                .positive
                .map(|p| (0..rows).filter(|i| keep[*i]).map(|i| p.is_valid(i) && p.value(i)).collect()),
            input_row,
            left_out: LeftOut { filtered, null_identity },
        })
    }

    fn times(&self, place: &Place, column: &ArrayRef, input_row: &[u32]) -> Result<Vec<i64>> {
        let name = self.names.last().cloned().unwrap_or_default();
        let plain = flatten(column);
        let fail = |problem: String, remedy: &str| Err(Error::input(place.clone().with_column(&name), problem, remedy));
        if let Some(i) = plain.logical_nulls().and_then(|n| (0..n.len()).find(|i| n.is_null(*i))) {
            return fail(format!("row {} has no time", input_row[i]), "filter such rows with input.where");
        }
        let wide = match plain.data_type() {
            DataType::Date32 => cast(&plain, &DataType::Int32).and_then(|a| cast(&a, &DataType::Int64)),
            _ => cast(&plain, &DataType::Int64),
        };
        match wide {
            Ok(wide) if wide.null_count() == 0 => Ok(wide.as_primitive::<Int64Type>().values().to_vec()),
            _ => fail("a time does not fit 64 signed bits".into(), "filter such rows with input.where"),
        }
    }

    /// The plane of all chunks.
    pub fn finish(self) -> (KeyPlane, LeftOut) {
        let joined = self.joined.into_inner().unwrap_or_else(|p| p.into_inner());
        debug_assert!(joined.is_whole());
        let rows = joined.rows;
        let mut plane = KeyPlane {
            input_row: rows.input_row,
            identity: self.identity.settle().codes(rows.identity),
            label: self.label.zip(rows.label).map(|(interner, (rows, texts))| labels(interner, rows, texts)),
            time: rows.time,
            positive: rows.positive,
            ..KeyPlane::default()
        };
        for ((field, interner), codes) in self.fields.into_iter().zip(self.others).zip(rows.others) {
            let codes: Codes = interner.settle().codes(codes);
            match field {
                Field::Request => plane.request = Some(codes),
                Field::Item => plane.item = Some(codes),
                Field::Column(name) => plane.columns.push((name, codes)),
                Field::Identity | Field::Label => {}
            }
        }
        (plane, rows.left_out)
    }
}

fn label_codes(interner: &Interner, column: &ArrayRef, input_row: &[u32]) -> Result<LabelCodes> {
    let plain = flatten(column);
    let nulls = plain.logical_nulls();
    let valid: Vec<usize> = (0..plain.len()).filter(|i| nulls.as_ref().is_none_or(|n| n.is_valid(*i))).collect();
    let fail = |e: arrow::error::ArrowError| Error::damaged(Place::column("label"), e);
    let mask: BooleanArray = (0..plain.len()).map(|i| Some(nulls.as_ref().is_none_or(|n| n.is_valid(i)))).collect();
    let present = filter(&plain, &mask).map_err(fail)?;
    let rows: Vec<u32> = valid.iter().map(|i| input_row[*i]).collect();
    let codes = interner.intern(&[Arc::clone(&present)], &rows)?;
    let binary = matches!(super::role_kind(plain.data_type()), Some(super::Kind::Binary));
    // A zone by name can't be written out; the instant in UTC can.
    let present = match present.data_type() {
        DataType::Timestamp(unit, Some(_)) => cast(&present, &DataType::Int64)
            .and_then(|ticks| cast(&ticks, &DataType::Timestamp(*unit, Some("+00:00".into()))))
            .map_err(fail)?,
        _ => present,
    };
    let text = if binary { None } else { Some(cast(&present, &DataType::Utf8View).map_err(fail)?) };
    let mut out = vec![NO_VALUE; plain.len()];
    let mut seen = HashSet::new();
    let mut texts = Vec::new();
    for (k, (&i, &code)) in valid.iter().zip(&codes).enumerate() {
        out[i] = code;
        if seen.insert(code) {
            let text = match &text {
                Some(text) => text.as_string_view().value(k).to_owned(),
                None => format!("binary label {code}"),
            };
            texts.push((code, text));
        }
    }
    Ok((out, texts))
}

fn labels(interner: Interner, mut rows: Vec<u32>, texts: Vec<(u32, String)>) -> Labels {
    let ranks = interner.settle();
    ranks.apply(&mut rows);
    let mut text: Vec<Option<String>> = vec![None; ranks.len() + 1];
    for (code, value) in texts {
        text[ranks.of(code) as usize] = Some(value);
    }
    Labels { rows, text }
}
