//! `--against`: the pipeline's own input as witness. Shows what a dataset alone can't: that every example is there exactly
//! once with its payload, that identities are told apart one to one, and which positives are known.

use std::collections::{HashMap, HashSet};

use polars::prelude::{Column, DataFrame, IntoLazy, ParallelStrategy};
use xxhash_rust::xxh3::xxh3_128;

use super::chains::Chains;
use super::dataset::Dataset;
use super::digest::{digests, row_digests};
use super::files;
use super::finding::{Finding, Findings};
use super::inputs;
use super::one_to_one::OneToOne;
use super::rows::{SliceKey, ints};
use crate::error::{Error, Place, Result};
use crate::pipeline::{Field, Keep, Layout, Nulls, Pipeline, Remainder};
use crate::schema;
use crate::source::{HIVE_NULL, discover, polars_footer, predicate_expr, read_row_group, unless_panic, widen_integers};
use crate::store;

/// One row of the input that passed `where` and the null policy.
#[derive(Clone, Copy)]
pub(super) struct Example {
    pub(super) identity: u128,
    /// A null item is an item of its own.
    pub(super) item: Option<u128>,
    pub(super) positive: bool,
    /// Digest of the payload columns that the dataset carries on every row.
    pub(super) payload: u128,
    pub(super) survives: bool,
    pub(super) seen: bool,
}

/// The input, row by row, as digests.
pub struct Witness {
    pub(super) examples: Vec<Example>,
    pub(super) chains: Chains,
    /// Identities that survivors have.
    pub(super) identities: usize,
    pub(super) payload: Vec<String>,
    /// The columns that the dataset carries on the first row of each request, and their digest of each example.
    pub(super) firsts: Vec<String>,
    pub(super) first_values: Vec<u128>,
    /// The last batch, if it may hold padding.
    pub(super) padded: Option<i64>,
    /// Of each slice that could be read: its rows' payload.
    pub(super) digests: HashMap<SliceKey, Vec<u128>>,
    /// `bw_user` ↔ identity, `bw_item` ↔ item.
    pub(super) users: OneToOne,
    pub(super) items: OneToOne,
    /// Users' tokens of whom it is not known which of several identities they are.
    pub(super) interchangeable: HashSet<i64>,
    /// The tokens of items that the shards have.
    pub(super) item_tokens: HashSet<i64>,
    /// No example was dropped.
    pub(super) complete: bool,
    /// Whether it is known what each token of the shards stands for.
    pub(super) who_is_who: bool,
    pub(super) known: HashMap<i64, HashSet<i64>>,
    filtered: u64,
    null_identity: u64,
    duplicates: u64,
    /// While learning, by token: the sum of its examples' payload digests, and the only identity that some of its payload has.
    pub(super) sums: HashMap<i64, (u128, u64)>,
    pub(super) alone: HashMap<i64, u128>,
}

