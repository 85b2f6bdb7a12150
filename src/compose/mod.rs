//! Stage 4, compose: keys in, a [`Plan`] out. Pure: no file, no clock, no thread.
//!
//! All modes are one machine: *group* the rows (by row, by identity with a class quota, by request), then *deal* the groups
//! over the batches of a pool. Promises, for every pool of N full batches: no batch holds more than ⌈c/N⌉ of an
//! identity's c rows (groups, in `identity_grouped`); every example is dealt exactly once or listed as dropped; which
//! identities meet is as random as that allows; the result depends on keys and seed alone.

mod deal;
pub mod finish;
mod grouped;
pub mod groups;
mod pack;
mod pad;
pub mod plan;
mod rng;
mod spread;
mod window;

pub use deal::deal;
pub use grouped::needs_classes;
pub use pack::RequestPacker;
pub use plan::{Plan, Pool};
pub use rng::Rng;
pub use spread::{Slots, Spreader};
pub use window::{WindowEnds, Windows, windows};

use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::error::{Error, Result};
use crate::keys::KeyPlane;
use crate::pipeline::{Mode, Pipeline, Remainder, Scarce};

/// Decides which rows meet in which batch. Of the plane it looks at identities, and at requests or labels where the mode is
/// about them; times have made the windows.
pub fn compose(plane: &KeyPlane, windows: Windows, p: &Pipeline) -> Result<Plan> {
    let windows = windows.round_to(p.batch_size);
    let rank = identity_ranks(&plane.identity.tokens, p.seed);
    let plan = match p.mode {
        Mode::UserSpread => spread::compose(plane, p, &rank, windows)?,
        Mode::IdentityGrouped => grouped::compose(plane, p, &rank, windows)?,
        Mode::RequestPacked => pack::compose(plane, p, &rank, windows)?,
    };
    check(plan.order.len(), plane.len(), p)?;
    Ok(plan)
}

/// Whether so many rows of so many examples can be a dataset.
pub fn check(rows: usize, examples: usize, p: &Pipeline) -> Result<()> {
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
    if rows.div_ceil(p.batch_size) > i32::MAX as usize {
        return Err(Error::pipeline(
            "compose.batch_size",
            "there would be over 2³¹ batches",
            "use a larger batch_size",
        ));
    }
    Ok(())
}

/// Whether so many rows, copies included, can be told apart by 32 bits.
pub fn check_positions(rows: usize) -> Result<()> {
    if u32::try_from(rows).is_ok() {
        return Ok(());
    }
    Err(Error::pipeline(
        "compose",
        "there would be over 4 billion rows, copies included",
        "compose the data in parts, or use compose.group.scarce = \"rest\", which makes no copies",
    ))
}

/// The seeded order of identities: the rank of each code.
pub fn identity_ranks(tokens: &[u128], seed: u64) -> Vec<u32> {
    let mut order: Vec<(u64, u32)> = tokens
        .par_iter()
        .enumerate()
        .map(|(code, token)| (xxh3_64_with_seed(&token.to_le_bytes(), seed), code as u32))
        .collect();
    order.par_sort_unstable();
    let mut rank = vec![0; tokens.len()];
    for (r, (_, code)) in order.into_iter().enumerate() {
        rank[code as usize] = r as u32;
    }
    rank
}

/// Sorts rows by the rank of their identity, one of `ranks`, keeping their order within one; gives the number of rows of each
/// identity.
pub fn by_identity(rows: &[u32], ranks: usize, rank_of: impl Fn(u32) -> u32) -> (Vec<u32>, Vec<u32>) {
    if rows.len() < ranks / 4 {
        // A small pool of a large dataset.
        let mut sorted = rows.to_vec();
        sorted.sort_by_key(|row| rank_of(*row));
        let counts = sorted.chunk_by(|a, b| rank_of(*a) == rank_of(*b)).map(|run| run.len() as u32).collect();
        return (sorted, counts);
    }
    let mut counts = vec![0u32; ranks];
    rows.iter().for_each(|row| counts[rank_of(*row) as usize] += 1);
    let mut next = Vec::with_capacity(counts.len());
    let mut start = 0u32;
    for count in &counts {
        next.push(start);
        start += count;
    }
    let mut sorted = vec![0; rows.len()];
    for row in rows {
        let place = &mut next[rank_of(*row) as usize];
        sorted[*place as usize] = *row;
        *place += 1;
    }
    counts.retain(|count| *count > 0);
    (sorted, counts)
}
