//! `batchwright init`.

use std::process::ExitCode;

use super::args::InitArgs;
use super::{Outcome, print};
use crate::init;

pub fn init(args: &InitArgs) -> Outcome {
    print(init::draft(&args.inputs()?)?.trim_end())?;
    Ok(ExitCode::SUCCESS)
}
