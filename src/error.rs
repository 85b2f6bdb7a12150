//! One error type: what went wrong, where, and what to do about it, in one line.

use std::fmt;
use std::path::PathBuf;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Where in the input or output a problem sits; every part is optional.
#[derive(Debug, Default, Clone)]
pub struct Place {
    pub file: Option<PathBuf>,
    pub row_group: Option<usize>,
    pub column: Option<String>,
}

impl Place {
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Place { file: Some(path.into()), ..Place::default() }
    }

    pub fn column(name: impl Into<String>) -> Self {
        Place { column: Some(name.into()), ..Place::default() }
    }

    #[must_use]
    pub fn row_group(mut self, ordinal: usize) -> Self {
        self.row_group = Some(ordinal);
        self
    }

    #[must_use]
    pub fn with_column(mut self, name: impl Into<String>) -> Self {
        self.column = Some(name.into());
        self
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.file.is_none() && self.row_group.is_none() && self.column.is_none() {
            return f.write_str("input");
        }
        let mut sep = "";
        if let Some(file) = &self.file {
            write!(f, "{}", file.display())?;
            sep = ", ";
        }
        if let Some(row_group) = self.row_group {
            write!(f, "{sep}row group {row_group}")?;
            sep = ", ";
        }
        if let Some(column) = &self.column {
            write!(f, "{sep}column `{column}`")?;
        }
        Ok(())
    }
}

/// Anything that stops a command with exit code 2.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(#[from] Box<Kind>);

/// The kinds of failure. Messages never hold a raw identity, a key or a predicate.
#[derive(Debug, thiserror::Error)]
pub enum Kind {
    /// The pipeline file, `--set` or a flag asks for something that does not exist or contradicts itself.
    #[error("{at}: {problem}; {remedy}")]
    Pipeline { at: String, problem: String, remedy: String },
    /// The input files or their rows are not what the pipeline says.
    #[error("{place}: {problem}; {remedy}")]
    Input { place: Place, problem: String, remedy: String },
    /// The destination can't be written, or must not be.
    #[error("output {}: {problem}; {remedy}", path.display())]
    Output { path: PathBuf, problem: String, remedy: String },
    /// A scratch file can't be written or read.
    #[error(
        "scratch files: {problem}; free some space for them (beside the output, or in --spill-dir), or give more --memory"
    )]
    Scratch { problem: String },
    /// A file operation failed.
    #[error("cannot {action} {}: {source}{}", path.display(), io_hint(source))]
    Io { action: &'static str, path: PathBuf, source: std::io::Error },
}

fn io_hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::StorageFull => "; free some space, or choose another place for the output",
        std::io::ErrorKind::PermissionDenied => "; check the permissions of the file and its folders",
        std::io::ErrorKind::NotFound => "; check the path",
        _ => "",
    }
}

impl Error {
    pub fn kind(&self) -> &Kind {
        &self.0
    }

    /// The kind's name, for programs.
    pub fn name(&self) -> &'static str {
        match self.kind() {
            Kind::Pipeline { .. } => "pipeline",
            Kind::Input { .. } => "input",
            Kind::Output { .. } => "output",
            Kind::Scratch { .. } => "scratch",
            Kind::Io { .. } => "io",
        }
    }

    pub fn pipeline(at: impl Into<String>, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Kind::Pipeline { at: at.into(), problem: one_line(problem.into()), remedy: remedy.into() }.into()
    }

    pub fn input(place: Place, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Kind::Input { place, problem: one_line(problem.into()), remedy: remedy.into() }.into()
    }

    pub fn output(path: impl Into<PathBuf>, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Kind::Output { path: path.into(), problem: one_line(problem.into()), remedy: remedy.into() }.into()
    }

    pub fn io(action: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Kind::Io { action, path: path.into(), source }.into()
    }

    pub fn scratch(source: impl fmt::Display) -> Self {
        Kind::Scratch { problem: one_line(source.to_string()) }.into()
    }

    /// A Parquet file that can't be decoded.
    pub fn damaged(place: Place, source: impl fmt::Display) -> Self {
        Error::input(
            place,
            format!("not readable as Parquet ({source})"),
            "the file is damaged or incomplete: write it again, or leave it out of input.shards",
        )
    }
}

impl From<Kind> for Error {
    fn from(kind: Kind) -> Self {
        Error(Box::new(kind))
    }
}

/// Messages of other libraries may run over several lines; ours never do.
fn one_line(text: String) -> String {
    if text.contains(['\n', '\r']) { text.split_whitespace().collect::<Vec<_>>().join(" ") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_pointer_wide_and_one_line_long() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
        let place = Place::file("a.parquet").row_group(3).with_column("ts");
        let error = Error::input(place, "first\n  second", "mend it");
        assert_eq!(error.to_string(), "a.parquet, row group 3, column `ts`: first second; mend it");
    }
}
