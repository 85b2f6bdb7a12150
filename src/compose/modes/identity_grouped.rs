//! identity_grouped: groups of fixed classes, all of one identity, spread over the batches as rows are in user_spread.

use std::sync::atomic::AtomicU64;

use rayon::prelude::*;

use crate::compose::by_batch::ByBatch;
use crate::compose::by_identity::{Share, each_share};
use crate::compose::check_positions;
use crate::compose::composer::Composer;
use crate::compose::deal::Deal;
use crate::compose::groups::{Carried, Formed, Forming, Identities, Layout, Units, classes};
use crate::compose::modes::Mode;
use crate::compose::rng::Rng;
use crate::compose::spread::Spread;
use crate::error::{Error, Result};
use crate::keys::{Key, Keys};
use crate::pipeline::{Field, Group, Pipeline};
use crate::spill::{Column, Room};

/// Rows of the identities whose groups one core forms at a time, about.
const PIECE: usize = 1 << 14;

pub struct IdentityGrouped;

impl Mode for IdentityGrouped {
    fn check(&self, p: &Pipeline) -> Result<()> {
        let refuse = |at: &str, problem: &str, remedy: &str| Err(Error::pipeline(at, problem, remedy));
        let Some(group) = &p.group else {
            return refuse(
                "compose.group.classes",
                "identity_grouped needs them",
                "name the rows of each label value in a group, such as classes = { real = 1, fake = 1 }",
            );
        };
        if p.label.is_none() {
            return refuse("columns.label", "group classes are values of it", "map columns.label");
        }
        if group.classes.is_empty() || group.classes.iter().any(|(_, n)| *n == 0) {
            return refuse("compose.group.classes", "every class needs at least one row", "use counts from 1");
        }
        if group.max_groups == Some(0) {
            return refuse(
                "compose.group.max_groups",
                "it is 0, and no group would be left",
                "use at least 1, or leave it out",
            );
        }
        let (g, slice) = (group.size(), p.slice());
        if !slice.is_multiple_of(g) {
            return Err(Error::pipeline(
                "compose.batch_size",
                format!(
                    "groups of {g} rows don't fill {slice} rows (batch_size {} over {} ranks)",
                    p.batch_size, p.ranks
                ),
                format!("use batch_size = {}", slice.div_ceil(g) * g * p.ranks),
            ));
        }
        Ok(())
    }

    fn deciding(&self) -> Option<Field> {
        Some(Field::Label)
    }

    fn compose(&self, composer: &mut Composer<'_>) -> Result<()> {
        let group = composer.p.group.as_ref().ok_or_else(needs_classes)?;
        let class_of = class_of(composer.keys, group)?;
        composer.head.group_size = group.size();
        let (mut carried, mut rest) = (Vec::new(), Vec::new());
        for pool in 0..composer.pools() {
            let formed = FormedPool::form(composer, group, &class_of, pool, (carried, rest))?;
            let layout = Layout::new(formed.units.len(), formed.rest.len(), composer.p, group, composer.is_last(pool));
            check_positions(composer.head.rows() + layout.rows())?;
            composer.head.grouped.extend(layout.grouped());
            let mut placing = Placing { composer, group, layout, pool: pool as u64 };
            let (mut tail, left) = placing.place_groups(formed.units, formed.groups)?;
            carried = left;
            rest = placing.place_rest(formed.rest, &formed.rest_runs, &mut tail)?;
            composer.close_pool(pool, tail)?;
        }
        Ok(())
    }
}

fn needs_classes() -> Error {
    Error::pipeline("compose.group", "identity_grouped needs classes and columns.label", "set both")
}

/// The class of each label.
fn class_of(keys: &Keys, group: &Group) -> Result<Vec<Option<usize>>> {
    let labels = keys.shape().label.as_ref().ok_or_else(needs_classes)?;
    let mut present = vec![false; labels.text.len()];
    keys.each_piece(&[Key::Code(Field::Label)], |_, view| {
        view.codes(&Field::Label).into_iter().flatten().for_each(|code| present[*code as usize] = true);
        Ok(())
    })?;
    classes(group, &labels.text, &present)
}

