//! Longer documents, as they are read in the repository too.

#[doc = include_str!("folders.md")]
pub mod folders {}

#[doc = include_str!("stages.md")]
pub mod stages {}

#[doc = include_str!("figures.md")]
pub mod figures {}

#[doc = include_str!("format.md")]
pub mod format {}

#[doc = include_str!("guarantees.md")]
pub mod guarantees {}

#[doc = include_str!("masks.md")]
pub mod masks {}

#[doc = include_str!("memory.md")]
pub mod memory {}

#[doc = include_str!("questions.md")]
pub mod questions {}

#[doc = include_str!("reading.md")]
pub mod reading {}

#[doc = include_str!("training.md")]
pub mod training {}
