//! The pipeline file as a person types it: names, defaults and their documentation, no decisions.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// A pipeline: from logged examples to pre-composed training batches.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PipelineFile {
    pub input: Input,
    pub columns: Columns,
    #[serde(default)]
    pub dedup: Dedup,
    #[serde(default)]
    pub identity: Identity,
    #[serde(default)]
    pub requests: Requests,
    #[serde(default)]
    pub compose: Compose,
    #[serde(default)]
    pub mask: Mask,
    pub output: Output,
}

/// Which rows are read.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Files, directories (searched for `*.parquet`, `*.parq` and `*.pq` at any depth) and globs.
    pub shards: Vec<String>,
    /// `widen`: shards that differ become one table without loss. `strict`: any difference is an error.
    #[serde(default)]
    pub schema: SchemaMode,
    /// SQL predicate over input columns; a row for which it is not true is not an example.
    #[serde(rename = "where")]
    pub predicate: Option<String>,
    /// Payload columns, and fields of structs (`user.name`), that are not carried to the output, and need not agree.
    #[serde(default)]
    pub drop: Vec<String>,
    /// Whether `key=value` folders become string columns, percent-decoded.
    #[serde(default)]
    pub hive: bool,
}

/// What becomes of shards whose schemas differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SchemaMode {
    #[default]
    Widen,
    Strict,
}

/// Which column plays which role. `a.b` is a field of a struct, if no column is called so.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Columns {
    /// Whose rows must not be negatives of one another: a column, or several (composite).
    pub identity: OneOrMany,
    /// The event in which several examples were logged together: a column, or several.
    pub request: Option<OneOrMany>,
    /// The positive of a row.
    pub item: Option<String>,
    /// The class.
    pub label: Option<String>,
    /// When: an integer, a finite float, a date, a timestamp, or a folder that is a date.
    pub time: Option<String>,
    /// The unit in which a time that is a number counts from the epoch.
    pub time_unit: Option<TimeUnit>,
}

/// The unit of a time that is a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TimeUnit {
    #[serde(rename = "s")]
    Second,
    #[serde(rename = "ms")]
    Millisecond,
    #[serde(rename = "us")]
    Microsecond,
    #[serde(rename = "ns")]
    Nanosecond,
}

impl TimeUnit {
    /// Nanoseconds in it.
    pub fn nanos(self) -> u64 {
        match self {
            TimeUnit::Second => 1_000_000_000,
            TimeUnit::Millisecond => 1_000_000,
            TimeUnit::Microsecond => 1_000,
            TimeUnit::Nanosecond => 1,
        }
    }
}

/// A column, or a list of columns.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a column name or a list of column names")]
pub enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub fn into_names(self) -> Vec<String> {
        match self {
            OneOrMany::One(name) => vec![name],
            OneOrMany::Many(names) => names,
        }
    }
}

/// Which of several equal rows survives.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Dedup {
    /// Roles or columns that must all agree; default `identity, request, item` if all are mapped, else no dedup.
    pub key: Option<Vec<String>>,
    /// In time order, then input order.
    pub keep: Keep,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    #[default]
    First,
    Last,
}

/// How identities become tokens.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Identity {
    pub hash: Hash,
    /// Required with blake3: at least 32 bytes, refused if other users can read it.
    pub key_file: Option<String>,
    /// Only identities whose token falls in this share of all, from and up to: [0.0, 0.9] and [0.9, 1.0] are two sets without a
    /// common identity, the same ones in every run.
    pub share: Option<[f64; 2]>,
    pub nulls: Nulls,
    /// Whether raw identity columns stay in the output.
    pub keep_raw: bool,
}

/// `xxh3`: 128-bit XXH3, fast, not anonymous. `blake3`: keyed, pseudonymous.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Hash {
    #[default]
    Xxh3,
    Blake3,
}

/// Rows without an identity are an error, are dropped, or are each an identity of their own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Nulls {
    #[default]
    Error,
    Drop,
    Distinct,
}

/// How request-level columns are laid out.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Requests {
    pub layout: Layout,
    /// The request-level columns; must be constant within a request (checked).
    pub columns: Vec<String>,
}

/// `inline`: request columns repeat on each row. `first`: only on the first row of each request in a
/// batch (or rank slice), null on the rest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    #[default]
    Inline,
    First,
}

