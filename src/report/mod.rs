//! One self-contained page about a dataset: no script, no network, readable in light and dark, and on paper.
//!
//! Takes an open dataset; gives HTML. Knows the tables and the manifest, nothing of how they were made.

mod chart;
mod page;
mod picture;

pub use page::page;
