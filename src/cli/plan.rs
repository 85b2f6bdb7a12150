//! `batchwright plan`.

use std::process::ExitCode;

use super::args::{Format, PipelineArgs};
use super::usage::Usage;
use super::{Outcome, print, print_json, table};
use crate::compose::Pool;
use crate::progress::Progress;
use crate::{figures, job};

pub fn plan(args: &PipelineArgs) -> Outcome {
    let (pipeline, settings) = args.load()?;
    let progress = Progress::new();
    let prepared = job::prepare(&pipeline, &settings, &progress)?;
    let composition = &prepared.composition;
    let counted = figures::figures(&pipeline, composition)?;
    let baselines = figures::baselines(&pipeline, composition)?;
    let warnings = prepared.warnings(&pipeline)?;
    let advice = figures::advice(&pipeline, composition)?;
    let memory = job::memory(&pipeline, &prepared, settings.memory);
    let classes = figures::class_balance(composition)?;
    let pools: Vec<&Pool> = composition.composed.head().pools.iter().filter(|pool| pool.batches > 0).collect();
    progress.finish();
    match args.format {
        Format::Json => print_json(&serde_json::json!({
            "counts": counted.counts,
            "stats": counted.metrics,
            "baselines": baselines,
            "classes": classes,
            "pools": pools,
            "memory": memory,
            "warnings": warnings,
            "advice": advice,
            "usage": Usage::now(),
        }))?,
        Format::Text => {
            let size = |bytes: u64| bytesize::ByteSize(bytes).display().iec().to_string();
            let short = memory.short_of.map_or_else(String::new, |least| {
                format!("; --memory is short: this run may take about {}", size(least))
            });
            let mut text = format!(
                "{}\n\n{}\n\nmemory: about {} for keys and {} for payload; {}{short}",
                table::counts(&counted.counts),
                table::metrics(&counted.metrics, Some(&baselines)),
                size(memory.keys),
                size(memory.payload),
                match memory.spill {
                    0 => "nothing goes through scratch files".into(),
                    bytes => format!("about {} goes through scratch files, once each way", size(bytes)),
                },
            );
            text.push_str(&table::left_out(&pipeline));
            if pools.len() > 1 {
                let batches = || pools.iter().map(|pool| pool.batches);
                let (least, most) = (batches().min().unwrap_or(0), batches().max().unwrap_or(0));
                text.push_str(&format!("\n\npools of windows: {}, of {least} to {most} batches", pools.len()));
            }
            if !classes.is_empty() {
                text.push_str(&format!("\n\n{}", table::classes(&classes)));
            }
            warnings.iter().for_each(|w| text.push_str(&format!("\n\nwarning: {w}")));
            advice.iter().for_each(|a| text.push_str(&format!("\n\nnote: {a}")));
            print(&text)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
