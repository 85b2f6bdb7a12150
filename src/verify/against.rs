//! `--against`: the pipeline's own input as witness. Shows what a dataset alone can't: that every example is there exactly
//! once with its payload, that identities are told apart one to one, and which positives are known.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use polars::prelude::DataFrame;
use xxhash_rust::xxh3::xxh3_128;

use super::chains::{Chains, Example};
use super::columns::{find, leave_out};
use super::digest::{Column, role_digests, row_digests};
use super::files;
use super::finding::{Finding, Findings};
use super::input::InputFile;
use super::inputs;
use super::one_to_one::OneToOne;
use super::orders;
use super::predicates::Predicates;
use super::rows::SliceKey;
use super::second;
use super::widened::{Told, payload};
use crate::error::{Error, Result};
use crate::pipeline::{Field, Keep, Layout, Nulls, Pipeline, Remainder};
use crate::reader::Dataset;
use crate::schema;
use crate::source::discover;

/// The input, row by row, as digests.
pub struct Witness {
    pub(super) examples: Vec<Example>,
    pub(super) chains: Chains,
    /// Identities that survivors have.
    pub(super) identities: usize,
    pub(super) payload: Vec<Column>,
    /// The columns that the dataset carries on the first row of each request, and their digest of each example.
    pub(super) firsts: Vec<Column>,
    pub(super) first_values: Vec<u128>,
    /// The first batch that may hold padding, if any may: with exact windows each window's last one does.
    pub(super) padded: Option<i64>,
    /// The payload of the rows of each slice that could be read.
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
    /// Some file has times that are floats.
    float_times: bool,
    /// The columns of which Polars does not read some file.
    foreign: Vec<String>,
    /// Whether the items' values were read so.
    pub(super) items_by_arrow: bool,
    /// While learning, by token: the sum of its examples' payload digests, and the only identity that some of its payload has.
    pub(super) sums: HashMap<i64, (u128, u64)>,
    pub(super) alone: HashMap<i64, u128>,
}

