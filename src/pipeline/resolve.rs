//! Everything decided: roles bound, rules parsed, contradictions refused, before a byte of data is read.

use std::path::PathBuf;
use std::str::FromStr;

use parquet::basic::Compression;

use super::file::*;
use super::location::local_path;
use super::window::{Window, Zone, window};
use crate::error::{Error, Result};
use crate::schema;

/// A pipeline in which nothing is left open.
#[derive(Debug, Clone)]
pub struct Pipeline {
    pub shards: Vec<String>,
    pub schema: SchemaMode,
    pub predicate: Option<String>,
    pub drop: Vec<String>,
    pub hive: bool,
    pub identity: Vec<String>,
    /// Empty: there are no requests.
    pub request: Vec<String>,
    pub item: Option<String>,
    pub label: Option<String>,
    pub time: Option<String>,
    /// The unit of a time that is a number.
    pub time_unit: Option<TimeUnit>,
    /// Empty: no dedup.
    pub dedup_key: Vec<Field>,
    /// As typed.
    pub(super) dedup_texts: Vec<String>,
    pub keep: Keep,
    pub hash: Hash,
    pub key_file: Option<PathBuf>,
    /// From and up to: shares of all tokens.
    pub share: Option<[f64; 2]>,
    pub nulls: Nulls,
    pub keep_raw: bool,
    pub layout: Layout,
    pub request_columns: Vec<String>,
    pub mode: Mode,
    /// Rows of the global batch, at least 1.
    pub batch_size: usize,
    pub seed: u64,
    pub window: Option<Window>,
    /// Where windows of the calendar begin and end.
    pub time_zone: Zone,
    pub(super) time_zone_text: String,
    pub window_ends: WindowEnds,
    pub remainder: Remainder,
    pub group: Option<Group>,
    pub rules: Vec<RuleText>,
    /// Rules by which candidates are positives of an anchor.
    pub positive_rules: Vec<RuleText>,
    /// As typed.
    pub(super) rule_texts: Vec<String>,
    pub(super) has_own_rules: bool,
    pub positive: Option<String>,
    pub encoding: Encoding,
    pub output: PathBuf,
    pub ranks: usize,
    pub compression: Compression,
    pub compression_text: String,
    pub shard_rows: u64,
    pub row_group_rows: u64,
    pub types: Types,
    pub positives: bool,
}

/// A role, or a column by its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    Identity,
    Request,
    Item,
    Label,
    Column(String),
}

/// The shape of a group: label values with their rows, in order.
#[derive(Debug, Clone)]
pub struct Group {
    pub classes: Vec<(String, u32)>,
    /// Most groups of an identity in a pool.
    pub max_groups: Option<u32>,
    pub scarce: Scarce,
}

impl Group {
    /// Rows of a group.
    pub fn size(&self) -> usize {
        self.classes.iter().map(|(_, n)| *n as usize).sum()
    }
}

/// A rule of the mask as the pipeline file writes it: `name`, or `name:A+B`. What it means is the rule's own affair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleText {
    pub name: String,
    pub fields: Vec<Field>,
    /// As somebody wrote it.
    pub written: String,
}

impl RuleText {
    pub fn new(name: &str, fields: Vec<Field>) -> Self {
        let mut rule = RuleText { name: name.into(), fields, written: String::new() };
        rule.written = rule.text();
        rule
    }
}

impl Pipeline {
    /// Rows of a batch that one rank reads.
    pub fn slice(&self) -> usize {
        self.batch_size / self.ranks
    }
}

/// Each rank has files of its own.
pub const MAX_RANKS: usize = 1 << 16;

fn refuse<T>(at: &str, problem: impl Into<String>, remedy: impl Into<String>) -> Result<T> {
    Err(Error::pipeline(at, problem, remedy))
}

fn codec(text: &str) -> Result<Compression> {
    let problem = match Compression::from_str(text) {
        // The library knows its name, and nothing else of it.
        Ok(Compression::LZO) => format!("`{text}` can't be written"),
        Ok(codec) => return Ok(codec),
        Err(e) => format!("`{text}` is not a codec ({e})"),
    };
    refuse(
        "output.compression",
        problem,
        "use \"zstd(1)\", \"snappy\", \"lz4_raw\", \"gzip(6)\", \"brotli(4)\" or \"uncompressed\"",
    )
}

