//! `batchwright job`.

use std::process::ExitCode;

use super::args::{JobCommand, StageArgs};
use super::{Outcome, print_json, run};
use crate::job::Settings;
use crate::pipeline::Pipeline;
use crate::progress::Progress;
use crate::work;

pub fn job(command: &JobCommand) -> Outcome {
    let progress = Progress::new();
    let load = |stage: &StageArgs| -> crate::error::Result<(Pipeline, Settings)> { stage.pipeline.load() };
    match command {
        JobCommand::Start(args) => {
            let (p, settings) = load(&args.stage)?;
            let splits = work::start(&p, &settings, &args.stage.work, args.splits, args.parts, &progress)?;
            print_json(&serde_json::json!({ "splits": splits }))?;
        }
        JobCommand::Scan(args) => {
            let (p, _) = load(&args.stage)?;
            work::scan(&p, &args.stage.work, args.split, &progress)?;
        }
        JobCommand::Compose(args) => {
            let (p, settings) = load(args)?;
            let parts = work::compose(&p, &settings, &args.work, &progress)?;
            print_json(&serde_json::json!({ "parts": parts }))?;
        }
        JobCommand::Scatter(args) => {
            let (p, _) = load(&args.stage)?;
            work::scatter(&p, &args.stage.work, args.split, &progress)?;
        }
        JobCommand::Write(args) => {
            let (p, settings) = load(&args.stage)?;
            work::write(&p, &settings, &args.stage.work, args.part, &progress)?;
        }
        JobCommand::Commit(args) => {
            let (p, settings) = load(args)?;
            let outcome = work::commit(&p, &settings, &args.work, &progress)?;
            progress.finish();
            run::show(&p, outcome, args.pipeline.format);
        }
    }
    progress.finish();
    Ok(ExitCode::SUCCESS)
}
