//! `batchwright`: parse, call, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    batchwright::cli::main()
}