pub(super) fn resolve(file: PipelineFile) -> Result<Pipeline> {
    let shards = file.input.shards.iter().map(|shard| local_path("input.shards", shard)).collect::<Result<_>>()?;
    let compression = codec(&file.output.compression)?;
    if matches!(&file.columns.request, Some(OneOrMany::Many(names)) if names.is_empty()) {
        return refuse("columns.request", "it is empty", "name the columns of the event, or leave it out");
    }
    let mut p = Pipeline {
        shards,
        schema: file.input.schema,
        predicate: file.input.predicate,
        drop: file.input.drop,
        hive: file.input.hive,
        identity: file.columns.identity.into_names(),
        request: file.columns.request.map(OneOrMany::into_names).unwrap_or_default(),
        item: file.columns.item,
        label: file.columns.label,
        time: file.columns.time,
        time_unit: file.columns.time_unit,
        dedup_key: Vec::new(),
        dedup_texts: file.dedup.key.clone().unwrap_or_default(),
        keep: file.dedup.keep,
        hash: file.identity.hash,
        key_file: file.identity.key_file.map(PathBuf::from),
        share: file.identity.share,
        nulls: file.identity.nulls,
        keep_raw: file.identity.keep_raw,
        layout: file.requests.layout,
        request_columns: file.requests.columns,
        mode: file.compose.mode,
        batch_size: file.compose.batch_size as usize,
        seed: file.compose.seed,
        window: window(file.compose.window)?,
        time_zone: file.compose.time_zone.parse()?,
        time_zone_text: file.compose.time_zone,
        window_ends: file.compose.window_ends,
        remainder: file.compose.remainder,
        group: file.compose.group.map(|g| Group { classes: g.classes.0, max_groups: g.max_groups, scarce: g.scarce }),
        rules: Vec::new(),
        positive_rules: Vec::new(),
        has_own_rules: file.mask.rules.is_some(),
        rule_texts: file.mask.rules.iter().flatten().chain(&file.mask.positives).cloned().collect(),
        positive: file.mask.positive,
        encoding: file.mask.encoding,
        output: PathBuf::from(local_path("output.path", &file.output.path)?),
        ranks: file.output.ranks as usize,
        compression,
        compression_text: file.output.compression,
        shard_rows: file.output.shard_rows,
        row_group_rows: file.output.row_group_rows,
        types: file.output.types,
        positives: file.output.positives,
    };
    p.dedup_key = match &file.dedup.key {
        Some(names) => names.iter().map(|n| p.field("dedup.key", n)).collect::<Result<_>>()?,
        None if !p.request.is_empty() && p.item.is_some() => vec![Field::Identity, Field::Request, Field::Item],
        None => Vec::new(),
    };
    p.positive_rules = file.mask.positives.iter().map(|rule| p.rule("mask.positives", rule)).collect::<Result<_>>()?;
    p.rules = match (&file.mask.rules, p.mode) {
        (Some(rules), _) => rules.iter().map(|rule| p.rule("mask.rules", rule)).collect::<Result<_>>()?,
        (None, Mode::IdentityGrouped) => Vec::new(),
        (None, _) => {
            let item = p.item.is_some().then(|| RuleText::new("same", vec![Field::Item]));
            [RuleText::new("same", vec![Field::Identity])].into_iter().chain(item).collect()
        }
    };
    check_roles(&p)?;
    check_shape(&p)?;
    Ok(p)
}

