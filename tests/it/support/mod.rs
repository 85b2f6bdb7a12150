//! What drives the tests.

mod data;
mod plane;
mod project;

pub use data::{column, read_dataset, rows_of, table, write_parquet};
pub use plane::{Shape, Whole, compose, compose_in, in_twos, pipeline, plane};
pub use project::{Outcome, Project, shared};
