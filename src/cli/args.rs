//! Flags as typed, and their translation into pipeline overrides.

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use crate::error::{Error, Result};
use crate::pipeline::{self, Pipeline};
use crate::run::Settings;

/// Pre-composed training batches with exact same-user masks, from Parquet logs.
///
/// Exit codes: 0 done and good; 1 the data does not meet what was asked; 2 could not do it.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Compose a dataset.
    Run(PipelineArgs),
    /// Say what `run` would do, from footers and keys only; writes nothing.
    Plan(PipelineArgs),
    /// Print the JSON Schema of the pipeline file.
    Schema,
}

#[derive(Debug, ClapArgs)]
pub struct PipelineArgs {
    /// The pipeline file (TOML).
    pub pipeline: PathBuf,
    /// Set any pipeline key, as TOML (a bare word is a string): --set compose.batch_size=1024.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// A file, directory or glob to read; replaces input.shards, may be repeated.
    #[arg(long, value_name = "PATH")]
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
    pub fn load(&self) -> Result<(Pipeline, Settings)> {
        if self.threads == Some(0) {
            return Err(Error::pipeline("--threads 0", "there must be at least one", "leave it out to use all cores"));
        }
        // Fails only if a pool was set up before, which then stays in use.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(self.threads.unwrap_or(0)).build_global();
        let mut sets = Vec::new();
        for set in &self.sets {
            let (key, value) = set.split_once('=').ok_or_else(|| {
                Error::pipeline(
                    format!("--set {set}"),
                    "there is no `=`",
                    "write it as SECTION.KEY=VALUE, such as --set compose.batch_size=1024",
                )
            })?;
            sets.push((key.trim().to_owned(), value.trim().to_owned()));
        }
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        if !self.input.is_empty() {
            let list: Vec<String> = self.input.iter().map(|i| quoted(i)).collect();
            sets.push(("input.shards".into(), format!("[{}]", list.join(", "))));
        }
        if let Some(output) = &self.output {
            sets.push(("output.path".into(), quoted(output)));
        }
        if let Some(seed) = self.seed {
            sets.push(("compose.seed".into(), seed.to_string()));
        }
        let settings = Settings { overwrite: self.overwrite, memory: self.memory.map(|m| m.as_u64()) };
        Ok((pipeline::load(&self.pipeline, &sets)?, settings))
    }
}
