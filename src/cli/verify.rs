//! `batchwright verify`.

use std::process::ExitCode;

use super::args::{Format, VerifyArgs};
use super::{Outcome, print, print_json};
use crate::error::Error;
use crate::identity::Tokenizer;
use crate::pipeline::{Hash, Pipeline};
use crate::reader::Dataset;
use crate::verify;

pub fn verify(args: &VerifyArgs) -> Outcome {
    let against = args.against.as_ref().map(|path| args.load(path)).transpose()?;
    if let Some(p) = &against {
        check_key(p, &Dataset::open(&args.dataset)?)?;
    }
    let sample = args.sample.as_ref().map(|text| share(text)).transpose()?;
    let verdict = verify::verify(&args.dataset, against.as_ref(), sample)?;
    match args.format {
        Format::Json => print_json(&verdict)?,
        Format::Text => {
            let mut lines: Vec<String> = verdict.findings.iter().map(ToString::to_string).collect();
            lines.extend(verdict.notes.iter().map(|n| format!("note: {n}")));
            let batches = super::table::grouped(verdict.batches as u64);
            let rows = super::table::grouped(verdict.rows);
            lines.push(match verdict.findings.len() {
                0 => format!("{}: {batches} batches, {rows} rows: correct", args.dataset.display()),
                1 => format!("{}: {batches} batches, {rows} rows: 1 finding", args.dataset.display()),
                n => format!("{}: {batches} batches, {rows} rows: {n} findings", args.dataset.display()),
            });
            print(&lines.join("\n"))?;
        }
    }
    Ok(ExitCode::from(u8::from(!verdict.findings.is_empty())))
}

/// Tokens can only be those of the key that made them.
fn check_key(p: &Pipeline, dataset: &Dataset) -> Result<(), Error> {
    let Some(key_file) = p.key_file.as_ref().filter(|_| p.hash == Hash::Blake3) else { return Ok(()) };
    let facts = serde_json::to_value(Tokenizer::blake3(key_file)?.key_facts()).unwrap_or_default();
    if facts == dataset.recorded.key {
        return Ok(());
    }
    let problem = "it holds another key than that of the dataset";
    Err(Error::pipeline("identity.key_file", problem, "name the file that the run had"))
}

/// "5%" or "0.05".
fn share(text: &str) -> Result<f64, Error> {
    let (number, unit) = match text.strip_suffix('%') {
        Some(percent) => (percent, 100.0),
        None => (text, 1.0),
    };
    let share = number.trim().parse::<f64>().map(|n| n / unit).ok().filter(|s| *s > 0.0 && *s <= 1.0);
    share.ok_or_else(|| Error::pipeline(format!("--sample {text}"), "it is not a share", "write it as 5% or 0.05"))
}
