//! identity_grouped in parts: groups are formed of a range of identities at a time and wait in order; so do the batches that they
//! are dealt.

use super::by_batch::ByBatch;
use super::placed::Placing;
use super::precedence::{Precedence, part_of};
use super::{Composer, LABEL, number_of_parts};
use crate::compose::groups::{Carried, Formed, Forming, Layout, Units, classes};
use crate::compose::{Plan, Pool, Rng, Spreader, by_identity, check_positions, needs_classes};
use crate::error::Result;
use crate::pipeline::{Group, Pipeline};
use crate::run::memory::KeyRoom;
use crate::store::{Column, Parts, words};

impl Composer<'_> {
    pub(super) fn group(&mut self) -> Result<()> {
        let Composer { keys, rank, ends, p, room, plan, placing } = self;
        let (group, labels) = p.group.as_ref().zip(keys.shape().label.as_ref()).ok_or_else(needs_classes)?;
        let mut present = vec![false; labels.text.len()];
        keys.each_piece(&[LABEL], |_, plane| {
            plane.label.iter().flat_map(|labels| &labels.rows).for_each(|code| present[*code as usize] = true);
            Ok(())
        })?;
        let class_of = classes(group, &labels.text, &present)?;
        plan.group_size = group.size();
        let (mut carried, mut rest, mut start) = (Vec::new(), Vec::new(), 0);
        // Positions that are taken.
        let mut placed = 0;
        for (k, end) in ends.iter().enumerate() {
            let is_last = k + 1 == ends.len();
            let pool = PoolRows { group, p, room, rank, pool: k as u64, rows: start..*end };
            let formed = pool.form(keys, &class_of, carried, rest, plan)?;
            let layout = Layout::new(formed.units.len(), formed.rest_rows, p, group, is_last);
            check_positions(placed + layout.rows())?;
            if is_last {
                placing.expect(placed + layout.rows());
            }
            let first_batch = placed / p.batch_size;
            let rng = Rng::new(p.seed, "deal", k as u64);
            let mut pool = FormedRows { pool, formed, layout, first_batch, rng, placing };
            carried = pool.place_groups()?;
            rest = pool.place_rest()?;
            plan.grouped.extend(layout.grouped());
            placed += layout.rows();
            plan.pools.push(Pool { first_batch, batches: placed.div_ceil(p.batch_size) - first_batch });
            start = *end;
        }
        Ok(())
    }
}

/// The rows of a pool.
struct PoolRows<'a> {
    group: &'a Group,
    p: &'a Pipeline,
    room: &'a KeyRoom,
    rank: &'a [u32],
    pool: u64,
    /// In precedence.
    rows: std::ops::Range<usize>,
}

/// A pool's groups and other rows.
struct FormedPool {
    units: Units,
    /// Rows of the groups, one after the other.
    grouped: Column<u32>,
    /// Ranks of identities with rows outside groups, by rank.
    rest: Parts,
    rest_rows: usize,
}

impl PoolRows<'_> {
    fn form(
        &self,
        keys: &Precedence<'_>,
        class_of: &[Option<usize>],
        carried: Vec<Carried>,
        carried_rest: Vec<[u32; 2]>,
        plan: &mut Plan,
    ) -> Result<FormedPool> {
        let (rank, room) = (self.rank, self.room);
        let parts = number_of_parts(self.rows.len(), room);
        let mut rest = Parts::new(parts, room.bytes / 4, &room.folder);
        let mut rest_rows = 0;
        let mut push_rest = |record: [u32; 2]| {
            rest_rows += 1;
            rest.push_words(part_of(record[0], rank.len(), parts), record)
        };
        carried_rest.into_iter().try_for_each(&mut push_rest)?;
        let mut grouped = Column::new(Some(&room.folder))?;
        let mut forming = Forming::new(self.p, self.group, self.pool, carried);
        // Of the identities at hand.
        let mut groups = Vec::new();
        let by_rank = keys.by_rank(self.rows.clone(), &[LABEL], rank, room)?;
        for part in 0..by_rank.len() {
            let (rows, plane) = by_rank.take(part)?;
            let labels = plane.label.as_ref().map_or(&[][..], |labels| &labels.rows);
            let rank_of = |at: u32| rank[plane.identity.rows[at as usize] as usize];
            let (sorted, counts) = by_identity(&(0..plane.len() as u32).collect::<Vec<_>>(), rank.len(), rank_of);
            let mut others = sorted.as_slice();
            for count in counts {
                let own = others.split_off(..count as usize).unwrap_or_default();
                let of = rank_of(own[0]);
                let with_class = |at: &u32| (rows[*at as usize], class_of[labels[*at as usize] as usize]);
                forming.take(of, own.iter().map(with_class), &mut |formed| match formed {
                    Formed::Group(rows) => keep(&mut groups, rows),
                    Formed::Rest(row) => push_rest([of, row]),
                    Formed::Dropped(row) => {
                        plan.dropped.push((self.pool as u32, row));
                        Ok(())
                    }
                })?;
            }
            grouped.extend(&groups)?;
            groups.clear();
        }
        let units = forming.finish(&mut |formed| match formed {
            Formed::Group(rows) => keep(&mut groups, rows),
            _ => Ok(()),
        })?;
        grouped.extend(&groups)?;
        Ok(FormedPool { units, grouped, rest, rest_rows })
    }
}

