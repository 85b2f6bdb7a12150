//! The groups of one pool: formed identity by identity, followed by what is in no group.

use std::iter::Peekable;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use super::check_positions;
use super::rng::Rng;
use crate::error::{Error, Result};
use crate::pipeline::{Group, Pipeline, Scarce};

/// A whole group that its pool had no room for: its identity, and its rows.
pub type Carried = (u32, Vec<u32>);

/// The class of each label code, of which `present` tells whether any row has it; an error where no row has a class.
///
/// # Errors
/// A class that no row has.
pub fn classes(group: &Group, text: &[Option<String>], present: &[bool]) -> Result<Vec<Option<usize>>> {
    let class_of: Vec<Option<usize>> =
        text.iter().map(|text| group.classes.iter().position(|(class, _)| Some(class) == text.as_ref())).collect();
    let codes = || present.iter().enumerate().filter(|(_, present)| **present).map(|(code, _)| code);
    let missing = (0..group.classes.len()).find(|class| !codes().any(|code| class_of[code] == Some(*class)));
    let Some(missing) = missing else { return Ok(class_of) };
    let mut known: Vec<&str> = codes().filter_map(|code| text[code].as_deref()).take(8).collect();
    known.sort_unstable();
    Err(Error::pipeline(
        "compose.group.classes",
        format!("no row has the label `{}`", group.classes[missing].0),
        format!("the labels are: {}", known.join(", ")),
    ))
}

/// Identities with all their rows in a pool, in seeded order.
pub struct Identities<'a> {
    /// How many rows each has.
    pub runs: &'a [(u32, u32)],
    /// In precedence.
    pub rows: &'a [u32],
    pub labels: &'a [u32],
    /// What the pool before had no room for: groups, and rows outside groups with their owners; by owner.
    pub carried: &'a [Carried],
    pub carried_rest: &'a [[u32; 2]],
}

/// What became of some identities' rows.
#[derive(Default)]
pub struct Formed {
    /// Rows of groups, one group after the other, in the order of the classes.
    pub groups: Vec<u32>,
    pub units: Units,
    /// Rows that follow the groups, and whose they are; by owner.
    pub rest: Vec<[u32; 2]>,
    pub dropped: Vec<u32>,
}

/// How groups are formed in a pool.
pub struct Forming<'a> {
    pub seed: u64,
    pub group: &'a Group,
    pub pool: u64,
    /// The class of each label.
    pub class_of: &'a [Option<usize>],
    /// Rows that are in groups so far, of all identities.
    pub formed: &'a AtomicU64,
}

