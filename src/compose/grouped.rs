//! identity_grouped: groups of fixed classes, all of one identity, spread over the batches as rows are in user_spread.

use super::deal::deal;
use super::finish;
use super::plan::Plan;
use super::rng::Rng;
use super::spread::Slots;
use super::window::Windows;
use crate::error::{Error, Result};
use crate::keys::{KeyPlane, Labels};
use crate::pipeline::{Group, Pipeline, Scarce};

/// One identity's share of a pool.
struct Owner {
    rank: u32,
    /// Its rows by class, shuffled; all non-empty, unless it only brings carried groups.
    classes: Vec<Vec<u32>>,
    /// Groups to be formed from `classes`.
    groups: usize,
    /// Rows of whole groups that the previous pool could not place.
    carried: Vec<u32>,
}

impl Owner {
    fn units(&self, group_size: usize) -> usize {
        self.groups + self.carried.len() / group_size
    }
}

/// What moves on to the next pool: whole groups (rank of the identity, rows) and single rows.
#[derive(Default)]
struct Carry {
    groups: Vec<(u32, Vec<u32>)>,
    rest: Vec<u32>,
}

pub fn compose(plane: &KeyPlane, p: &Pipeline, rank: &[u32], windows: Windows) -> Result<Plan> {
    let (Some(group), Some(labels)) = (&p.group, &plane.label) else {
        return Err(Error::pipeline("compose.group", "identity_grouped needs classes and columns.label", "set both"));
    };
    let class_of = class_codes(group, labels)?;
    let mut plan = Plan::new(p.batch_size);
    plan.group_size = group.size();
    let mut carry = Carry::default();
    let last = windows.ends.len() - 1;
    for k in 0..=last {
        let mut pool = PoolRows { plane, p, group, rank, index: k as u64, last: k == last, rest: carry.rest };
        let owners = pool.owners(windows.get(k), &labels.rows, &class_of, &mut plan, carry.groups);
        carry = pool.place(&mut plan, owners);
        plan.close_pool();
    }
    Ok(finish(plan, plane, rank, p))
}

/// The class of each label code; an error where no row has a class.
fn class_codes(group: &Group, labels: &Labels) -> Result<Vec<Option<usize>>> {
    let class_of: Vec<Option<usize>> = labels
        .text
        .iter()
        .map(|text| group.classes.iter().position(|(class, _)| Some(class) == text.as_ref()))
        .collect();
    let mut present = vec![false; group.classes.len()];
    labels.rows.iter().filter_map(|code| class_of[*code as usize]).for_each(|class| present[class] = true);
    match present.iter().position(|p| !p) {
        None => Ok(class_of),
        Some(missing) => {
            let mut codes = labels.rows.clone();
            codes.sort_unstable();
            codes.dedup();
            let mut known: Vec<&str> =
                codes.iter().filter_map(|c| labels.text[*c as usize].as_deref()).take(8).collect();
            known.sort_unstable();
            Err(Error::pipeline(
                "compose.group.classes",
                format!("no row has the label `{}`", group.classes[missing].0),
                format!("the labels are: {}", known.join(", ")),
            ))
        }
    }
}

struct PoolRows<'a> {
    plane: &'a KeyPlane,
    p: &'a Pipeline,
    group: &'a Group,
    rank: &'a [u32],
    index: u64,
    last: bool,
    /// Rows outside groups.
    rest: Vec<u32>,
}