/// How rows become batches.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Compose {
    pub mode: Mode,
    /// Rows of the global batch, over all ranks.
    pub batch_size: u32,
    pub seed: u64,
    /// Rows mix only within a window: a duration of `columns.time` ("1h", aligned to the epoch), units of the calendar ("1 day",
    /// "1 week" from Monday, "1 month"), or a number of rows.
    pub window: Option<WindowText>,
    /// The zone of the calendar; dates, and times without a zone, are taken as they stand.
    pub time_zone: String,
    pub window_ends: WindowEnds,
    /// The dataset's last batch (with exact window ends, each window's): left short, dropped, or filled with copies.
    pub remainder: Remainder,
    /// Only with `identity_grouped`.
    pub group: Option<GroupFile>,
}

impl Default for Compose {
    fn default() -> Self {
        Compose {
            mode: Mode::default(),
            batch_size: 4096,
            seed: 0,
            window: None,
            time_zone: "UTC".into(),
            window_ends: WindowEnds::default(),
            remainder: Remainder::default(),
            group: None,
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Rows of one identity as far apart as they can be.
    #[default]
    UserSpread,
    /// Fixed groups of one identity, by class.
    IdentityGrouped,
    /// Requests whole, batches full.
    RequestPacked,
}

/// `whole`: a window's end is moved back to a whole number of batches. `exact`: no batch holds two windows, and nothing moves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WindowEnds {
    #[default]
    Whole,
    Exact,
}

/// A duration, or a number of rows.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a duration such as \"1h\" or a number of rows")]
pub enum WindowText {
    Rows(u64),
    Duration(String),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Remainder {
    #[default]
    Short,
    Drop,
    Pad,
}

/// The shape of a group.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupFile {
    /// Rows of each label value in a group, in this order.
    #[schemars(with = "std::collections::BTreeMap<String, u32>")]
    pub classes: Classes,
    /// Most groups of an identity in a pool: a seeded choice stays, the other rows are dropped and counted.
    #[serde(default)]
    pub max_groups: Option<u32>,
    /// Rows that fill no whole group: completed with copies, left ungrouped behind the groups, or dropped.
    #[serde(default)]
    pub scarce: Scarce,
}

/// Label values and their quotas, in the order of the pipeline file.
#[derive(Debug, Clone)]
pub struct Classes(pub Vec<(String, u32)>);

impl<'de> Deserialize<'de> for Classes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Ordered;
        impl<'de> Visitor<'de> for Ordered {
            type Value = Classes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of label values and their rows in a group, such as { real = 1, fake = 1 }")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Classes, A::Error> {
                let mut classes = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    classes.push(entry);
                }
                Ok(Classes(classes))
            }
        }
        deserializer.deserialize_map(Ordered)
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scarce {
    #[default]
    Repeat,
    Rest,
    Drop,
}

/// Who is not a negative.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mask {
    /// Any of `same:A`, `same:A+B` (A, B roles or columns, `column:A` where a name is both) and `known_positive`;
    /// default `same:identity`, and `same:item` where an item is mapped; none with `identity_grouped`.
    pub rules: Option<Vec<String>>,
    /// SQL predicate: rows that are positives, so anchors, and make known positives; default all.
    pub positive: Option<String>,
    /// Rules by which other rows are positives of an anchor, such as "same:label": supervised contrastive, views of one source.
    pub positives: Vec<String>,
    pub encoding: Encoding,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// A bit for each slot.
    #[default]
    Bitmap,
    /// Lists of the excluded slots.
    Slots,
    /// Nothing but the slots of identities and items, of which masks of `same:identity` and `same:item` are made.
    None,
}

/// Where the dataset goes, and how its files are cut.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Output {
    pub path: String,
    /// More than 1: one folder a rank; `batch_size` must be a multiple of it.
    #[serde(default = "one")]
    pub ranks: u32,
    #[serde(default = "zstd")]
    pub compression: String,
    #[serde(default)]
    pub types: Types,
    /// Rows per shard, rounded down to whole batches (at least one).
    #[serde(default = "shard_rows")]
    pub shard_rows: u64,
    /// Rows per row group, rounded down to whole batches (at least one).
    #[serde(default = "row_group_rows")]
    pub row_group_rows: u64,
    /// Whether `_batchwright/positives.parquet` is written.
    #[serde(default)]
    pub positives: bool,
}

/// `exact`: as the input has them. `portable`: fixed-size binaries are binaries and fixed-size lists are lists, for older readers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Types {
    #[default]
    Exact,
    Portable,
}

fn one() -> u32 {
    1
}

fn zstd() -> String {
    "zstd(1)".into()
}

fn shard_rows() -> u64 {
    1_048_576
}

fn row_group_rows() -> u64 {
    65_536
}