impl Forming<'_> {
    /// Forms the groups of some identities.
    ///
    /// # Errors
    /// More copies than 32 bits tell apart.
    pub fn form(&self, own: &Identities<'_>) -> Result<Formed> {
        let mut formed = Formed::default();
        let mut carried = own.carried.iter().peekable();
        let mut carried_rest = own.carried_rest.iter().peekable();
        let (mut rows, mut labels) = (own.rows, own.labels);
        let mut classes: Vec<Vec<u32>> = vec![Vec::new(); self.group.classes.len()];
        for (owner, number) in own.runs {
            bring(Some(*owner), &mut carried, &mut carried_rest, &mut formed);
            let others = rows.split_off(..*number as usize).unwrap_or_default();
            let classed = others.iter().zip(labels.split_off(..*number as usize).unwrap_or_default());
            classes.iter_mut().for_each(Vec::clear);
            formed.rest.extend(std::iter::from_fn(|| carried_rest.next_if(|[of, _]| of == owner)));
            for (row, label) in classed {
                match self.class_of[*label as usize] {
                    Some(class) => classes[class].push(*row),
                    None => formed.rest.push([*owner, *row]),
                }
            }
            if classes.iter().any(Vec::is_empty) {
                formed.rest.extend(classes.iter().flatten().map(|row| [*owner, *row]));
                continue;
            }
            let mut next = || Some(carried.next_if(|(of, _)| of == owner)?.1.as_slice());
            self.form_of(*owner, &mut classes, &mut next, &mut formed)?;
        }
        bring(None, &mut carried, &mut carried_rest, &mut formed);
        Ok(formed)
    }

    /// Forms the groups of an identity that has all classes.
    fn form_of<'c>(
        &self,
        owner: u32,
        classes: &mut [Vec<u32>],
        carried: &mut impl FnMut() -> Option<&'c [u32]>,
        formed: &mut Formed,
    ) -> Result<()> {
        let mut rng = Rng::new(self.seed, "classes", self.pool << 32 | u64::from(owner));
        classes.iter_mut().for_each(|rows| rng.shuffle(rows));
        let quotas = self.group.classes.iter().map(|(_, quota)| *quota as usize);
        let with = classes.iter().zip(quotas);
        let groups = match self.group.scarce {
            Scarce::Repeat => with.clone().map(|(rows, quota)| rows.len().div_ceil(quota)).max(),
            Scarce::Rest | Scarce::Drop => with.clone().map(|(rows, quota)| rows.len() / quota).min(),
        }
        .unwrap_or(0);
        let kept = self.group.max_groups.map_or(groups, |most| groups.min(most as usize));
        let size = (kept * self.group.size()) as u64;
        let all = self.formed.fetch_add(size, Ordering::Relaxed) + size;
        check_positions(usize::try_from(all).unwrap_or(usize::MAX))?;
        let mut own = Owner { owner, carried: 0, fresh: kept as u32 };
        while let Some(rows) = carried() {
            own.carried += 1;
            formed.groups.extend_from_slice(rows);
        }
        // Each takes the next stretch of the cycle through each class's rows: in one batch, a row meets its own copy only if the
        // class has too few rows.
        for k in 0..kept {
            for (rows, quota) in with.clone() {
                formed.groups.extend((k * quota..(k + 1) * quota).map(|at| rows[at % rows.len()]));
            }
        }
        formed.units.push(own);
        for (rows, quota) in with {
            // Rows of groups beyond the most are dropped, those that fill no group are as scarce ones.
            let grouped = rows.len().min(groups * quota);
            formed.dropped.extend_from_slice(rows.get(kept * quota..grouped).unwrap_or(&[]));
            let left = rows.get(groups * quota..).unwrap_or(&[]);
            match self.group.scarce {
                Scarce::Drop => formed.dropped.extend_from_slice(left),
                _ => formed.rest.extend(left.iter().map(|row| [owner, *row])),
            }
        }
        Ok(())
    }
}

/// What was carried of identities before this one, which have no other rows here.
fn bring<'c>(
    before: Option<u32>,
    groups: &mut Peekable<impl Iterator<Item = &'c Carried>>,
    rest: &mut Peekable<impl Iterator<Item = &'c [u32; 2]>>,
    formed: &mut Formed,
) {
    let earlier = |of: u32| before.is_none_or(|before| of < before);
    while let Some((owner, rows)) = groups.next_if(|(of, _)| earlier(*of)) {
        formed.groups.extend_from_slice(rows);
        formed.units.push(Owner { owner: *owner, carried: 1, fresh: 0 });
    }
    formed.rest.extend(std::iter::from_fn(|| rest.next_if(|[of, _]| earlier(*of))));
}

/// The groups of a pool: how many each identity has, in seeded order.
#[derive(Default)]
pub struct Units {
    owners: Vec<Owner>,
    number: usize,
}

#[derive(Clone, Copy)]
struct Owner {
    owner: u32,
    carried: u32,
    fresh: u32,
}

impl Owner {
    fn units(self) -> usize {
        (self.carried + self.fresh) as usize
    }
}

impl Units {
    fn push(&mut self, own: Owner) {
        self.number += own.units();
        match self.owners.last_mut() {
            Some(last) if last.owner == own.owner => {
                last.carried += own.carried;
                last.fresh += own.fresh;
            }
            _ => self.owners.push(own),
        }
    }