impl Witness {
    /// Reads the pipeline's input, whole.
    pub fn new(p: &Pipeline, dataset: &Dataset, findings: &mut Findings) -> Result<Self> {
        let differs = dataset.recorded.pipeline != p.record()?;
        if differs {
            return Err(Error::pipeline(
                "--against",
                "the dataset was made by another pipeline than this file describes",
                "give the pipeline file, with the same --set, that the manifest records",
            ));
        }
        let mut witness = Witness {
            examples: Vec::new(),
            chains: Chains::default(),
            identities: 0,
            payload: Vec::new(),
            firsts: Vec::new(),
            first_values: Vec::new(),
            padded: (p.remainder == Remainder::Pad).then_some(dataset.count("batches") as i64 - 1),
            digests: HashMap::new(),
            users: OneToOne::default(),
            items: OneToOne::default(),
            interchangeable: HashSet::new(),
            item_tokens: HashSet::new(),
            complete: dataset.count("dropped") == 0,
            who_is_who: false,
            known: HashMap::new(),
            filtered: 0,
            null_identity: 0,
            duplicates: 0,
            sums: HashMap::new(),
            alone: HashMap::new(),
        };
        let mut keys: HashMap<u128, u32> = HashMap::new();
        let mut times: Vec<i64> = Vec::new();
        let inputs = discover(&p.shards)?;
        inputs::compare(dataset, &inputs, findings)?;
        if let Some((found, schema)) = inputs.first().and_then(|f| Some((f, files::schema_of(&f.path)?))) {
            let mut folders: Vec<String> = Vec::new();
            for (key, _) in found.hive.iter().filter(|_| p.hive) {
                if !folders.contains(key) {
                    folders.push(key.clone());
                }
            }
            files::check_payload(dataset, &schema, |n| hidden(p, n), |n| first_only(p, n), &folders, findings);
        }
        for found in inputs {
            let damaged = || Error::damaged(Place::file(&found.path), "Polars can't read it");
            let columns = files::readable_columns(&found.path);
            let file = store::open(&found.path)?;
            let footer = unless_panic(|| polars_footer(file)).and_then(|f| f.ok()).ok_or_else(damaged)?;
            for row_group in 0..footer.row_groups.len() {
                let (file, columns) = (store::open(&found.path)?, columns.clone());
                let read = || read_row_group(file, &footer, row_group, columns, ParallelStrategy::Columns);
                let mut frame = unless_panic(read).and_then(|f| f.ok()).ok_or_else(damaged)?;
                for (key, value) in found.hive.iter().filter(|_| p.hive) {
                    let value = Some(value.as_str()).filter(|value| *value != HIVE_NULL);
                    let column = Column::new(key.as_str().into(), vec![value; frame.height()]);
                    frame.with_column(column).map_err(|e| Error::damaged(Place::file(&found.path), e))?;
                }
                crate::source::plain_text(&mut frame);
                witness.add(p, &frame, &mut keys, &mut times)?;
            }
        }
        witness.chains = Chains::new(&witness.examples);
        Ok(witness)
    }

