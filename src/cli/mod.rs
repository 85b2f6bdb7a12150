//! The command line: arguments as typed in, results on stdout, everything else on stderr, an exit code out.

mod args;
mod check;
mod init;
mod inspect;
mod job;
mod manual;
mod plan;
mod report;
mod run;
mod schema;
mod table;
mod usage;
mod verify;

pub use args::Args;

use std::process::ExitCode;

use clap::Parser;

use crate::error::{Error, Result};
use crate::progress::{self, Log};

/// Parses the process's arguments and runs the command. 0: done and good; 1: the data does not meet what was asked; 2: could not do it.
pub fn main() -> ExitCode {
    usage::begin();
    crate::source::silence_guarded_panics();
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(e) if !e.use_stderr() => e.exit(),
        Err(e) if e.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => e.exit(),
        Err(e) => {
            // One line, like every other error: clap's usage is a --help away.
            let text = e.to_string();
            let problem: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
            eprintln!("{}; see `batchwright --help`", problem.join(" "));
            return ExitCode::from(2);
        }
    };
    let json = args.log_format == args::Format::Json;
    progress::log_as(Log { stages: !args.quiet, begins: args.verbose, json });
    let as_json = json || args.command.prints_json();
    let outcome = match args.command {
        args::Command::Init(args) => init::init(&args),
        args::Command::Run(args) => run::run(&args),
        args::Command::Plan(args) => plan::plan(&args),
        args::Command::Check(args) => check::check(&args),
        args::Command::Verify(args) => verify::verify(&args),
        args::Command::Inspect(args) => inspect::inspect(&args),
        args::Command::Report(args) => report::report(&args),
        args::Command::Schema => schema::schema(),
        args::Command::Completions { shell } => manual::completions(shell),
        args::Command::Man { folder } => manual::man(&folder),
        args::Command::Job(command) => job::job(&command),
    };
    outcome.unwrap_or_else(|error| {
        // Names of files may hold anything.
        let told: String = error.to_string().chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        match as_json {
            true => eprintln!("{}", serde_json::json!({ "error": told, "kind": error.name() })),
            false => eprintln!("error: {told}"),
        }
        ExitCode::from(2)
    })
}

type Outcome = Result<ExitCode>;

/// Prints to stdout; a reader that went away is no failure.
fn print(text: &str) -> Result<()> {
    use std::io::{ErrorKind, Write};
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
    match written {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(Error::io("write", "standard output", e)),
        _ => Ok(()),
    }
}

fn print_json(value: &impl serde::Serialize) -> Result<()> {
    // Plain data with string keys always serializes.
    print(&serde_json::to_string_pretty(value).unwrap_or_default())
}
