//! The command line: arguments as typed in, results on stdout, everything else on stderr, an exit code out.

mod args;
mod plan;
mod run;
mod schema;
mod table;

use std::process::ExitCode;

use clap::Parser;

use crate::error::Result;

/// Parses the process's arguments and runs the command. 0: done and good; 2: could not do it.
pub fn main() -> ExitCode {
    crate::source::silence_guarded_panics();
    let args = args::Args::parse();
    let outcome = match args.command {
        args::Command::Run(args) => run::run(&args),
        args::Command::Plan(args) => plan::plan(&args),
        args::Command::Schema => schema::schema(),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::from(2)
    })
}

type Outcome = Result<ExitCode>;

/// Prints to stdout; a reader that went away is no failure.
fn print(text: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n"));
}

fn print_json(value: &impl serde::Serialize) {
    // Plain data with string keys always serializes.
    print(&serde_json::to_string_pretty(value).unwrap_or_default());
}
