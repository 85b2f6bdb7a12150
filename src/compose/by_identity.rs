//! The rows of a pool, identity by identity in seeded order.

use std::ops::Range;

use rayon::prelude::*;

use super::by_code::by_code;
use super::precedence::Precedence;
use crate::error::Result;
use crate::spill::{Exchange, Room};

/// All rows of the identities with some codes, which are in seeded order; an identity's rows are in precedence.
pub struct Share {
    pub identities: Range<u32>,
    pub rows: Vec<u32>,
    /// What the mode decides by beside identities, where it does.
    pub deciding: Vec<u32>,
    /// Identities that have rows, and how many.
    pub runs: Vec<(u32, u32)>,
}

impl Share {
    /// Whose each row is; computed when it is asked.
    pub fn owners(&self) -> Vec<u32> {
        let owner = |(owner, rows): &(u32, u32)| std::iter::repeat_n(*owner, *rows as usize);
        self.runs.iter().flat_map(owner).collect()
    }
}

/// Calls `each` with all rows at some places, of `identities` identities in all, share by share.
///
/// # Errors
/// A scratch file that can't be read or written. What `each` says.
pub fn each_share(
    keys: &Precedence<'_>,
    places: Range<usize>,
    identities: usize,
    room: &Room,
    mut each: impl FnMut(Share) -> Result<()>,
) -> Result<()> {
    let number = room.partitions(places.len());
    let codes = |part: usize| (part as u64 * identities as u64 / number as u64) as u32;
    if number == 1 {
        let piece = keys.piece(places)?;
        let sorted = by_code(&piece.identity, 0..identities as u32);
        let of =
            |value: &(dyn Fn(usize) -> u32 + Sync)| sorted.places.par_iter().map(|at| value(*at as usize)).collect();
        let deciding = if piece.deciding.is_empty() { Vec::new() } else { of(&|at| piece.deciding[at]) };
        return each(Share {
            identities: 0..identities as u32,
            rows: of(&|at| piece.row(at)),
            deciding,
            runs: sorted.runs,
        });
    }
    let mut parted: Exchange<[u32; 3]> = Exchange::new(number, 4, room);
    let part_of = |identity: u32| {
        let mut part = (u64::from(identity) * number as u64 / identities as u64) as usize;
        // Bounds are rounded down.
        while part + 1 < number && codes(part + 1) <= identity {
            part += 1;
        }
        part
    };
    for start in places.clone().step_by(room.rows_at_a_time()) {
        let piece = keys.piece(start..places.end.min(start + room.rows_at_a_time()))?;
        parted.scatter(piece.len(), |at| {
            let identity = piece.identity[at];
            (part_of(identity), [identity, piece.row(at), piece.deciding.get(at).copied().unwrap_or(0)])
        })?;
    }
    parted.file_rest()?;
    for few in (0..number).collect::<Vec<_>>().chunks(rayon::current_num_threads()) {
        let share = |part: &usize| -> Result<Share> {
            let records = parted.take(*part)?;
            let identities = codes(*part)..codes(*part + 1);
            let owners: Vec<u32> = records.iter().map(|[identity, ..]| *identity).collect();
            let sorted = by_code(&owners, identities.clone());
            let of = |k: usize| sorted.places.iter().map(|at| records[*at as usize][k]).collect();
            Ok(Share { identities, rows: of(1), deciding: of(2), runs: sorted.runs })
        };
        let shares: Vec<Share> = few.par_iter().map(share).collect::<Result<_>>()?;
        shares.into_iter().try_for_each(&mut each)?;
    }
    Ok(())
}
