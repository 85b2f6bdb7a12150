//! `batchwright schema`.

use std::process::ExitCode;

use super::{Outcome, print_json};
use crate::pipeline::PipelineFile;

pub fn schema() -> Outcome {
    print_json(&schemars::schema_for!(PipelineFile))?;
    Ok(ExitCode::SUCCESS)
}
