//! The masks of one batch.

use super::bits::Bits;
use super::class_bits::ClassBits;
use super::known_positive::{BatchItems, Positives};
use crate::classes::Classes;
use crate::compose::Plan;
use crate::keys::KeyView;
use crate::pipeline::{Field, Pipeline, Rule};

/// What a batch's rows have in common, ready to give the mask of each row.
pub struct BatchMasks<'a> {
    pub users: Classes,
    /// When `columns.item` is mapped.
    pub items: Option<Classes>,
    rows: usize,
    /// Whether `same:identity` is among the rules.
    same_user: bool,
    same: Vec<ClassBits>,
    /// Identity codes by user slot, with what `known_positive` needs.
    known: Option<(Vec<u32>, BatchItems<'a>)>,
    /// What an identity's rows have in common is worked out once, for identities with several rows.
    shared: Vec<Option<Bits>>,
    excluded: Bits,
}

/// The mask of one row; bits are indexed by slot.
pub struct RowMask<'a> {
    /// Slots that a rule excludes; whether the row itself is among them does not matter.
    pub excluded: &'a Bits,
    /// Number of other slots that are valid negatives.
    pub valid: u32,
}

impl<'a> BatchMasks<'a> {
    /// `positives` must be there if the pipeline has the rule `known_positive`.
    pub fn new(
        p: &Pipeline,
        plane: &KeyView<'_>,
        plan: &Plan<'_>,
        positives: Option<&'a Positives>,
        batch: usize,
    ) -> Self {
        let rows = plan.batch(batch);
        let classes = |codes: &[u32]| Classes::new(rows.iter().map(|row| u64::from(codes[*row as usize])));
        let users = classes(&plane.identity.rows);
        let items = plane.item.as_ref().map(|item| classes(&item.rows));
        let identity = Rule::Same(vec![Field::Identity]);
        // As many as there are words, which are counted when they are set.
        let large = rows.len().div_ceil(64) + 1;
        let mut same: Vec<ClassBits> = Vec::new();
        for rule in p.rules.iter().filter(|r| **r != identity) {
            let Rule::Same(fields) = rule else { continue };
            let agreeing = fields.iter().filter_map(|f| plane.codes(f)).map(classes).reduce(|a, b| a.and(&b));
            same.extend(agreeing.map(|classes| ClassBits::new(classes, large)));
        }
        if !plan.copy.is_empty() {
            same.push(ClassBits::new(Classes::new(rows.iter().map(|row| u64::from(*row))), large));
        }
        let known = match (positives, &items) {
            (Some(positives), Some(items)) if p.rules.contains(&Rule::KnownPositive) => {
                let first = (0..users.len() as u32).map(|u| rows[users.members(u)[0] as usize]);
                let codes = first.map(|row| plane.identity.rows[row as usize]).collect();
                Some((codes, BatchItems::new(positives, items.clone())))
            }
            _ => None,
        };
        BatchMasks {
            rows: rows.len(),
            same_user: p.rules.contains(&identity),
            shared: vec![None; users.len()],
            excluded: Bits::zero(rows.len()),
            users,
            items,
            same,
            known,
        }
    }

    /// Slots whose masks are the same, but for the anchor's own bit: each rule puts them in one class. With a rule at all,
    /// they exclude one another.
    pub fn kinds(&self) -> Classes {
        let users = (self.same_user || self.known.is_some()).then_some(&self.users);
        let items = self.items.as_ref().filter(|_| self.known.is_some());
        let classes: Vec<&Classes> =
            users.into_iter().chain(items).chain(self.same.iter().map(|s| &s.classes)).collect();
        match classes.as_slice() {
            [] => Classes::new((0..self.rows).map(|slot| slot as u64)),
            [first, others @ ..] => others.iter().fold(Classes::clone(first), |all, next| all.and(next)),
        }
    }

    /// Appends the row of `width` bytes that marks the slots of a user.
    pub fn append_same_user(&self, user: u32, width: usize, out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + width, 0);
        let own = self.users.members(user);
        own.iter().for_each(|s| out[start + *s as usize / 8] |= 1 << (s % 8));
    }

    /// The union of all rules for the anchor at `slot`.
    pub fn row(&mut self, slot: u32) -> RowMask<'_> {
        let user = self.users.of[slot as usize];
        self.excluded.clear();
        if self.users.members(user).len() == 1 {
            self.add_shared_into_excluded(user);
        } else {
            if self.shared[user as usize].is_none() {
                self.add_shared_into_excluded(user);
                self.shared[user as usize] = Some(self.excluded.clone());
            }
            if let Some(shared) = &self.shared[user as usize] {
                self.excluded.copy_from(shared);
            }
        }
        self.same.iter().for_each(|same| same.set(same.classes.of[slot as usize], &mut self.excluded));
        if let Some((_, items)) = &self.known {
            items.exclude_same(slot, &mut self.excluded);
        }
        let others = self.excluded.count() - u32::from(self.excluded.get(slot));
        let valid = self.rows as u32 - 1 - others;
        RowMask { excluded: &self.excluded, valid }
    }

    fn add_shared_into_excluded(&mut self, user: u32) {
        if self.same_user {
            self.users.members(user).iter().for_each(|s| self.excluded.set(*s));
        }
        if let Some((codes, items)) = &self.known {
            items.exclude(codes[user as usize], &mut self.excluded);
        }
    }
}