    fn add(
        &mut self,
        p: &Pipeline,
        frame: &DataFrame,
        keys: &mut HashMap<u128, u32>,
        times: &mut Vec<i64>,
    ) -> Result<()> {
        let column = |name: &str| -> Result<Vec<Option<u128>>> {
            let column = frame.column(name).map_err(|_| unread(name))?;
            Ok(digests(column.as_materialized_series()))
        };
        let height = frame.height();
        let truth = |sql: &Option<String>| -> Result<Vec<bool>> {
            let Some(sql) = sql else { return Ok(vec![true; height]) };
            let bad = || {
                Error::pipeline("--against", "a predicate can't be evaluated", "run `batchwright plan` for the reason")
            };
            let expr = predicate_expr(sql).map_err(|_| bad())?;
            let mut frame = frame.clone();
            widen_integers(&mut frame);
            let out = frame.lazy().select([expr.alias("p")]).collect().map_err(|_| bad())?;
            let out = out.column("p").map_err(|_| bad())?.as_materialized_series().clone();
            let values = out.bool().map_err(|_| bad())?;
            let truth: Vec<bool> = values.iter().map(|v| v == Some(true)).collect();
            Ok(if truth.len() == 1 { vec![truth[0]; height] } else { truth })
        };
        let names = frame.get_column_names();
        self.payload = names.iter().map(|n| n.to_string()).filter(|n| !hidden(p, n) && !first_only(p, n)).collect();
        let payload = row_digests(frame, &self.payload);
        self.firsts = names.iter().map(|n| n.to_string()).filter(|n| !hidden(p, n) && first_only(p, n)).collect();
        let firsts = if self.firsts.is_empty() { Vec::new() } else { row_digests(frame, &self.firsts) };
        let identity: Vec<Vec<Option<u128>>> = p.identity.iter().map(|c| column(c)).collect::<Result<_>>()?;
        let item = p.item.as_ref().map(|c| column(c)).transpose()?;
        let time: Vec<i64> = match &p.time {
            Some(name) => frame.column(name).map(|c| ints(&c.to_physical_repr())).map_err(|_| unread(name))?,
            None => vec![0; frame.height()],
        };
        let key: Vec<Vec<Option<u128>>> = p
            .dedup_key
            .iter()
            .flat_map(|f| match f {
                Field::Identity => p.identity.clone(),
                Field::Request => p.request.iter().cloned().collect(),
                Field::Item => p.item.iter().cloned().collect(),
                Field::Label => p.label.iter().cloned().collect(),
                Field::Column(name) => vec![name.clone()],
            })
            .map(|c| column(&c))
            .collect::<Result<_>>()?;
        let (keep, positive) = (truth(&p.predicate)?, truth(&p.positive)?);
        for row in 0..frame.height() {
            if !keep[row] {
                self.filtered += 1;
                continue;
            }
            let parts: Option<Vec<u8>> = identity
                .iter()
                .map(|c| c[row])
                .collect::<Option<Vec<u128>>>()
                .map(|v| v.iter().flat_map(|d| d.to_le_bytes()).collect());
            let ordinal = self.examples.len() as u32;
            let identity = match parts {
                Some(bytes) => xxh3_128(&bytes),
                None if p.nulls == Nulls::Distinct => xxh3_128(format!("null {ordinal}").as_bytes()),
                None => {
                    self.null_identity += 1;
                    continue;
                }
            };
            let mut survives = true;
            let values: Option<Vec<u8>> = key.iter().map(|c| c[row]).try_fold(Vec::new(), |mut bytes, value| {
                bytes.extend(value?.to_le_bytes());
                Some(bytes)
            });
            if let Some(values) = values.filter(|v| !v.is_empty()).map(|bytes| xxh3_128(&bytes)) {
                let other = *keys.entry(values).or_insert(ordinal);
                if other != ordinal {
                    self.duplicates += 1;
                    let earlier = times[other as usize] <= time[row];
                    survives = earlier != (p.keep == Keep::First);
                    if survives {
                        self.examples[other as usize].survives = false;
                        keys.insert(values, ordinal);
                    }
                }
            }
            times.push(time[row]);
            self.first_values.extend(firsts.get(row));
            self.examples.push(Example {
                identity,
                item: item
                    .as_ref()
                    .map(|c| c[row].unwrap_or_else(|| xxh3_128(format!("null item {ordinal}").as_bytes()))),
                positive: positive[row],
                payload: payload[row],
                survives,
                seen: false,
            });
        }
        Ok(())
    }

    /// The payload columns that the dataset carries on every row.
    pub fn payload(&self) -> &[String] {
        &self.payload
    }

    /// What is missing in the end.
    pub fn finish(self, dataset: &Dataset, findings: &mut Findings) {
        self.check_tables(dataset, findings);
        let missing = self.examples.iter().filter(|e| e.survives && !e.seen).count() as u64;
        let pairs = [
            ("filtered", self.filtered),
            ("null_identity", self.null_identity),
            ("duplicates", self.duplicates),
            ("dropped", missing),
        ];
        for (name, expected) in pairs {
            let found = dataset.count(name);
            if found != expected {
                let problem = format!("counts.{name} is {found}, and the input gives {expected}");
                findings.add(Finding::of(schema::MANIFEST, problem));
            }
        }
    }
}

/// A role's column is not in the frame.
fn unread(name: &str) -> Error {
    let problem = format!("the input has no column `{name}`, or of a type that this check does not read");
    Error::pipeline("--against", problem, "give the input that the dataset was made from, or verify without --against")
}

/// Whether a column of the input is not in the payload.
fn hidden(p: &Pipeline, name: &str) -> bool {
    p.drop.iter().any(|d| d == name) || (!p.keep_raw && p.identity.iter().any(|i| i == name))
}

/// Whether a column stands only on the first row of each request.
fn first_only(p: &Pipeline, name: &str) -> bool {
    p.request_columns.iter().any(|c| c == name) && p.layout == Layout::First
}