/// A pool's groups and other rows.
struct FormedPool {
    units: Units,
    /// Rows of the groups, one after the other.
    groups: Column<u32>,
    /// Rows outside groups, and whose they are: (owner, row), by owner.
    rest: Column<[u32; 2]>,
    /// Owners of these, and how many each has.
    rest_runs: Vec<(u32, u32)>,
}

impl FormedPool {
    fn form(
        composer: &mut Composer<'_>,
        group: &Group,
        class_of: &[Option<usize>],
        pool: usize,
        (carried, carried_rest): (Vec<Carried>, Vec<[u32; 2]>),
    ) -> Result<Self> {
        let room: &Room = composer.room;
        let formed = AtomicU64::new(0);
        let forming = Forming { seed: composer.p.seed, group, pool: pool as u64, class_of, formed: &formed };
        let mut all = FormedPool {
            units: Units::default(),
            groups: Column::new(room)?,
            rest: Column::new(room)?,
            rest_runs: Vec::new(),
        };
        let (places, identities) = (composer.places(pool), composer.identities());
        let Composer { precedence, dropped, .. } = composer;
        each_share(precedence, places, identities, room, |share| {
            let some = pieces(&share, &carried, &carried_rest);
            for few in some.chunks(rayon::current_num_threads() * 8) {
                let formed: Vec<Formed> = few.par_iter().map(|own| forming.form(own)).collect::<Result<_>>()?;
                for own in formed {
                    all.groups.append(own.groups)?;
                    all.units.append(own.units);
                    let runs = own.rest.chunk_by(|a, b| a[0] == b[0]);
                    all.rest_runs.extend(runs.map(|run| (run[0][0], run.len() as u32)));
                    all.rest.append(own.rest)?;
                    dropped.extend(&own.dropped.iter().map(|row| [pool as u32, *row]).collect::<Vec<_>>())?;
                }
            }
            Ok(())
        })?;
        Ok(all)
    }
}

/// Cuts a share between identities.
fn pieces<'a>(share: &'a Share, carried: &'a [Carried], carried_rest: &'a [[u32; 2]]) -> Vec<Identities<'a>> {
    let mut pieces = Vec::new();
    let (mut first, mut start, mut end) = (0, 0, 0);
    let mut from = share.identities.start;
    for (at, (_, rows)) in share.runs.iter().enumerate() {
        end += *rows as usize;
        let is_last = at + 1 == share.runs.len();
        if end - start < PIECE && !is_last {
            continue;
        }
        let to = if is_last { share.identities.end } else { share.runs[at + 1].0 };
        pieces.push(own(share, first..at + 1, start..end, from..to, carried, carried_rest));
        (first, start, from) = (at + 1, end, to);
    }
    if share.runs.is_empty() {
        pieces.push(own(share, 0..0, 0..0, share.identities.clone(), carried, carried_rest));
    }
    pieces
}

fn own<'a>(
    share: &'a Share,
    runs: std::ops::Range<usize>,
    rows: std::ops::Range<usize>,
    identities: std::ops::Range<u32>,
    carried: &'a [Carried],
    carried_rest: &'a [[u32; 2]],
) -> Identities<'a> {
    let groups = |identity: u32| carried.partition_point(|(owner, _)| *owner < identity);
    let rest = |identity: u32| carried_rest.partition_point(|[owner, _]| *owner < identity);
    Identities {
        runs: &share.runs[runs],
        labels: &share.deciding[rows.clone()],
        rows: &share.rows[rows],
        carried: &carried[groups(identities.start)..groups(identities.end)],
        carried_rest: &carried_rest[rest(identities.start)..rest(identities.end)],
    }
}

