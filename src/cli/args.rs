//! Flags as typed, and their translation into pipeline overrides.

use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use crate::error::{Error, Result};
use crate::job::Settings;
use crate::pipeline::{self, Pipeline};
use crate::store;

/// Pre-composed training batches with exact same-user masks, from Parquet logs.
///
/// Exit codes: 0 done and good; 1 the data does not meet what was asked; 2 could not do it.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub struct Args {
    /// Say nothing but warnings and errors.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say when each stage begins, too.
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
    /// How to write what is said on stderr.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text, global = true)]
    pub log_format: Format,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print a commented pipeline file for an input: roles are guessed from names, types and values.
    #[command(after_help = "Examples:\n  batchwright init logs/2024-01-02 > own.toml")]
    Init(InitArgs),
    /// Compose a dataset.
    #[command(
        after_help = "Examples:\n  batchwright run own.toml --set compose.batch_size=1024 --memory 8GiB\n  batchwright run own.toml --overwrite --log-format json"
    )]
    Run(PipelineArgs),
    /// Say what `run` would do, from footers and keys only; writes nothing.
    #[command(after_help = "Examples:\n  batchwright plan own.toml --format json")]
    Plan(PipelineArgs),
    /// Gate a dataset's statistics: exit 1 with every expectation that is not met.
    #[command(
        after_help = "Examples:\n  batchwright check out/feed --expect feed.expect.toml --baseline out/yesterday\n  batchwright check --list"
    )]
    Check(CheckArgs),
    /// Prove a dataset correct, bit by bit: exit 1 with every finding.
    #[command(
        after_help = "Examples:\n  batchwright verify out/feed --against own.toml\n  batchwright verify out/feed --sample 5%"
    )]
    Verify(VerifyArgs),
    /// Look at a dataset in the terminal.
    #[command(after_help = "Examples:\n  batchwright inspect out/feed --batch 3")]
    Inspect(InspectArgs),
    /// Write one self-contained page with plots.
    #[command(after_help = "Examples:\n  batchwright report out/feed --output report.html")]
    Report(ReportArgs),
    /// Print the JSON Schema of the pipeline file.
    #[command(after_help = "Examples:\n  batchwright schema > batchwright.schema.json")]
    Schema,
    /// Print a shell's completions.
    #[command(after_help = "Examples:\n  batchwright completions zsh > _batchwright")]
    Completions {
        /// Whose.
        shell: clap_complete::Shell,
    },
    /// Write a manual page for each command into a folder.
    #[command(after_help = "Examples:\n  batchwright man share/man/man1")]
    Man {
        /// The folder.
        folder: PathBuf,
    },
    /// Run one stage of a run, for engines: over a work folder, each stage in a process of its own.
    #[command(subcommand)]
    Job(JobCommand),
}

impl Command {
    /// Whether the result is asked for as JSON, and so is an error.
    pub fn prints_json(&self) -> bool {
        match self {
            Command::Run(args) | Command::Plan(args) => args.format == Format::Json,
            Command::Check(args) => args.format == CheckFormat::Json,
            Command::Verify(args) => args.format == Format::Json,
            Command::Inspect(args) => args.format == Format::Json,
            Command::Init(_)
            | Command::Job(_)
            | Command::Report(_)
            | Command::Schema
            | Command::Completions { .. }
            | Command::Man { .. } => false,
        }
    }
}

/// The stages, in their order; each may run more than once, and those of one kind in any order.
#[derive(Debug, Subcommand)]
pub enum JobCommand {
    /// Make the work folder, and cut the input into splits; says how many there are.
    #[command(after_help = "Example:\n  batchwright job start own.toml --work /scratch/day --splits 64 --parts 32")]
    Start(StartArgs),
    /// Read the keys of a split.
    #[command(after_help = "Example:\n  batchwright job scan own.toml --work /scratch/day --split 0")]
    Scan(SplitArgs),
    /// Compose, once all splits are scanned; says how many parts there are to write.
    #[command(after_help = "Example:\n  batchwright job compose own.toml --work /scratch/day")]
    Compose(StageArgs),
    /// Decode the payload of a split, and cut it into pieces by part.
    #[command(after_help = "Example:\n  batchwright job scatter own.toml --work /scratch/day --split 0")]
    Scatter(SplitArgs),
    /// Write the files of a part, once all splits are scattered.
    #[command(after_help = "Example:\n  batchwright job write own.toml --work /scratch/day --part 0")]
    Write(PartArgs),
    /// Put the dataset in its place, once all parts are written; says what `run` says.
    #[command(after_help = "Example:\n  batchwright job commit own.toml --work /scratch/day")]
    Commit(StageArgs),
}

