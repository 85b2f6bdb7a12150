//! The groups of one pool: formed identity by identity, dealt over batches, followed by what is in no group.

use std::ops::Range;

use super::check_positions;
use super::deal::Dealer;
use super::rng::Rng;
use crate::error::{Error, Result};
use crate::pipeline::{Group, Pipeline, Scarce};

/// What becomes of rows as groups are formed.
pub enum Formed<'a> {
    /// The rows of a group, in the order of the classes.
    Group(&'a [u32]),
    /// A row that follows the groups.
    Rest(u32),
    Dropped(u32),
}

/// A whole group that its pool had no room for: the rank of its identity, and its rows.
pub type Carried = (u32, Vec<u32>);

/// The class of each label code, of which `present` tells whether any row has it; an error where no row has a class.
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

/// Forms groups of rows as they come by identity, in seeded order.
pub struct Forming<'a> {
    seed: u64,
    group: &'a Group,
    pool: u64,
    /// By rank.
    carried: std::iter::Peekable<std::vec::IntoIter<Carried>>,
    units: Units,
    /// Of the identity at hand: its rows by class.
    classes: Vec<Vec<u32>>,
    /// Of the group at hand.
    rows: Vec<u32>,
}

impl<'a> Forming<'a> {
    /// Of pool number `pool`, to which others have carried groups.
    pub fn new(p: &Pipeline, group: &'a Group, pool: u64, carried: Vec<Carried>) -> Self {
        Forming {
            seed: p.seed,
            group,
            pool,
            carried: carried.into_iter().peekable(),
            units: Units::default(),
            classes: vec![Vec::new(); group.classes.len()],
            rows: Vec::with_capacity(group.size()),
        }
    }

    /// Takes all rows of the identity with the next rank, in precedence, each with its class. `give` gets groups in the order in
    /// which [`Units`] count them.
    pub fn take(
        &mut self,
        rank: u32,
        own: impl Iterator<Item = (u32, Option<usize>)>,
        give: &mut impl FnMut(Formed<'_>) -> Result<()>,
    ) -> Result<()> {
        self.bring(Some(rank), give)?;
        self.classes.iter_mut().for_each(Vec::clear);
        for (row, class) in own {
            match class {
                Some(class) => self.classes[class].push(row),
                None => give(Formed::Rest(row))?,
            }
        }
        if self.classes.iter().any(Vec::is_empty) {
            return self.classes.iter().flatten().try_for_each(|row| give(Formed::Rest(*row)));
        }
        let mut rng = Rng::new(self.seed, "classes", self.pool << 32 | u64::from(rank));
        self.classes.iter_mut().for_each(|rows| rng.shuffle(rows));
        let quotas = self.group.classes.iter().map(|(_, quota)| *quota as usize);
        let with = self.classes.iter().zip(quotas);
        let groups = match self.group.scarce {
            Scarce::Repeat => with.clone().map(|(rows, quota)| rows.len().div_ceil(quota)).max(),
            Scarce::Rest | Scarce::Drop => with.clone().map(|(rows, quota)| rows.len() / quota).min(),
        }
        .unwrap_or(0);
        check_positions((self.units.len() + groups) * self.group.size())?;
        let mut owner = Owner { rank, carried: 0, fresh: groups as u32 };
        while let Some((_, rows)) = self.carried.next_if(|(of, _)| *of == rank) {
            owner.carried += 1;
            give(Formed::Group(&rows))?;
        }
        // Each takes the next stretch of the cycle through each class's rows: in one batch, a row meets its own copy only if the
        // class has too few rows.
        for k in 0..groups {
            self.rows.clear();
            for (rows, quota) in with.clone() {
                self.rows.extend((k * quota..(k + 1) * quota).map(|at| rows[at % rows.len()]));
            }
            give(Formed::Group(&self.rows))?;
        }
        self.units.push(owner);
        for (rows, quota) in with {
            for row in rows.get(groups * quota..).unwrap_or(&[]) {
                let drop = self.group.scarce == Scarce::Drop;
                give(if drop { Formed::Dropped(*row) } else { Formed::Rest(*row) })?;
            }
        }
        Ok(())
    }

    /// Gives carried groups that are left, once all identities have come; tells how many groups each has.
    pub fn finish(mut self, give: &mut impl FnMut(Formed<'_>) -> Result<()>) -> Result<Units> {
        self.bring(None, give)?;
        Ok(self.units)
    }

    /// Carried groups of identities before this rank, which have no others.
    fn bring(&mut self, rank: Option<u32>, give: &mut impl FnMut(Formed<'_>) -> Result<()>) -> Result<()> {
        while let Some((of, rows)) = self.carried.next_if(|(of, _)| rank.is_none_or(|rank| *of < rank)) {
            give(Formed::Group(&rows))?;
            self.units.push(Owner { rank: of, carried: 1, fresh: 0 });
        }
        Ok(())
    }
}

/// The groups of a pool: how many each identity has, in seeded order.
#[derive(Default)]
pub struct Units {
    owners: Vec<Owner>,
    number: usize,
}

#[derive(Clone, Copy)]
struct Owner {
    rank: u32,
    carried: u32,
    fresh: u32,
}

impl Owner {
    fn units(self) -> usize {
        (self.carried + self.fresh) as usize
    }
}

impl Units {
    fn push(&mut self, owner: Owner) {
        self.number += owner.units();
        match self.owners.last_mut() {
            Some(last) if last.rank == owner.rank => {
                last.carried += owner.carried;
                last.fresh += owner.fresh;
            }
            _ => self.owners.push(owner),
        }
    }

    /// Number of groups.
    pub fn len(&self) -> usize {
        self.number
    }

    pub fn is_empty(&self) -> bool {
        self.number == 0
    }

    /// Deals the groups as rows are in user_spread: over `full` batches alike, and `over` to one behind them. `give` gets batches
    /// with ordinals of groups.
    pub fn deal<E>(
        &self,
        full: usize,
        over: usize,
        rng: &mut Rng,
        mut give: impl FnMut(u32, u32) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut dealer = Dealer::new(self.number, full, &[over], rng);
        let owners = self.owners.iter().flat_map(|owner| std::iter::repeat_n(owner.rank, owner.units()));
        owners.zip(0..).try_for_each(|(rank, unit)| dealer.take(rank, unit, &mut give))?;
        dealer.finish(&mut give)
    }

    /// Ranges of whole identities with about `most` groups each.
    pub fn parts(&self, most: usize) -> Vec<Share<'_>> {
        let (mut parts, mut first, mut start) = (Vec::new(), 0, 0);
        let mut end = 0;
        for (at, owner) in self.owners.iter().enumerate() {
            end += owner.units();
            if end - start >= most || at + 1 == self.owners.len() {
                parts.push(Share { owners: &self.owners[first..=at], units: start..end });
                (first, start) = (at + 1, end);
            }
        }
        parts
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

    /// The rank of each group's identity.
    pub fn ranks(&self) -> impl Iterator<Item = u32> + '_ {
        self.owners.iter().flat_map(|owner| std::iter::repeat_n(owner.rank, owner.units()))
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
    /// Of the other rows: those that complete the batch of such groups, the batches that they fill, and those left over.
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
