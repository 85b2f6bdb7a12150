//! identity_grouped: groups of fixed classes, all of one identity, spread over the batches as rows are in user_spread.

use std::convert::Infallible;

use super::groups::{Carried, Formed, Forming, Layout, Units, classes};
use super::plan::Plan;
use super::rng::Rng;
use super::spread::{Slots, Spreader};
use super::window::Windows;
use super::{by_identity, check_positions, finish};
use crate::error::{Error, Result};
use crate::keys::KeyPlane;
use crate::pipeline::{Group, Pipeline};

pub fn compose(plane: &KeyPlane, p: &Pipeline, rank: &[u32], windows: Windows) -> Result<Plan> {
    let (group, labels) = p.group.as_ref().zip(plane.label.as_ref()).ok_or_else(needs_classes)?;
    let mut present = vec![false; labels.text.len()];
    labels.rows.iter().for_each(|code| present[*code as usize] = true);
    let class_of = classes(group, &labels.text, &present)?;
    let rank_of = |row: u32| rank[plane.identity.rows[row as usize] as usize];
    let mut plan = Plan::new(p.batch_size);
    plan.group_size = group.size();
    let (mut carried, mut rest) = (Vec::new(), Vec::new());
    let last = windows.ends.len() - 1;
    for k in 0..=last {
        let mut forming = Forming::new(p, group, k as u64, carried);
        let mut grouped = Vec::new();
        let mut give = |formed: Formed<'_>| {
            match formed {
                Formed::Group(rows) => grouped.extend_from_slice(rows),
                Formed::Rest(row) => rest.push(row),
                Formed::Dropped(row) => plan.dropped.push((k as u32, row)),
            }
            Ok(())
        };
        let (rows, counts) = by_identity(windows.get(k), rank.len(), rank_of);
        let mut others = rows.as_slice();
        for count in counts {
            let own = others.split_off(..count as usize).unwrap_or_default();
            let classes = own.iter().map(|row| (*row, class_of[labels.rows[*row as usize] as usize]));
            forming.take(rank_of(own[0]), classes, &mut give)?;
        }
        let units = forming.finish(&mut give)?;
        drop(rows);
        let layout = Layout::new(units.len(), rest.len(), p, group, k == last);
        check_positions(plan.order.len() + layout.rows())?;
        let rng = Rng::new(p.seed, "deal", k as u64);
        let mut pool = PoolOfGroups { plan: &mut plan, p, group, layout, pool: k as u64, rng };
        carried = pool.place_groups(&units, &grouped);
        drop(grouped);
        rest = pool.place_rest(rest, rank.len(), rank_of)?;
        plan.close_pool();
    }
    finish::held(plan, plane, rank, p)
}

pub fn needs_classes() -> Error {
    Error::pipeline("compose.group", "identity_grouped needs classes and columns.label", "set both")
}

/// A pool, as it is placed behind the plan's end.
struct PoolOfGroups<'a> {
    plan: &'a mut Plan,
    p: &'a Pipeline,
    group: &'a Group,
    layout: Layout,
    /// Its ordinal.
    pool: u64,
    /// What deals its groups, then its other rows.
    rng: Rng,
}

impl PoolOfGroups<'_> {
    /// Places groups, one after the other in `grouped`; gives those that the pool has no room for.
    fn place_groups(&mut self, units: &Units, grouped: &[u32]) -> Vec<Carried> {
        let (layout, g) = (self.layout, self.group.size());
        let mut batches = vec![0; units.len()];
        let Ok(()) = units.deal(layout.full, layout.over, &mut self.rng, |batch, unit| {
            batches[unit as usize] = batch;
            Ok::<(), Infallible>(())
        });
        let mut slots = Slots::new(layout.grouped_rows(), self.p.batch_size);
        let mut carried = Vec::new();
        for share in units.parts(usize::MAX) {
            share.settle(&mut batches);
            for ((batch, rank), rows) in batches.iter().zip(share.ranks()).zip(grouped.chunks_exact(g)) {
                if *batch as usize == layout.full && !layout.mixes {
                    carried.push((rank, rows.to_vec()));
                } else {
                    rows.iter().for_each(|row| slots.place(*batch, *row));
                }
            }
        }
        self.plan.grouped.extend(layout.grouped());
        self.plan.extend(slots.shuffled(g, self.p.seed, self.plan.batches()));
        carried
    }

    /// Places the rows outside groups: they complete the batch in which the groups end, then fill batches of their own. Gives
    /// what fills no batch, unless this is the last pool.
    fn place_rest(&mut self, rest: Vec<u32>, ranks: usize, rank_of: impl Fn(u32) -> u32) -> Result<Vec<u32>> {
        let (layout, seed) = (self.layout, self.p.seed);
        let partial = [layout.completing, layout.leftover];
        let mut spreader = Spreader::new(rest.len(), layout.rest_full, &partial, &mut self.rng);
        let mut slots = Slots::new(layout.rest_rows(), self.p.batch_size);
        let (mut completing, mut leftover) = (Vec::new(), Vec::new());
        let mut give = |batch: u32, row| {
            match (batch as usize).checked_sub(layout.rest_full) {
                None => slots.place(batch, row),
                Some(0) => completing.push(row),
                Some(_) => leftover.push(row),
            }
            Ok(())
        };
        spreader.take(rest, ranks, rank_of, |row| row, &mut give)?;
        spreader.finish(&mut give)?;
        Rng::new(seed, "rest", self.pool).shuffle(&mut completing);
        self.plan.extend(completing);
        if layout.last {
            leftover.drain(..).for_each(|row| slots.place(layout.rest_full as u32, row));
        }
        self.plan.extend(slots.shuffled(1, seed, self.plan.batches()));
        Ok(leftover)
    }
}
