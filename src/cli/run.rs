//! `batchwright run`.

use std::process::ExitCode;

use super::args::{Format, PipelineArgs};
use super::{Outcome, print, print_json, table};
use crate::progress::Progress;

pub fn run(args: &PipelineArgs) -> Outcome {
    let (pipeline, settings) = args.load()?;
    let progress = Progress::new();
    let outcome = crate::run::run(&pipeline, &settings, &progress)?;
    let manifest = outcome.manifest;
    drop(progress);
    let printed = match args.format {
        Format::Json => print_json(&serde_json::json!({
            "path": pipeline.output, "run_id": manifest.run_id, "counts": manifest.counts, "stats": manifest.stats,
            "spilled_bytes": outcome.spilled,
        })),
        Format::Text => {
            let bytes: u64 = manifest.shards.iter().map(|s| s.bytes).sum();
            let (shards, ranks) = (manifest.shards.len(), pipeline.ranks);
            let of_ranks = if ranks > 1 { format!(" for {ranks} ranks") } else { String::new() };
            print(&format!(
                "{}: {} batches of {} in {shards} shard{}{of_ranks}, {}\n\n{}\n\n{}",
                pipeline.output.display(),
                table::grouped(manifest.counts.batches),
                pipeline.batch_size,
                if shards == 1 { "" } else { "s" },
                bytesize::ByteSize(bytes).display().iec(),
                table::counts(&manifest.counts),
                table::metrics(&manifest.stats, Some(&manifest.baselines)),
            ))
        }
    };
    // The dataset is in place, whoever hears of it.
    if let Err(error) = printed {
        eprintln!("warning: {error}");
    }
    Ok(ExitCode::SUCCESS)
}
