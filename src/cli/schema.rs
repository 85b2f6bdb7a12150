//! `batchwright schema`.

use std::process::ExitCode;

use super::{Outcome, print_json};
use crate::pipeline::PipelineFile;

pub fn schema() -> Outcome {
    // The draft that plug-ins for TOML take.
    let generator = schemars::generate::SchemaSettings::draft07().into_generator();
    print_json(&generator.into_root_schema_for::<PipelineFile>())?;
    Ok(ExitCode::SUCCESS)
}