/// A pool, as it is placed behind the others.
struct Placing<'c, 'a> {
    composer: &'c mut Composer<'a>,
    group: &'c Group,
    layout: Layout,
    pool: u64,
}

impl Placing<'_, '_> {
    /// Places groups; gives the rows of those that fill no batch, if they are placed here, or else these groups.
    fn place_groups(&mut self, units: Units, groups: Column<u32>) -> Result<(Vec<u32>, Vec<Carried>)> {
        let Placing { composer, group, layout, pool } = self;
        let (g, b, room) = (group.size(), composer.p.batch_size, composer.room);
        let mut deal = Deal::new(composer.p.seed, "groups", *pool, units.len(), layout.full, &[layout.over]);
        deal.count(units.runs());
        let mut dealt = Column::new(room)?;
        deal.batches(|batches| dealt.append(batches))?;
        let mut carried = Vec::new();
        let mut by_batch = ByBatch::new(layout.full, b, g, room);
        for share in units.shares((room.rows_at_a_time() / g).max(1)) {
            let own = share.units.clone();
            let mut batches = dealt.read(own.clone())?.into_owned();
            share.settle(&mut batches);
            let rows = groups.read(own.start * g..own.end * g)?;
            let mut placed: Vec<(u32, u32)> = batches.into_iter().zip(share.owners()).collect();
            if layout.mixes {
                by_batch.take(&placed, &rows)?;
                continue;
            }
            let over = |(batch, _): &(u32, u32)| *batch as usize == layout.full;
            let mut kept = Vec::with_capacity(rows.len());
            for (group, rows) in placed.iter().zip(rows.chunks_exact(g)) {
                if over(group) {
                    carried.push((group.1, rows.to_vec()));
                } else {
                    kept.extend_from_slice(rows);
                }
            }
            placed.retain(|group| !over(group));
            by_batch.take(&placed, &kept)?;
        }
        let tail = by_batch.place(composer.p.seed, composer.batches(), &mut composer.order)?;
        Ok((tail, carried))
    }

    /// Places the rows outside groups: they complete the batch in which the groups end, of which `tail` has the rows, then fill
    /// batches of their own; `tail` is then what fills no batch of this pool. Gives what is left for the next pool.
    fn place_rest(
        &mut self,
        rest: Column<[u32; 2]>,
        runs: &[(u32, u32)],
        tail: &mut Vec<u32>,
    ) -> Result<Vec<[u32; 2]>> {
        let Placing { composer, layout, pool, .. } = self;
        let (seed, room) = (composer.p.seed, composer.room);
        let partial = [layout.completing, layout.leftover];
        let deal = Deal::new(seed, "rest", *pool, rest.len(), layout.rest_full, &partial);
        let mut spread = Spread::new(deal, partial.len(), room)?;
        spread.count(runs);
        rest.each_piece(room.rows_at_a_time(), |_, piece| {
            spread.take(piece.iter().map(|[_, row]| *row).collect(), || piece.iter().map(|[owner, _]| *owner).collect())
        })?;
        drop(rest);
        let mut completing = rows_of(spread.partial(0));
        if layout.mixes && tail.len() + completing.len() == composer.p.batch_size {
            // The batch that groups and others share comes before the others' own.
            Rng::new(seed, "completing", *pool).shuffle(&mut completing);
            tail.extend(completing);
            composer.order.append(std::mem::take(tail))?;
        } else {
            tail.extend(completing);
        }
        let leftover = spread.partial(1);
        let first = composer.head.batches() + (composer.order.len() - composer.head.rows()) / composer.p.batch_size;
        spread.place(seed, first, &mut composer.order)?;
        if !layout.last {
            return Ok(leftover);
        }
        tail.extend(rows_of(leftover));
        Ok(Vec::new())
    }
}

fn rows_of(owned: Vec<[u32; 2]>) -> Vec<u32> {
    owned.into_iter().map(|[_, row]| row).collect()
}