#[derive(Debug, ClapArgs)]
pub struct StageArgs {
    #[command(flatten)]
    pub pipeline: PipelineArgs,
    /// The folder over which the stages hand one another what they make: made by `start`, as private as the input, removed by nobody.
    #[arg(long, value_name = "DIR")]
    pub work: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub struct StartArgs {
    #[command(flatten)]
    pub stage: StageArgs,
    /// About how many splits: stretches of row groups [default: one a file].
    #[arg(long)]
    pub splits: Option<usize>,
    /// About how many parts, of whole shards [default: one a shard, up to 256].
    #[arg(long)]
    pub parts: Option<usize>,
}

#[derive(Debug, ClapArgs)]
pub struct SplitArgs {
    #[command(flatten)]
    pub stage: StageArgs,
    /// Which split, from 0.
    #[arg(long)]
    pub split: usize,
}

#[derive(Debug, ClapArgs)]
pub struct PartArgs {
    #[command(flatten)]
    pub stage: StageArgs,
    /// Which part, from 0.
    #[arg(long)]
    pub part: usize,
}

#[derive(Debug, ClapArgs)]
pub struct InitArgs {
    /// Files, directories or globs to read; @FILE and - name lists of them, as for `run --input`.
    #[arg(required = true, value_name = "LOCATION")]
    inputs: Vec<String>,
}

impl InitArgs {
    /// All locations.
    ///
    /// # Errors
    /// A list that can't be read, or names nothing.
    pub fn inputs(&self) -> Result<Vec<String>> {
        listed(&self.inputs)
    }
}

#[derive(Debug, ClapArgs)]
pub struct VerifyArgs {
    pub dataset: PathBuf,
    /// The pipeline that made it: proves payload, dedup, filters and known positives from the input.
    #[arg(long, value_name = "PIPELINE.toml")]
    pub against: Option<PathBuf>,
    /// Set a key of that pipeline, as for `run`.
    #[arg(long = "set", value_name = "KEY=VALUE", requires = "against")]
    pub sets: Vec<String>,
    /// Fill in {NAME} in the strings of that pipeline, as for `run`.
    #[arg(long = "param", value_name = "NAME=VALUE", requires = "against")]
    pub params: Vec<String>,
    /// The input that the run had, as for `run`.
    #[arg(long, value_name = "LOCATION", requires = "against")]
    pub input: Vec<String>,
    /// Check the rows of only this share of the batches, such as 5%.
    #[arg(long, value_name = "SHARE")]
    pub sample: Option<String>,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

impl VerifyArgs {
    /// Reads the pipeline at `path`, with what the command line sets.
    ///
    /// # Errors
    /// A `--set` or `--param` that is wrong, a list of files that can't be read, or a pipeline that is wrong.
    pub fn load(&self, path: &Path) -> Result<Pipeline> {
        let mut sets = split_sets(&self.sets)?;
        sets.extend(input_set(&self.input)?);
        pipeline::load_with(path, &sets, &split_params(&self.params)?)
    }
}

#[derive(Debug, ClapArgs)]
pub struct CheckArgs {
    #[arg(required_unless_present = "list")]
    pub dataset: Option<PathBuf>,
    /// The expectations (TOML).
    #[arg(long, value_name = "EXPECT.toml", required_unless_present = "list")]
    pub expect: Option<PathBuf>,
    /// List all metrics with their definitions.
    #[arg(long, conflicts_with_all = ["dataset", "expect", "baseline", "from_manifest"])]
    pub list: bool,
    /// The dataset that `max_change` compares with.
    #[arg(long, value_name = "DATASET")]
    pub baseline: Option<PathBuf>,
    /// Trust the manifest's figures instead of recomputing them from the shards.
    #[arg(long)]
    pub from_manifest: bool,
    #[arg(long, value_enum, default_value_t = CheckFormat::Text)]
    pub format: CheckFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CheckFormat {
    Text,
    Json,
    Junit,
    Github,
}

#[derive(Debug, ClapArgs)]
pub struct InspectArgs {
    pub dataset: PathBuf,
    /// Show this batch: its identities, its groups, its mask.
    #[arg(long, value_name = "N")]
    pub batch: Option<u32>,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

#[derive(Debug, ClapArgs)]
pub struct ReportArgs {
    pub dataset: PathBuf,
    /// Where the page goes.
    #[arg(long, value_name = "FILE.html")]
    pub output: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub struct PipelineArgs {
    /// The pipeline file (TOML).
    pub pipeline: PathBuf,
    /// Set any pipeline key, as TOML (a bare word is a string): --set compose.batch_size=1024.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// Fill in {NAME} in the strings of the pipeline.
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub params: Vec<String>,
    /// A file, directory or glob to read; @FILE names a list of them, one a line, and - the same on standard input. Replaces
    /// input.shards, may be repeated.
    #[arg(long, value_name = "LOCATION")]
    pub input: Vec<String>,
    /// Where the dataset goes; replaces output.path.
    #[arg(long, value_name = "DIR")]
    pub output: Option<String>,
    /// Replaces compose.seed.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Threads to use [default: all cores].
    #[arg(long)]
    pub threads: Option<usize>,
    /// Memory for the whole process, such as 8GiB [default: half of what is free].
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<ByteSize>,
    /// Where scratch files go, if the payload does not fit the memory [default: beside the output].
    #[arg(long, value_name = "DIR")]
    pub spill_dir: Option<PathBuf>,
    /// Replace an existing dataset, by one atomic exchange.
    #[arg(long)]
    pub overwrite: bool,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
}

impl PipelineArgs {
    /// Reads the pipeline with all overrides, and sets the threads up.
    ///
    /// # Errors
    /// A pipeline file that can't be read, or is wrong; flags that are.
    pub fn load(&self) -> Result<(Pipeline, Settings)> {
        const MOST_THREADS: usize = 1024;
        if let Some(threads) = self.threads.filter(|threads| !(1..=MOST_THREADS).contains(threads)) {
            let remedy = format!("use 1 to {MOST_THREADS}, or leave it out to use all cores");
            return Err(Error::pipeline(format!("--threads {threads}"), "there is no such number of threads", remedy));
        }
        if self.seed.is_some_and(|seed| i64::try_from(seed).is_err()) {
            return Err(Error::pipeline("--seed", "TOML has no integers from 2⁶³ on", "use a smaller one"));
        }
        // Fails only if a pool was set up before, which then stays in use.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(self.threads.unwrap_or(0)).build_global();
        let mut sets = split_sets(&self.sets)?;
        sets.extend(input_set(&self.input)?);
        if let Some(output) = &self.output {
            sets.push(("output.path".into(), quoted(output)));
        }
        if let Some(seed) = self.seed {
            sets.push(("compose.seed".into(), seed.to_string()));
        }
        let settings = Settings {
            overwrite: self.overwrite,
            memory: self.memory.map(|m| m.as_u64()),
            spill_dir: self.spill_dir.clone(),
        };
        Ok((pipeline::load_with(&self.pipeline, &sets, &split_params(&self.params)?)?, settings))
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// What `--input` sets, if it is there.
fn input_set(inputs: &[String]) -> Result<Option<(String, String)>> {
    if inputs.is_empty() {
        return Ok(None);
    }
    let list: Vec<String> = listed(inputs)?.iter().map(|location| quoted(location)).collect();
    Ok(Some(("input.shards".into(), format!("[{}]", list.join(", ")))))
}

/// Locations, and those that lists name, a line each: of `@FILE`, or of standard input for `-`.
fn listed(inputs: &[String]) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for input in inputs {
        let (name, text) = match input.as_str() {
            "-" => {
                let read = std::io::read_to_string(std::io::stdin());
                ("standard input", read.map_err(|e| Error::io("read", "standard input", e))?)
            }
            input => match input.strip_prefix('@') {
                Some(path) => (input, store::read_to_string(Path::new(path))?),
                None => {
                    all.push(input.to_owned());
                    continue;
                }
            },
        };
        let before = all.len();
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        all.extend(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned));
        if all.len() == before {
            let problem = format!("{name} names no location");
            return Err(Error::pipeline("--input", problem, "write one location a line"));
        }
    }
    Ok(all)
}

fn split_params(params: &[String]) -> Result<Vec<(String, String)>> {
    let split = |param: &String| {
        let pair = param.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        pair.ok_or_else(|| Error::pipeline("--param", "one has no `=`", "write it as NAME=VALUE"))
    };
    params.iter().map(split).collect()
}

fn split_sets(sets: &[String]) -> Result<Vec<(String, String)>> {
    let split = |set: &String| {
        let (key, value) = set.split_once('=').ok_or_else(|| {
            Error::pipeline(
                "--set",
                "one has no `=`",
                "write it as SECTION.KEY=VALUE, such as --set compose.batch_size=1024",
            )
        })?;
        Ok((key.trim().to_owned(), value.trim().to_owned()))
    };
    sets.iter().map(split).collect()
}
