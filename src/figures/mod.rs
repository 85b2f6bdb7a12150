//! What a composition comes to: counts, metrics, what it stands beside, and what is hardly meant.
//!
//! Takes what keys alone decide, and the statistics of batches; gives what `plan` prints, the manifest holds and a run warns of.
//! The formulas are in [`crate::stats`].

mod advice;
mod baselines;
mod composition;
mod facts;
mod measured;
mod shares;

pub use advice::{advice, warnings};
pub use baselines::baselines;
pub use composition::Composition;
pub use facts::Facts;
pub use measured::{ClassBalance, Figures, Measured, Measuring, class_balance, figures};
