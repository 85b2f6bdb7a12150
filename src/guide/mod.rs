//! Longer documents, as they are read in the repository too.

#[doc = include_str!("folders.md")]
pub mod folders {}

#[doc = include_str!("stages.md")]
pub mod stages {}
