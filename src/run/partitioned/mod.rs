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
use crate::compose::{self, Plan, Pool, Requests, Rng, Spreader};
use crate::error::Result;
use crate::keys::{FiledKeys, Key, KeyPlane};
use crate::pipeline::{Field, Mode, Pipeline};

/// Most parts.
const MOST_PARTS: usize = 256;

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
    let rank = compose::identity_ranks(&filed.shape().identity.tokens, p.seed);
    let ends = keys.pools(p)?;
    let mut plan = Plan::new(p.batch_size);
    let mut placing = Placing::new(filed, p.batch_size, room);
    match p.mode {
        Mode::UserSpread => spread(&keys, &rank, &ends, p, room, &mut plan, &mut placing)?,
        Mode::IdentityGrouped => groups::compose(&keys, &rank, &ends, p, room, &mut plan, &mut placing)?,
        Mode::RequestPacked => pack(&keys, &rank, &ends, p, &mut plan, &mut placing)?,
    }
    drop(keys);
    let positions = placing.finish(&mut plan, &rank, p)?;
    compose::check(positions.len(), filed.len(), p)?;
    Ok((plan, positions))
}

/// Rows of a range of identities at a time.
fn spread(
    keys: &Precedence<'_>,
    rank: &[u32],
    ends: &[usize],
    p: &Pipeline,
    room: &KeyRoom,
    plan: &mut Plan,
    placing: &mut Placing<'_>,
) -> Result<()> {
    let (b, mut start) = (p.batch_size, 0);
    placing.expect(ends.last().copied().unwrap_or(0));
    for (k, end) in ends.iter().enumerate() {
        let rows = end - start;
        let mut rng = Rng::new(p.seed, "deal", k as u64);
        let mut spreader = Spreader::of_pool(rows, b, &mut rng);
        let mut by_batch = ByBatch::new(start / b, rows, b, 1, room);
        let mut give = |batch, row| by_batch.push(batch, row);
        let by_rank = keys.by_rank(start..*end, &[], rank, room)?;
        for part in 0..by_rank.len() {
            let (rows, plane) = by_rank.take(part)?;
            let rank_of = |at: u32| rank[plane.identity.rows[at as usize] as usize];
            let all = (0..plane.len() as u32).collect();
            spreader.take(all, rank.len(), rank_of, |at| rows[at as usize], &mut give);
        }
        spreader.finish(&mut give);
        by_batch.place(p.seed, |position, row| placing.place(position, row))?;
        plan.pools.push(Pool { first_batch: start / b, batches: rows.div_ceil(b) });
        start = *end;
    }
    Ok(())
}

/// Nothing is held but requests.
fn pack(
    keys: &Precedence<'_>,
    rank: &[u32],
    ends: &[usize],
    p: &Pipeline,
    plan: &mut Plan,
    placing: &mut Placing<'_>,
) -> Result<()> {
    let codes = |plane: &KeyPlane| plane.request.as_ref().map_or_else(Vec::new, |request| request.rows.clone());
    let mut requests = Requests::new(keys.shape().request.as_ref().map_or(0, |request| request.len()));
    keys.each_piece(&[REQUEST], |_, plane| {
        let identities = plane.identity.rows.iter().map(|identity| rank[*identity as usize]);
        codes(plane).into_iter().zip(identities).for_each(|(request, rank)| requests.add(request, rank));
        Ok(())
    })?;
    let mut packed = requests.pack(ends, p);
    placing.expect(ends.last().copied().unwrap_or(0));
    keys.each_piece(&[REQUEST, Key::InputRow], |first, plane| {
        let mut codes = codes(plane).into_iter().enumerate();
        codes.try_for_each(|(at, request)| placing.place(packed.place(request) as usize, keys.row(first, plane, at)))
    })?;
    plan.pools = packed.pools;
    Ok(())
}
