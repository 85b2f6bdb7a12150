//! `batchwright completions` and `batchwright man`.

use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;

use super::args::Args;
use super::{Outcome, print};
use crate::error::Error;
use crate::store;

pub fn completions(shell: clap_complete::Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "batchwright", &mut script);
    print(String::from_utf8_lossy(&script).trim_end())?;
    Ok(ExitCode::SUCCESS)
}

pub fn man(folder: &Path) -> Outcome {
    store::create_dir_all(folder)?;
    clap_mangen::generate_to(Args::command(), folder).map_err(|e| Error::io("write manual pages into", folder, e))?;
    Ok(ExitCode::SUCCESS)
}