impl PoolRows<'_> {
    /// Sorts a window's rows into groups to be formed, rest and dropped.
    fn owners(
        &mut self,
        window: &[u32],
        labels: &[u32],
        class_of: &[Option<usize>],
        plan: &mut Plan,
        carried: Vec<(u32, Vec<u32>)>,
    ) -> Vec<Owner> {
        let identity = &self.plane.identity.rows;
        let (rows, counts) = super::by_identity(window, identity, self.rank);
        let mut owners = Vec::new();
        let mut start = 0;
        for count in counts {
            let own = &rows[start..start + count as usize];
            start += count as usize;
            let rank = self.rank[identity[own[0] as usize] as usize];
            let mut classes = vec![Vec::new(); self.group.classes.len()];
            for &row in own {
                match class_of[labels[row as usize] as usize] {
                    Some(class) => classes[class].push(row),
                    None => self.rest.push(row),
                }
            }
            if classes.iter().any(Vec::is_empty) {
                classes.into_iter().for_each(|rows| self.rest.extend(rows));
                continue;
            }
            let mut rng = Rng::new(self.p.seed, "classes", self.index << 32 | u64::from(rank));
            classes.iter_mut().for_each(|rows| rng.shuffle(rows));
            let quotas = self.group.classes.iter().map(|(_, q)| *q as usize);
            let with = classes.iter().zip(quotas.clone());
            let groups = match self.group.scarce {
                Scarce::Repeat => with.map(|(rows, q)| rows.len().div_ceil(q)).max(),
                Scarce::Rest | Scarce::Drop => with.map(|(rows, q)| rows.len() / q).min(),
            }
            .unwrap_or(0);
            if self.group.scarce != Scarce::Repeat {
                for (rows, quota) in classes.iter_mut().zip(quotas) {
                    let over = rows.split_off(groups * quota);
                    match self.group.scarce {
                        Scarce::Drop => plan.dropped.extend(over.into_iter().map(|row| (self.index as u32, row))),
                        _ => self.rest.extend(over),
                    }
                }
            }
            owners.push(Owner { rank, classes, groups, carried: Vec::new() });
        }
        for (rank, rows) in carried {
            match owners.binary_search_by_key(&rank, |o| o.rank) {
                Ok(at) => owners[at].carried.extend(rows),
                Err(at) => owners.insert(at, Owner { rank, classes: Vec::new(), groups: 0, carried: rows }),
            }
        }
        owners
    }

    /// Deals groups, then the rest, behind the plan's end; gives what fills no batch, unless this is the last pool.
    fn place(self, plan: &mut Plan, owners: Vec<Owner>) -> Carry {
        let (b, g) = (self.p.batch_size, self.group.size());
        let per_batch = b / g;
        let counts: Vec<u32> = owners.iter().map(|o| o.units(g) as u32).collect();
        let groups: usize = counts.iter().map(|c| *c as usize).sum();
        let (full, over) = (groups / per_batch, groups % per_batch);
        let mixes = over > 0 && (self.last || self.rest.len() + over * g >= b);
        let mut rng = Rng::new(self.p.seed, "deal", self.index);
        let batches = deal(&counts, full, &[over], &mut rng);

        let base = plan.order.len();
        let placed = if mixes { groups } else { groups - over };
        plan.order.resize(base + placed * g, 0);
        let mut next: Vec<usize> = (0..=full).map(|k| base + k * b).collect();
        let mut carry = Carry::default();
        let mut dealt = batches.as_slice();
        for owner in &owners {
            let (own, others) = dealt.split_at(owner.units(g));
            dealt = others;
            for (batch, rows) in self.fill(owner, own) {
                if batch as usize == full && !mixes {
                    carry.groups.push((owner.rank, rows));
                } else {
                    let at = &mut next[batch as usize];
                    plan.order[*at..*at + g].copy_from_slice(&rows);
                    *at += g;
                }
            }
        }
        for (k, slots) in plan.order[base..].chunks_mut(b).enumerate() {
            Rng::new(self.p.seed, "slots", (base / b + k) as u64).shuffle_chunks(slots, g);
            plan.grouped.push(slots.len() as u32);
        }
        carry.rest = self.place_rest(plan, &mut rng);
        carry
    }

    /// The groups of one identity with their batches. Groups that meet in a batch take neighbouring stretches of the
    /// cycle through each class's rows, so that a row meets its own copy only if the class has too few rows.
    fn fill(&self, owner: &Owner, batches: &[u32]) -> Vec<(u32, Vec<u32>)> {
        let g = self.group.size();
        let (carried, fresh) = batches.split_at(owner.carried.len() / g);
        let mut out: Vec<(u32, Vec<u32>)> =
            carried.iter().zip(owner.carried.chunks(g)).map(|(b, rows)| (*b, rows.to_vec())).collect();
        let mut fresh = fresh.to_vec();
        fresh.sort_unstable();
        for (k, batch) in fresh.into_iter().enumerate() {
            let mut rows = Vec::with_capacity(g);
            for (class, (_, quota)) in owner.classes.iter().zip(&self.group.classes) {
                let quota = *quota as usize;
                rows.extend((k * quota..(k + 1) * quota).map(|i| class[i % class.len()]));
            }
            out.push((batch, rows));
        }
        out
    }

    /// Rows outside groups: they complete the batch in which the groups end, then fill batches of their own.
    fn place_rest(&self, plan: &mut Plan, rng: &mut Rng) -> Vec<u32> {
        let b = self.p.batch_size;
        let (rows, counts) = super::by_identity(&self.rest, &self.plane.identity.rows, self.rank);
        let open = plan.order.len() % b;
        let mixed = if open == 0 { 0 } else { rows.len().min(b - open) };
        let full = (rows.len() - mixed) / b;
        let over = (rows.len() - mixed) % b;
        let batches = deal(&counts, full, &[mixed, over], rng);
        let of = |wanted: usize| {
            let chosen = rows.iter().zip(&batches).filter(move |(_, batch)| **batch as usize == wanted);
            chosen.map(|(row, _)| *row).collect::<Vec<u32>>()
        };
        let mut completing = of(full);
        Rng::new(self.p.seed, "rest", self.index).shuffle(&mut completing);
        plan.order.extend(completing);
        let leftover = of(full + 1);
        let mut slots = Slots::new(full * b + if self.last { leftover.len() } else { 0 }, b);
        rows.iter().zip(&batches).filter(|(_, batch)| (**batch as usize) < full).for_each(|(r, b)| slots.place(*b, *r));
        if self.last {
            leftover.iter().for_each(|row| slots.place(full as u32, *row));
        }
        plan.extend(slots.shuffled(self.p.seed, plan.batches()));
        plan.grouped.resize(plan.batches(), 0);
        if self.last { Vec::new() } else { leftover }
    }
}
