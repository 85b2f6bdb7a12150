//! The masks of one batch.

use super::bits::Bits;
use super::class_bits::ClassBits;
use super::positives::Positives;
use super::rules::{BatchKeys, Exclusions, Rule};
use crate::classes::Classes;
use crate::compose::Plan;
use crate::keys::KeyView;

/// What a batch's rows have in common, ready to give the mask of each row.
pub struct BatchMasks<'a> {
    pub users: Classes,
    /// When `columns.item` is mapped.
    pub items: Option<Classes>,
    rows: usize,
    /// What all rules exclude.
    exclusions: Vec<Box<dyn Exclusions + 'a>>,
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
    /// `positives` must be there if one of the rules needs them.
    pub fn new(
        rules: &[Box<dyn Rule>],
        view: &'a KeyView<'a>,
        plan: &'a Plan<'a>,
        positives: Option<&'a Positives>,
        batch: usize,
    ) -> Self {
        let rows = plan.batch(batch);
        let classes = |codes: &[u32]| Classes::new(rows.iter().map(|row| u64::from(codes[*row as usize])));
        let users = classes(&view.identity.rows);
        let items = view.item.as_ref().map(|item| classes(&item.rows));
        let keys = BatchKeys { view, rows, users: &users, items: items.as_ref(), positives };
        let mut exclusions: Vec<Box<dyn Exclusions + 'a>> =
            rules.iter().flat_map(|rule| rule.exclusions(&keys)).collect();
        if !plan.copy.is_empty() {
            // An anchor's own example is no negative of it.
            exclusions.push(Box::new(ClassBits::of_large(Classes::new(rows.iter().map(|row| u64::from(*row))))));
        }
        BatchMasks { rows: rows.len(), excluded: Bits::zero(rows.len()), users, items, exclusions }
    }

    /// Slots whose masks are the same, but for the anchor's own bit. With a rule at all, they exclude one another.
    pub fn kinds(&self) -> Classes {
        let mut all = self.exclusions.iter().map(|exclusions| exclusions.classes());
        match all.next() {
            None => Classes::new((0..self.rows).map(|slot| slot as u64)),
            Some(first) => all.fold(first.clone(), |kinds, next| kinds.and(next)),
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
        self.excluded.clear();
        for exclusions in &mut self.exclusions {
            let class = exclusions.classes().of[slot as usize];
            exclusions.exclude(class, &mut self.excluded);
        }
        let others = self.excluded.count() - u32::from(self.excluded.get(slot));
        let valid = self.rows as u32 - 1 - others;
        RowMask { excluded: &self.excluded, valid }
    }
}