    /// Adds the groups of the next identities.
    pub fn append(&mut self, others: Units) {
        others.owners.into_iter().for_each(|own| self.push(own));
    }

    /// Number of groups.
    pub fn len(&self) -> usize {
        self.number
    }

    /// How many groups each identity has.
    pub fn runs(&self) -> impl Iterator<Item = usize> + '_ {
        self.owners.iter().map(|owner| owner.units())
    }

    /// Ranges of whole identities with about `most` groups each.
    pub fn shares(&self, most: usize) -> Vec<Share<'_>> {
        let (mut shares, mut first, mut start) = (Vec::new(), 0, 0);
        let mut end = 0;
        for (at, owner) in self.owners.iter().enumerate() {
            end += owner.units();
            if end - start >= most || at + 1 == self.owners.len() {
                shares.push(Share { owners: &self.owners[first..=at], units: start..end });
                (first, start) = (at + 1, end);
            }
        }
        shares
    }
}

/// The groups of some identities.
pub struct Share<'a> {
    owners: &'a [Owner],
    /// Ordinals of the groups.
    pub units: Range<usize>,
}

impl Share<'_> {
    /// Settles which group goes to which of the batches that its identity was dealt, given in order of the groups. Groups that
    /// meet in a batch are neighbours, but for carried ones.
    pub fn settle(&self, batches: &mut [u32]) {
        let mut left = batches;
        for owner in self.owners {
            let (own, others) = left.split_at_mut(owner.units());
            own[owner.carried as usize..].sort_unstable();
            left = others;
        }
    }

    /// Whose each group is.
    pub fn owners(&self) -> impl Iterator<Item = u32> + '_ {
        self.owners.iter().flat_map(|owner| std::iter::repeat_n(owner.owner, owner.units()))
    }
}

/// How a pool's groups and other rows fill batches.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Batches of groups alone, and groups that fill no batch.
    pub full: usize,
    pub over: usize,
    /// Whether these are placed all the same; else they are carried to the next pool.
    pub mixes: bool,
    /// The other rows: how many complete the batch of such groups, how many batches they fill, and how many are left over.
    pub completing: usize,
    pub rest_full: usize,
    pub leftover: usize,
    /// Whether those are placed too: this is the last pool.
    pub last: bool,
    batch_size: usize,
    group_size: usize,
}

impl Layout {
    /// Lays out `groups` groups and `rest` other rows; whether this is the `last` pool decides what is carried.
    pub fn new(groups: usize, rest: usize, p: &Pipeline, group: &Group, last: bool) -> Self {
        let (b, g) = (p.batch_size, group.size());
        let (full, over) = (groups / (b / g), groups % (b / g));
        let mixes = over > 0 && (last || rest + over * g >= b);
        let completing = if mixes { rest.min(b - over * g) } else { 0 };
        let (rest_full, leftover) = ((rest - completing) / b, (rest - completing) % b);
        Layout { full, over, mixes, completing, rest_full, leftover, last, batch_size: b, group_size: g }
    }

    /// Rows of the groups that are placed.
    pub fn grouped_rows(&self) -> usize {
        self.full * self.batch_size + if self.mixes { self.over * self.group_size } else { 0 }
    }

    /// Rows behind the batch that groups and others share.
    pub fn rest_rows(&self) -> usize {
        self.rest_full * self.batch_size + if self.last { self.leftover } else { 0 }
    }

    /// Rows that are placed.
    pub fn rows(&self) -> usize {
        self.grouped_rows() + self.completing + self.rest_rows()
    }

    /// Rows in groups of each batch.
    pub fn grouped(&self) -> Vec<u32> {
        let mut grouped = vec![self.batch_size as u32; self.full];
        grouped.extend(self.mixes.then_some((self.over * self.group_size) as u32));
        grouped.resize(self.rows().div_ceil(self.batch_size), 0);
        grouped
    }
}
