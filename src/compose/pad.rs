//! remainder = "pad": copies that fill a pool's last batch, other identities first.

use std::collections::BinaryHeap;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::composer::Composer;
use super::rng::Rng;
use crate::error::Result;

impl Composer<'_> {
    /// Fills the batch. An identity gets no more than ⌈c/N⌉ rows of it, if the pool has N ≥ 1 full batches and it has c rows
    /// there.
    pub(super) fn pad(&mut self, tail: Vec<u32>) -> Result<()> {
        let (b, g) = (self.p.batch_size, self.head.group_size);
        let need = b - tail.len();
        let mut rng = Rng::new(self.p.seed, "pad", self.batches() as u64);
        let in_groups = self.head.grouped.get(self.batches()).map_or(0, |rows| *rows as usize);
        let mut rows = tail;
        let padding = if g > 0 && in_groups == rows.len() {
            let padding = self.pad_groups(&rows, need / g, &mut rng)?;
            let batch = self.batches();
            self.head.grouped[batch] = b as u32;
            rows.extend(&padding);
            rng.shuffle_chunks(&mut rows, g);
            padding
        } else {
            let copied = Padding::new(self, &rows)?;
            let mut padding = copied.rows(self, &rows, copied.picks(need, &mut rng))?;
            if self.together.is_some() {
                padding.sort_unstable();
            }
            let padding: Vec<u32> = padding.into_iter().map(|(_, row)| row).collect();
            rows.extend(&padding);
            if self.together.is_none() {
                rng.shuffle(&mut rows[in_groups..]);
            }
            padding
        };
        self.padded.extend(padding);
        self.add_batch(&rows)
    }

    /// Rows of `need` whole groups of the pool, those of identities outside the last batch first, each as rarely as can be.
    fn pad_groups(&self, tail: &[u32], need: usize, rng: &mut Rng) -> Result<Vec<u32>> {
        let g = self.head.group_size;
        let (positions, start) = (self.pool_positions(), self.order.len());
        let batch = self.batches();
        let place_of = |at: u32| match (at as usize).checked_sub(start) {
            Some(slot) => (batch, slot),
            None => self.head.place_of(at as usize),
        };
        let mut here = Vec::new();
        self.each_standing(0..0, tail, |standing| here.push(standing.identity))?;
        here.sort_unstable();
        let seed = rng.next_u64();
        // The first of all groups in a seeded order.
        let mut chosen: BinaryHeap<(bool, bool, u64, u32)> = BinaryHeap::with_capacity(need + 1);
        let group_slot = |at: u32| {
            let (batch, slot) = place_of(at);
            (self.head.group_slot(batch, slot) >= 0).then_some(slot)
        };
        let is_first = |at: u32| group_slot(at).is_some_and(|slot| slot.is_multiple_of(g));
        self.each_standing(positions.clone(), tail, |standing| {
            for at in standing.positions.iter().filter(|at| is_first(**at)) {
                let met = here.binary_search(&standing.identity).is_ok();
                chosen.push((*at as usize >= start, met, xxh3_64_with_seed(&at.to_le_bytes(), seed), *at));
                if chosen.len() > need {
                    chosen.pop();
                }
            }
        })?;
        let chosen = chosen.into_sorted_vec();
        let mut firsts: Vec<(u32, usize)> = chosen.iter().enumerate().map(|(k, (.., at))| (*at, k)).collect();
        firsts.sort_unstable();
        let mut rows = vec![0; chosen.len() * g];
        self.each_standing(positions, tail, |standing| {
            for at in standing.positions {
                let Some(within) = group_slot(*at).map(|slot| slot % g) else { continue };
                if let Ok(found) = firsts.binary_search_by_key(&(*at - within as u32), |(first, _)| *first) {
                    rows[firsts[found].1 * g + within] = standing.row;
                }
            }
        })?;
        Ok(rows.into_iter().cycle().take(need * g).collect())
    }
}

/// A row to copy: its identity, and which of this one's rows it is, those first that are not in the last batch.
type Pick = (u32, u32);

/// What of the pool is an identity's.
#[derive(Clone, Copy, Default)]
struct Own {
    rows: u32,
    /// Those of them that stand in the last batch.
    here: u32,
}

/// The rows of a pool that can be copied, by identity.
struct Padding {
    own: Vec<Own>,
    /// Full batches of the pool, one at least.
    full: u32,
}

impl Padding {
    fn new(composer: &Composer<'_>, tail: &[u32]) -> Result<Self> {
        let (positions, start) = (composer.pool_positions(), composer.order.len());
        let full = (positions.len() / composer.p.batch_size).max(1) as u32;
        let mut own = vec![Own::default(); composer.identities()];
        composer.each_standing(positions, tail, |standing| {
            let own = &mut own[standing.identity as usize];
            own.rows += 1;
            own.here += u32::from(is_here(standing.positions, start));
        })?;
        Ok(Padding { own, full })
    }

    fn picks(&self, need: usize, rng: &mut Rng) -> Vec<Pick> {
        let own = (0..).zip(self.own.iter().copied());
        let mut owners: Vec<(u32, Own)> = own.filter(|(_, own)| own.rows > 0).collect();
        rng.shuffle(&mut owners);
        owners.sort_by_key(|(_, own)| own.here > 0);
        let others = owners.iter().take_while(|(_, own)| own.here == 0).count();
        let mut picks = Vec::with_capacity(need);
        for side in [0..others, others..owners.len()] {
            // Everybody's first, everybody's second, and so on.
            for round in 0.. {
                let before = picks.len();
                let has_room =
                    |own: &Own| round < own.rows.div_ceil(self.full).saturating_sub(own.here).min(own.rows - own.here);
                let willing = owners[side.clone()].iter().filter(|(_, own)| has_room(own));
                picks.extend(willing.map(|(owner, _)| (*owner, round)).take(need - before));
                if picks.len() == before {
                    break;
                }
            }
        }
        // Only without a full batch in the pool, where no cap can hold: every row again, as often as needed.
        let again = owners.iter().flat_map(|(owner, own)| (0..own.rows).map(|k| (*owner, k)));
        picks.extend(again.cycle().take(need - picks.len()));
        picks
    }

    /// The picked rows, in order, each with the code of what it stands beside.
    fn rows(&self, composer: &Composer<'_>, tail: &[u32], picks: Vec<Pick>) -> Result<Vec<(u32, u32)>> {
        let start = composer.order.len();
        let mut rows = vec![(0, 0); picks.len()];
        let mut wanted: Vec<(Pick, usize)> = picks.into_iter().zip(0..).collect();
        wanted.sort_unstable();
        let mut came = vec![Own::default(); self.own.len()];
        composer.each_standing(composer.pool_positions(), tail, |standing| {
            let owner = standing.identity;
            let (own, came) = (self.own[owner as usize], &mut came[owner as usize]);
            let is_here = is_here(standing.positions, start);
            let ordinal = if is_here { own.rows - own.here + came.here } else { came.rows - came.here };
            came.rows += 1;
            came.here += u32::from(is_here);
            let first = wanted.partition_point(|(pick, _)| *pick < (owner, ordinal));
            for (_, k) in wanted[first..].iter().take_while(|(pick, _)| *pick == (owner, ordinal)) {
                rows[*k] = (standing.together, standing.row);
            }
        })?;
        Ok(rows)
    }
}

/// Whether a row stands in the last batch, too.
fn is_here(positions: &[u32], start: usize) -> bool {
    positions.last().is_some_and(|last| *last as usize >= start)
}
