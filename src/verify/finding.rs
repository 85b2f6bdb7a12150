//! One thing that is wrong, and where.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// Findings of one kind in one file that are listed; the rest are counted.
const LISTED: usize = 5;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Relative to the dataset.
    pub file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row_group: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// What was expected and what is there.
    pub problem: String,
}

impl Finding {
    pub fn of(file: impl Into<String>, problem: impl Into<String>) -> Self {
        Finding { file: file.into(), problem: problem.into(), ..Finding::default() }
    }

    #[must_use]
    pub fn column(mut self, name: &str) -> Self {
        self.column = Some(name.to_owned());
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(row_group) = self.row_group {
            write!(f, ", row group {row_group}")?;
        }
        if let Some(batch) = self.batch {
            write!(f, ", batch {batch}")?;
        }
        if let Some(slot) = self.slot {
            write!(f, ", slot {slot}")?;
        }
        if let Some(column) = &self.column {
            write!(f, ", {column}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

/// Collects findings; of many of one kind, the first few are listed and the rest counted.
#[derive(Debug, Default)]
pub struct Findings {
    listed: Vec<Finding>,
    seen: BTreeMap<(String, String, &'static str), usize>,
}

impl Findings {
    pub fn add(&mut self, finding: Finding) {
        self.listed.push(finding);
    }

    /// Adds a finding of a kind of which there may be one per row.
    pub fn add_of_kind(&mut self, kind: &'static str, finding: Finding) {
        let key = (finding.file.clone(), finding.column.clone().unwrap_or_default(), kind);
        let number = self.seen.entry(key).or_default();
        *number += 1;
        if *number <= LISTED {
            self.listed.push(finding);
        }
    }

    pub fn finish(mut self) -> Vec<Finding> {
        for ((file, column, kind), number) in self.seen {
            if number > LISTED {
                let mut more = Finding::of(file, format!("{} more of this: {kind}", number - LISTED));
                more.column = (!column.is_empty()).then_some(column);
                self.listed.push(more);
            }
        }
        self.listed
    }
}