fn check_roles(p: &Pipeline) -> Result<()> {
    if p.shards.is_empty() {
        return refuse("input.shards", "it is empty", "name files, directories or globs");
    }
    if p.identity.is_empty() {
        return refuse(
            "columns.identity",
            "it is empty",
            "name the column whose rows are not negatives of one another",
        );
    }
    if p.time.is_none() && p.window.is_some_and(Window::needs_times) {
        return refuse("compose.window", "a duration needs columns.time", "map columns.time, or use a number of rows");
    }
    if p.window.is_none() && p.window_ends == WindowEnds::Exact {
        return refuse("compose.window_ends", "there is no compose.window", "set compose.window, or leave it out");
    }
    if p.time_unit.is_some() && p.time.is_none() {
        return refuse("columns.time_unit", "it is the unit of columns.time", "map columns.time, or leave it out");
    }
    if p.request.is_empty() && (p.layout == Layout::First || !p.request_columns.is_empty()) {
        return refuse("requests", "request columns need columns.request", "map columns.request");
    }
    if p.layout == Layout::First && p.request_columns.is_empty() {
        return refuse("requests.columns", "layout \"first\" needs them", "name the request-level columns");
    }
    if p.item.is_none() && p.positives {
        return refuse("columns.item", "known positives need it", "map columns.item");
    }
    if !p.keep_raw && p.item.as_ref().is_some_and(|item| p.identity.contains(item)) {
        return refuse(
            "columns.item",
            "it is also an identity column, and items.parquet would show its raw values",
            "set identity.keep_raw = true, or map another column",
        );
    }
    let is_hidden = p.hash == Hash::Blake3 || !p.keep_raw;
    if is_hidden && p.label.as_ref().is_some_and(|label| p.identity.contains(label)) {
        return refuse(
            "columns.label",
            "it is also an identity column, and classes would show its raw values",
            "map another column",
        );
    }
    if !p.keep_raw && p.time.as_ref().is_some_and(|time| p.identity.contains(time)) {
        return refuse(
            "columns.time",
            "it is also an identity column, and stats.parquet would show its raw values",
            "set identity.keep_raw = true, or map another column",
        );
    }
    if p.share.is_some_and(|[from, to]| !(0.0 <= from && from < to && to <= 1.0)) {
        let remedy = "write it as [0.0, 0.9]: from, and up to, between 0 and 1";
        return refuse("identity.share", "it is not a share of all identities", remedy);
    }
    match (p.hash, &p.key_file) {
        (Hash::Blake3, None) => {
            refuse("identity.key_file", "blake3 needs a key", "name a file of at least 32 random bytes")
        }
        (Hash::Xxh3, Some(_)) => {
            refuse("identity.key_file", "xxh3 takes no key", "set identity.hash = \"blake3\", or leave key_file out")
        }
        _ => Ok(()),
    }
}

fn check_shape(p: &Pipeline) -> Result<()> {
    let b = p.batch_size;
    if b == 0 {
        return refuse("compose.batch_size", "it is 0", "use the number of rows whose embeddings meet in one loss");
    }
    if i32::try_from(b).is_err() {
        return refuse("compose.batch_size", format!("{b} slots pass 31 bits"), "use a smaller one");
    }
    if p.ranks > MAX_RANKS {
        return refuse("output.ranks", format!("{} is over {MAX_RANKS}", p.ranks), "use the number of readers");
    }
    if p.ranks == 0 {
        return refuse("output.ranks", "it is 0", "use the number of data-parallel readers, 1 for a single one");
    }
    if !b.is_multiple_of(p.ranks) {
        return refuse(
            "compose.batch_size",
            format!("{b} is not a multiple of output.ranks = {}", p.ranks),
            format!("use {}", (b / p.ranks + 1) * p.ranks),
        );
    }
    if p.ranks > 1 && p.remainder == Remainder::Short {
        return refuse(
            "compose.remainder",
            "a short last batch can't be cut for several ranks",
            "set compose.remainder to \"drop\" or \"pad\"",
        );
    }
    let of_slots =
        |rule: &RuleText| rule.name == "same" && matches!(rule.fields[..], [Field::Identity] | [Field::Item]);
    if p.encoding == Encoding::None
        && (!p.positive_rules.is_empty() || p.rules.is_empty() || !p.rules.iter().all(of_slots))
    {
        return refuse(
            "mask.encoding",
            "without a mask, slots tell the rules same:identity and same:item alone",
            "set mask.rules to these, or mask.encoding to \"bitmap\" or \"slots\"",
        );
    }
    if b > schema::MAX_BITMAP_BATCH && p.encoding == Encoding::Bitmap {
        return refuse(
            "mask.encoding",
            format!("bitmaps go to batches of {}", schema::MAX_BITMAP_BATCH),
            "set mask.encoding = \"slots\"",
        );
    }
    if p.shard_rows == 0 || p.row_group_rows == 0 {
        return refuse("output", "shard_rows and row_group_rows must be at least 1", "leave them out for the defaults");
    }
    Ok(())
}
