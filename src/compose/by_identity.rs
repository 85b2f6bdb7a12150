//! The rows of a pool, identity by identity in seeded order.

use std::ops::Range;

use rayon::prelude::*;

use super::by_code::by_code;
use super::precedence::Precedence;
use crate::error::Result;
use crate::parallel::in_turn;
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
        let mut owners = vec![0; self.runs.iter().map(|(_, rows)| *rows as usize).sum()];
        let mut rest = owners.as_mut_slice();
        let mut tasks = Vec::new();
        for runs in self.runs.chunks(self.runs.len().div_ceil(4 * rayon::current_num_threads()).max(1)) {
            let own = rest.split_off_mut(..runs.iter().map(|(_, rows)| *rows as usize).sum()).unwrap_or_default();
            tasks.push((runs, own));
        }
        tasks.into_par_iter().for_each(|(runs, mut own)| {
            for (owner, rows) in runs {
                own.split_off_mut(..*rows as usize).unwrap_or_default().fill(*owner);
            }
        });
        owners
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
    mut each: impl FnMut(Share) -> Result<()> + Send,
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
    parted.scatter_pieces(places, |places| {
        let piece = keys.piece(places)?;
        let record = |at: usize| {
            let identity = piece.identity[at];
            (part_of(identity), [identity, piece.row(at), piece.deciding.get(at).copied().unwrap_or(0)])
        };
        Ok((0..piece.len()).map(record).collect())
    })?;
    parted.file_rest()?;
    let share = |part: &usize| -> Result<Share> {
        let records = parted.take(*part)?;
        let identities = codes(*part)..codes(*part + 1);
        let owners: Vec<u32> = records.iter().map(|[identity, ..]| *identity).collect();
        let sorted = by_code(&owners, identities.clone());
        let of = |k: usize| sorted.places.iter().map(|at| records[*at as usize][k]).collect();
        Ok(Share { identities, rows: of(1), deciding: of(2), runs: sorted.runs })
    };
    in_turn(&(0..number).collect::<Vec<_>>(), share, each)
}
