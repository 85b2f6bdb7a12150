//! A pipeline file for somebody's own log: roles guessed from names, types and values, each guess explained.
//!
//! Takes locations; gives the text of a pipeline file that `plan` takes as it is, and that a person corrects.

mod columns;
mod draft;
mod roles;

use crate::error::Result;
use crate::source::{Options, Source, discover};

/// The text of a pipeline file for these inputs.
///
/// # Errors
/// Inputs that can't be read as one table, or that have no column that could be an identity.
pub fn draft(inputs: &[String]) -> Result<String> {
    let source = Source::open(discover(inputs)?.files, &Options::default())?;
    let columns = columns::look_at(&source)?;
    let roles = roles::guess(&columns)?;
    Ok(draft::text(inputs, &source, &columns, &roles))
}
