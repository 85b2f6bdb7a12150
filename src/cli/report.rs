//! `batchwright report`.

use std::process::ExitCode;

use super::args::ReportArgs;
use super::{Outcome, print};
use crate::error::Error;
use crate::reader::Dataset;
use crate::store;

pub fn report(args: &ReportArgs) -> Outcome {
    let dataset = Dataset::open(&args.dataset)?;
    if store::is_dir(&args.output) {
        return Err(Error::output(&args.output, "it is a folder", "name a file, such as report.html"));
    }
    store::replace(&args.output, crate::report::page(&dataset)?.as_bytes())?;
    print(&format!("{}: written", args.output.display()))?;
    Ok(ExitCode::SUCCESS)
}
