//! `batchwright run`.

use std::process::ExitCode;

use super::args::{Format, PipelineArgs};
use super::usage::Usage;
use super::{Outcome, print, print_json, table};
use crate::job;
use crate::pipeline::Pipeline;
use crate::progress::Progress;

pub fn run(args: &PipelineArgs) -> Outcome {
    let (pipeline, settings) = args.load()?;
    let progress = Progress::new();
    let outcome = job::run(&pipeline, &settings, &progress)?;
    progress.finish();
    show(&pipeline, outcome, args.format);
    Ok(ExitCode::SUCCESS)
}

/// Says what came out. The dataset is in place, whoever hears of it.
pub fn show(pipeline: &Pipeline, outcome: job::Outcome, format: Format) {
    let manifest = outcome.manifest;
    let bytes: u64 = manifest.shards.iter().map(|s| s.bytes).sum();
    let printed = match format {
        Format::Json => print_json(&serde_json::json!({
            "path": pipeline.output, "run_id": manifest.run_id, "counts": manifest.counts, "stats": manifest.stats,
            "spilled_bytes": outcome.spilled, "bytes": bytes, "usage": Usage::now(),
        })),
        Format::Text => {
            let (shards, ranks) = (manifest.shards.len(), pipeline.ranks);
            let of_ranks = if ranks > 1 { format!(" for {ranks} ranks") } else { String::new() };
            print(&format!(
                "{}: {} batches of {} in {shards} shard{}{of_ranks}, {}\n\n{}\n\n{}{}",
                pipeline.output.display(),
                table::grouped(manifest.counts.batches),
                pipeline.batch_size,
                if shards == 1 { "" } else { "s" },
                bytesize::ByteSize(bytes).display().iec(),
                table::counts(&manifest.counts),
                table::metrics(&manifest.stats, Some(&manifest.baselines)),
                table::left_out(pipeline),
            ))
        }
    };
    if let Err(error) = printed {
        Progress::new().warn(&error.to_string());
    }
}