impl Witness {
    /// Reads the pipeline's input, whole. `orders`: the dataset's ordered dictionaries.
    ///
    /// # Errors
    /// Another pipeline than the dataset's, or an input that can't be read.
    pub fn new(
        p: &Pipeline,
        dataset: &Dataset,
        orders: &[(String, Vec<Vec<u8>>)],
        findings: &mut Findings,
    ) -> Result<Self> {
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
            padded: (p.remainder == Remainder::Pad).then_some(match dataset.has_exact_windows() {
                true => 0,
                false => dataset.count("batches") as i64 - 1,
            }),
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
            float_times: false,
            foreign: Vec::new(),
            items_by_arrow: false,
            sums: HashMap::new(),
            alone: HashMap::new(),
        };
        let mut keys: HashMap<u128, u32> = HashMap::new();
        let mut times: Vec<i128> = Vec::new();
        let found = discover(&p.shards)?.files;
        inputs::compare(p, dataset, &found, findings)?;
        let predicates = Predicates::new(p, found.clone())?;
        let carried = files::payload_names(dataset);
        let inputs: Vec<InputFile> =
            found.into_iter().map(|found| InputFile::open(p, found.path, &carried)).collect::<Result<_>>()?;
        let unread = files::foreign_payload(dataset);
        witness.foreign = inputs.iter().flat_map(|input| input.foreign.iter().cloned()).chain(unread).collect();
        witness.foreign.sort_unstable();
        witness.foreign.dedup();
        witness.expect(p, dataset, &inputs, findings);
        orders::compare(orders, &inputs, dataset, findings);
        witness.float_times = p.time.as_ref().is_some_and(|time| inputs.iter().any(|input| input.has_floats(time)));
        // A column is meant before any field.
        let is_top = |name: &String| inputs.iter().any(|input| input.told.schema.index_of(name).is_ok());
        let left_out = p.left_out().into_iter().map(|(_, name)| name);
        let left_out: Vec<String> = left_out.filter(|name| !is_top(name)).collect();
        for (shard, input) in inputs.iter().enumerate() {
            for row_group in 0..input.row_groups() {
                let frame = input.rows(p, row_group, &witness.foreign, &left_out)?;
                let mut payload = frame.clone();
                left_out.iter().for_each(|name| leave_out(&mut payload, name));
                let truths = predicates.truths(shard, row_group, frame.height())?;
                let share = |keep: &mut [bool]| predicates.share(p, (shard, row_group), keep);
                witness.add(p, (&frame, &payload), truths, share, &mut keys, &mut times)?;
            }
        }
        witness.chains = Chains::new(&witness.examples);
        Ok(witness)
    }

    /// Compares the payload's schema with what the input gives, and settles how its columns are compared.
    fn expect(&mut self, p: &Pipeline, dataset: &Dataset, inputs: &[InputFile], findings: &mut Findings) {
        let folders = inputs.first().map(InputFile::folder_names).unwrap_or_default();
        let left_out: Vec<String> = p.left_out().into_iter().map(|(_, name)| name).collect();
        let told: Vec<Told> = inputs
            .iter()
            .map(|input| Told { schema: Arc::clone(&input.told.schema), has_rows: input.told.has_rows })
            .collect();
        // A column is meant before any field.
        let is_top = |name: &&String| inputs.iter().any(|input| input.told.schema.index_of(name).is_ok());
        let below: Vec<&str> = left_out.iter().filter(|name| !is_top(name)).map(String::as_str).collect();
        let all = payload(&told, &folders, &below);
        let fields = all.iter().filter(|(field, _)| !left_out.contains(field.name())).cloned();
        let mut wanted = Vec::new();
        for (field, same) in fields {
            let same = same && dataset.written(field.clone()).data_type() == field.data_type();
            let nullable = field.is_nullable() || first_only(p, field.name());
            // What Polars does not read in some file, Arrow's reader reads in all.
            let name = match self.foreign.contains(field.name()) {
                true => second::name_of(field.name()),
                false => field.name().clone(),
            };
            let column = Column { name, by_value: !same };
            if first_only(p, field.name()) {
                self.firsts.push(column)
            } else {
                self.payload.push(column)
            }
            wanted.push((field.with_nullable(nullable), same));
        }
        files::check_payload(dataset, &wanted, findings);
    }

    fn add(
        &mut self,
        p: &Pipeline,
        (frame, carried): (&DataFrame, &DataFrame),
        (keep, positive): (Vec<bool>, Vec<bool>),
        share: impl Fn(&mut [bool]) -> Result<()>,
        keys: &mut HashMap<u128, u32>,
        times: &mut Vec<i128>,
    ) -> Result<()> {
        let height = frame.height();
        // What a file lacks altogether was refused, unless it has no rows.
        let column = |name: &str| -> Result<Vec<Option<u128>>> {
            let by_arrow = || frame.column(&second::role_of(name)).ok().cloned();
            let column = by_arrow().or_else(|| find(frame, name)).ok_or_else(|| unread(name))?;
            Ok(role_digests(column.as_materialized_series()))
        };
        if height == 0 {
            return Ok(());
        }
        let payload = row_digests(carried, &self.payload);
        let firsts = if self.firsts.is_empty() { Vec::new() } else { row_digests(carried, &self.firsts) };
        let identity: Vec<Vec<Option<u128>>> = p.identity.iter().map(|c| column(c)).collect::<Result<_>>()?;
        let item = p.item.as_ref().map(|c| column(c)).transpose()?;
        self.items_by_arrow = p.item.as_ref().is_some_and(|item| frame.column(&second::role_of(item)).is_ok());
        let time: Vec<i128> = match &p.time {
            Some(name) => {
                let by_arrow = || frame.column(&second::time_of(name)).ok().cloned();
                let column = by_arrow().or_else(|| find(frame, name)).ok_or_else(|| unread(name))?;
                instants(&column, self.float_times)
            }
            None => vec![0; height],
        };
        let key: Vec<Vec<Option<u128>>> = p
            .dedup_key
            .iter()
            .flat_map(|f| match f {
                Field::Identity => p.identity.clone(),
                Field::Request => p.request.clone(),
                Field::Item => p.item.iter().cloned().collect(),
                Field::Label => p.label.iter().cloned().collect(),
                Field::Column(name) => vec![name.clone()],
            })
            .map(|c| column(&c))
            .collect::<Result<_>>()?;
        // Rows without an identity are counted as such before shares are looked at.
        let is_null = |row: usize| p.nulls != Nulls::Distinct && identity.iter().any(|c| c[row].is_none());
        let mut shared: Vec<bool> = (0..height).map(|row| keep[row] && !is_null(row)).collect();
        share(&mut shared)?;
        for row in 0..height {
            if !keep[row] || (!shared[row] && !is_null(row)) {
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
    pub fn payload(&self) -> Vec<String> {
        self.payload.iter().map(|column| column.name.clone()).collect()
    }

    /// Those of them that are compared through Arrow's reader.
    pub fn foreign(&self) -> &[String] {
        &self.foreign
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

/// Whether a column stands only on the first row of each request.
fn first_only(p: &Pipeline, name: &str) -> bool {
    p.request_columns.iter().any(|c| c == name) && p.layout == Layout::First
}

/// Times that can be compared over files whose units differ; `floats`: some file has floats.
fn instants(column: &polars::prelude::Column, floats: bool) -> Vec<i128> {
    use polars::prelude::{DataType as Seen, TimeUnit};
    if floats {
        let wide = column.cast(&Seen::Float64).unwrap_or_else(|_| column.clone());
        return super::columns::times(&wide).into_iter().map(i128::from).collect();
    }
    let unit = match column.dtype() {
        Seen::Datetime(TimeUnit::Milliseconds, _) => 1_000_000,
        Seen::Datetime(TimeUnit::Microseconds, _) => 1_000,
        Seen::Date => 86_400_000_000_000,
        _ => 1,
    };
    super::columns::times(column).into_iter().map(|time| i128::from(time) * unit).collect()
}
