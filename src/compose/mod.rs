//! Stage 4, compose: keys in, a plan out, as a [`Head`] and [`Part`]s. Pure but for scratch.
//!
//! All modes are one machine: *group* the rows (by row, by identity with a class quota, by request), then *deal* the groups
//! over the batches of a pool. Promises, for every pool of N full batches: no batch holds more than ⌈c/N⌉ of an
//! identity's c rows (groups, in `identity_grouped`); every example is dealt exactly once or listed as dropped; which
//! identities meet is as random as that allows; the result depends on keys and seed alone.

mod by_batch;
mod by_code;
mod by_identity;
mod calendar;
mod composer;
mod deal;
mod groups;
mod modes;
mod pad;
mod parts;
mod plan;
mod pools;
mod precedence;
mod requests;
mod rng;
mod spread;
mod tail;
mod trades;

pub use composer::Composer;
pub use modes::{Mode, mode};
pub use parts::{Composed, Part, distinct};
pub use plan::{Head, Plan, Pool};
pub use precedence::Piece;
pub use rng::Rng;

use std::ops::Range;

use self::precedence::Precedence;
use crate::error::{Error, Result};
use crate::keys::Keys;
use crate::pipeline::{Pipeline, Remainder, Scarce};
use crate::spill::Room;

/// Decides which rows meet in which batch. `cut` gives the ranges of batches that a part of the plan may not be smaller than, of
/// what is known of all batches.
///
/// # Errors
/// No batch is left, or more than can be told apart; a scratch file that can't be read or written.
pub fn compose(keys: &Keys, p: &Pipeline, room: &Room, cut: impl Fn(&Head) -> Vec<Range<usize>>) -> Result<Composed> {
    compose_by(mode(p), keys, p, room, cut)
}

/// As [`compose`], by a mode of your own.
///
/// # Errors
/// As those of [`compose`], and what the mode says.
pub fn compose_by(
    mode: &dyn Mode,
    keys: &Keys,
    p: &Pipeline,
    room: &Room,
    cut: impl Fn(&Head) -> Vec<Range<usize>>,
) -> Result<Composed> {
    mode.check(p)?;
    let precedence = Precedence::of(keys, mode.deciding(), p, room)?;
    let mut composer = Composer::new(keys, precedence, p, room, mode.together())?;
    mode.compose(&mut composer)?;
    check(&composer.head, keys.len(), p)?;
    Composed::new(composer, cut)
}

/// Whether so many rows of so many examples can be a dataset.
fn check(head: &Head, examples: usize, p: &Pipeline) -> Result<()> {
    let rows = head.rows();
    let drops_groups = p.group.as_ref().is_some_and(|group| group.scarce == Scarce::Drop);
    if rows == 0 && p.remainder == Remainder::Drop && drops_groups {
        return Err(Error::pipeline(
            "compose.group",
            format!(
                "{examples} rows fill no group, or their groups no batch of {}, and scarce and remainder = \"drop\" drop them",
                p.batch_size
            ),
            "use smaller quotas or a smaller batch_size, or scarce = \"repeat\" or \"rest\" and remainder = \"pad\"",
        ));
    }
    if rows == 0 && p.remainder == Remainder::Drop {
        return Err(Error::pipeline(
            "compose.batch_size",
            format!("{examples} rows fill no batch of {}, and remainder = \"drop\" drops them", p.batch_size),
            "use a smaller batch_size, or remainder = \"short\" or \"pad\"",
        ));
    }
    if rows == 0 {
        return Err(Error::pipeline(
            "compose.group",
            format!("{examples} rows fill no group, and scarce = \"drop\" drops them"),
            "use smaller quotas, or scarce = \"repeat\" or \"rest\"",
        ));
    }
    if head.batches() > i32::MAX as usize {
        return Err(Error::pipeline(
            "compose.batch_size",
            "there would be over 2³¹ batches",
            "use a larger batch_size",
        ));
    }
    Ok(())
}

/// Whether so many rows, copies included, can be told apart by 32 bits.
fn check_positions(rows: usize) -> Result<()> {
    if u32::try_from(rows).is_ok() {
        return Ok(());
    }
    Err(Error::pipeline(
        "compose",
        "there would be over 4 billion rows, copies included",
        "compose the data in parts, or use compose.group.scarce = \"rest\", which makes no copies",
    ))
}
