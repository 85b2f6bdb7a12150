//! `batchwright check`.

use std::path::Path;
use std::process::ExitCode;

use super::args::{CheckArgs, CheckFormat};
use super::{Outcome, print, print_json};
use crate::check::{self, Checked, Figures, Level, Style};
use crate::error::Result;
use crate::reader::Dataset;
use crate::schema::METRICS;
use crate::verify;

pub fn check(args: &CheckArgs) -> Outcome {
    let (Some(dataset), Some(expect)) = (&args.dataset, &args.expect) else { return list(args.format) };
    let expectations = check::expectations(expect)?;
    let mut unreadable = Vec::new();
    let figures = figures(dataset, args.from_manifest, &mut unreadable)?;
    let baseline = args.baseline.as_ref().map(|path| figures_of_manifest(path)).transpose()?;
    let mut results = check::check(&expectations, &figures, baseline.as_ref());
    results.extend(unreadable);
    let style = match args.format {
        CheckFormat::Text => Style::Text,
        CheckFormat::Json => Style::Json,
        CheckFormat::Junit => Style::Junit,
        CheckFormat::Github => Style::Github,
    };
    print(&check::render(&results, &dataset.display().to_string(), style))?;
    let failed = results.iter().any(|r| r.problem.is_some() && r.level == Level::Error);
    Ok(ExitCode::from(u8::from(failed)))
}

/// All metrics, and what they are.
fn list(format: CheckFormat) -> Outcome {
    let names = METRICS.iter().map(|metric| (metric.names(), metric.meaning));
    match format {
        CheckFormat::Json => {
            let all: Vec<_> =
                names.map(|(names, meaning)| serde_json::json!({ "metrics": names, "meaning": meaning })).collect();
            print_json(&all)?;
        }
        _ => {
            let lines = names.map(|(names, meaning)| format!("{}\n    {meaning}", names.join(", ")));
            print(&lines.collect::<Vec<_>>().join("\n"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Recomputed from the shards, or as the manifest records them; shards that can't be read are findings.
fn figures(dataset: &Path, from_manifest: bool, unreadable: &mut Vec<Checked>) -> Result<Figures> {
    if from_manifest {
        return figures_of_manifest(dataset);
    }
    let (recomputed, findings) = verify::recompute(dataset)?;
    unreadable.extend(findings.into_iter().map(|f| Checked {
        metric: "readable shards".into(),
        level: Level::Error,
        value: None,
        baseline: None,
        problem: Some(f.to_string()),
    }));
    let stats = serde_json::to_value(&recomputed.metrics).unwrap_or_default();
    let counts = serde_json::to_value(recomputed.counts).unwrap_or_default();
    Ok(check::figures(&stats, &counts))
}

fn figures_of_manifest(dataset: &Path) -> Result<Figures> {
    let recorded = Dataset::open(dataset)?.recorded;
    Ok(check::figures(&recorded.stats, &recorded.counts))
}