/// A pool's rows once its groups are formed, as they are placed.
struct FormedRows<'a, 'k> {
    pool: PoolRows<'a>,
    formed: FormedPool,
    layout: Layout,
    first_batch: usize,
    /// What deals its groups, then its other rows.
    rng: Rng,
    placing: &'a mut Placing<'k>,
}

impl FormedRows<'_, '_> {
    /// Gives groups that there is no room for.
    fn place_groups(&mut self) -> Result<Vec<Carried>> {
        let FormedRows { pool: PoolRows { group, p, room, .. }, formed, layout, first_batch, rng, placing } = self;
        let g = group.size();
        let shares = formed.units.parts((room.rows / g).max(1));
        let mut dealt = Parts::new(shares.len(), room.bytes / 4, &room.folder);
        formed.units.deal(layout.full, layout.over, rng, |batch, unit| {
            let share = shares.partition_point(|share| share.units.end <= unit as usize);
            dealt.push_words(share, [unit, batch])
        })?;
        let mut carried = Vec::new();
        let mut by_batch = ByBatch::new(*first_batch, layout.grouped_rows(), p.batch_size, g, room);
        for (k, share) in shares.iter().enumerate() {
            let units = share.units.clone();
            let mut batches = vec![0; units.len()];
            words(&dealt.take(k)?).for_each(|[unit, batch]| batches[unit as usize - units.start] = batch);
            share.settle(&mut batches);
            let rows = formed.grouped.read(units.start * g..units.end * g)?;
            for ((batch, rank), rows) in batches.into_iter().zip(share.ranks()).zip(rows.chunks_exact(g)) {
                if batch as usize == layout.full && !layout.mixes {
                    carried.push((rank, rows.to_vec()));
                } else {
                    rows.iter().try_for_each(|row| by_batch.push(batch, *row))?;
                }
            }
        }
        by_batch.place(p.seed, |position, row| placing.place(position, row))?;
        Ok(carried)
    }

    /// Gives what fills no batch, with the ranks of identities, unless this is the last pool.
    fn place_rest(&mut self) -> Result<Vec<[u32; 2]>> {
        let FormedRows { pool: PoolRows { p, room, rank, pool, .. }, formed, layout, first_batch, rng, placing } = self;
        let b = p.batch_size;
        let start = *first_batch * b + layout.grouped_rows();
        let behind = (start + layout.completing).div_ceil(b);
        let mut by_batch = ByBatch::new(behind, layout.rest_rows(), b, 1, room);
        let (mut completing, mut leftover) = (Vec::new(), Vec::new());
        let mut give = |batch: u32, [rank, row]: [u32; 2]| {
            match (batch as usize).checked_sub(layout.rest_full) {
                None => by_batch.push(batch, row)?,
                Some(0) => completing.push(row),
                Some(_) => leftover.push([rank, row]),
            }
            Ok(())
        };
        let mut spreader =
            Spreader::new(formed.rest_rows, layout.rest_full, &[layout.completing, layout.leftover], rng);
        for part in 0..formed.rest.len() {
            let records: Vec<[u32; 2]> = words(&formed.rest.take(part)?).collect();
            let rank_of = |at: u32| records[at as usize][0];
            let all = (0..records.len() as u32).collect();
            spreader.take(all, rank.len(), rank_of, |at| records[at as usize], &mut give)?;
        }
        spreader.finish(&mut give)?;
        Rng::new(p.seed, "rest", *pool).shuffle(&mut completing);
        completing.into_iter().zip(start..).try_for_each(|(row, position)| placing.place(position, row))?;
        if layout.last {
            leftover.drain(..).try_for_each(|[_, row]| by_batch.push(layout.rest_full as u32, row))?;
        }
        by_batch.place(p.seed, |position, row| placing.place(position, row))?;
        Ok(leftover)
    }
}

fn keep(groups: &mut Vec<u32>, rows: &[u32]) -> Result<()> {
    groups.extend_from_slice(rows);
    Ok(())
}
