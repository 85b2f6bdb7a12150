//! Composition of keys that are on file: by identity in parts of their seeded order, by request with nothing but requests held.
//! Decides what [`compose::compose`] decides.

mod by_batch;
mod groups;
mod placed;
mod precedence;
#[cfg(test)]
mod tests;

use self::by_batch::ByBatch;
use self::placed::Placing;
use self::precedence::Precedence;
use super::composed::Positions;
use super::memory::KeyRoom;
use crate::compose::{self, Plan, Pool, RequestPacker, Rng, Spreader};
use crate::error::Result;
use crate::keys::{FiledKeys, Key, KeyPlane};
use crate::pipeline::{Field, Mode, Pipeline};
use crate::store::MOST_PARTS;

fn number_of_parts(rows: usize, room: &KeyRoom) -> usize {
    rows.div_ceil(room.rows).clamp(1, MOST_PARTS)
}

const REQUEST: Key = Key::Code(Field::Request);
const LABEL: Key = Key::Code(Field::Label);

/// The plan has no order, copies or padding: where each row stands is told instead.
pub fn compose(filed: &FiledKeys, p: &Pipeline, room: &KeyRoom) -> Result<(Plan, Positions)> {
    let deciding = match p.mode {
        Mode::UserSpread => &[][..],
        Mode::IdentityGrouped => &[LABEL],
        Mode::RequestPacked => &[REQUEST],
    };
    let keys = Precedence::of(filed, deciding, room)?;
    let mut composer = Composer {
        rank: compose::identity_ranks(&filed.shape().identity.tokens, p.seed),
        ends: keys.pools(p)?,
        keys,
        p,
        room,
        plan: Plan::new(p.batch_size),
        placing: Placing::new(filed, p.batch_size, room),
    };
    match p.mode {
        Mode::UserSpread => composer.spread()?,
        Mode::IdentityGrouped => composer.group()?,
        Mode::RequestPacked => composer.pack()?,
    }
    let Composer { keys, mut plan, placing, rank, .. } = composer;
    drop(keys);
    let positions = placing.finish(&mut plan, &rank, p)?;
    compose::check(positions.len(), filed.len(), p)?;
    Ok((plan, positions))
}

struct Composer<'a> {
    keys: Precedence<'a>,
    /// Of each identity.
    rank: Vec<u32>,
    /// Where pools end.
    ends: Vec<usize>,
    p: &'a Pipeline,
    room: &'a KeyRoom,
    plan: Plan,
    placing: Placing<'a>,
}

impl Composer<'_> {
    /// user_spread: rows of a range of identities at a time.
    fn spread(&mut self) -> Result<()> {
        let (b, mut start) = (self.p.batch_size, 0);
        self.placing.expect(self.rows());
        for (k, end) in self.ends.iter().enumerate() {
            let rows = end - start;
            let mut rng = Rng::new(self.p.seed, "deal", k as u64);
            let mut spreader = Spreader::of_pool(rows, b, &mut rng);
            let mut by_batch = ByBatch::new(start / b, rows, b, 1, self.room);
            let mut give = |batch, row| by_batch.push(batch, row);
            let by_rank = self.keys.by_rank(start..*end, &[], &self.rank, self.room)?;
            for part in 0..by_rank.len() {
                let (rows, plane) = by_rank.take(part)?;
                let rank_of = |at: u32| self.rank[plane.identity.rows[at as usize] as usize];
                let all = (0..plane.len() as u32).collect();
                spreader.take(all, self.rank.len(), rank_of, |at| rows[at as usize], &mut give)?;
            }
            spreader.finish(&mut give)?;
            by_batch.place(self.p.seed, |position, row| self.placing.place(position, row))?;
            self.plan.pools.push(Pool { first_batch: start / b, batches: rows.div_ceil(b) });
            start = *end;
        }
        Ok(())
    }

    /// request_packed: nothing is held but requests.
    fn pack(&mut self) -> Result<()> {
        let codes = |plane: &KeyPlane| plane.request.as_ref().map_or_else(Vec::new, |request| request.rows.clone());
        let mut requests = RequestPacker::new(self.keys.shape().request.as_ref().map_or(0, |request| request.len()));
        self.keys.each_piece(&[REQUEST], |_, plane| {
            let ranks = plane.identity.rows.iter().map(|identity| self.rank[*identity as usize]);
            codes(plane).into_iter().zip(ranks).for_each(|(request, rank)| requests.add(request, rank));
            Ok(())
        })?;
        let mut packed = requests.pack(&self.ends, self.p);
        self.placing.expect(self.rows());
        self.keys.each_piece(&[REQUEST, Key::InputRow], |first, plane| {
            codes(plane).into_iter().enumerate().try_for_each(|(at, request)| {
                let row = self.keys.row(first, plane, at);
                self.placing.place(packed.place(request) as usize, row)
            })
        })?;
        self.plan.pools = packed.pools;
        Ok(())
    }

    /// Of all pools.
    fn rows(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }
}
