//! The masks of one batch.

use super::bits::Bits;
use super::class_bits::ClassBits;
use super::positives::Positives;
use super::rules::{BatchKeys, Exclusions, MaskRules};
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
    /// Where rules tell positives.
    positives: Option<BatchPositives<'a>>,
}

/// Which rows are positives of which.
struct BatchPositives<'a> {
    rules: Vec<Box<dyn Exclusions + 'a>>,
    /// Slots by example, where some are copies.
    examples: Option<Classes>,
    /// Slots that are padding: positives of none.
    padding: Vec<u32>,
    /// Each padding in a class of its own, all others in one.
    apart: Classes,
    found: Bits,
}

impl BatchPositives<'_> {
    /// The positives of the anchor in a slot: neither itself, nor copies of its example, nor padding.
    fn find(&mut self, slot: u32) -> &Bits {
        self.found.clear();
        for rule in &mut self.rules {
            let class = rule.classes().of[slot as usize];
            rule.exclude(class, &mut self.found);
        }
        self.padding.iter().for_each(|padding| self.found.unset(*padding));
        match &self.examples {
            Some(examples) => {
                examples.members(examples.of[slot as usize]).iter().for_each(|own| self.found.unset(*own));
            }
            None => self.found.unset(slot),
        }
        &self.found
    }
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
        rules: &MaskRules,
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
            rules.excluding.iter().flat_map(|rule| rule.exclusions(&keys)).collect();
        let examples = (!plan.copy.is_empty()).then(|| Classes::new(rows.iter().map(|row| u64::from(*row))));
        if let Some(examples) = &examples {
            // An anchor's own example is no negative of it.
            exclusions.push(Box::new(ClassBits::of_large(examples.clone())));
        }
        let positives = (!rules.positive.is_empty()).then(|| {
            let padding: Vec<u32> =
                (0..rows.len() as u32).filter(|slot| plan.is_padding(batch, *slot as usize)).collect();
            let is_padding = |slot: &u32| padding.binary_search(slot).is_ok();
            BatchPositives {
                rules: rules.positive.iter().flat_map(|rule| rule.exclusions(&keys)).collect(),
                apart: Classes::new(
                    (0..rows.len() as u32).map(|slot| if is_padding(&slot) { u64::from(slot) + 1 } else { 0 }),
                ),
                examples,
                padding,
                found: Bits::zero(rows.len()),
            }
        });
        BatchMasks { rows: rows.len(), excluded: Bits::zero(rows.len()), users, items, exclusions, positives }
    }

    /// Slots whose masks are the same, but for the anchor's own bit. With a rule at all, they exclude one another.
    pub fn kinds(&self) -> Classes {
        let positives = self.positives.iter().flat_map(|positives| {
            positives.rules.iter().map(|rule| rule.classes()).chain(std::iter::once(&positives.apart))
        });
        let mut all = self.exclusions.iter().map(|exclusions| exclusions.classes()).chain(positives);
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
        if let Some(positives) = &mut self.positives {
            self.excluded.add(positives.find(slot));
            // Rows of its kind share what is excluded, and the row itself is a positive of theirs.
            self.excluded.set(slot);
        }
        let others = self.excluded.count() - u32::from(self.excluded.get(slot));
        let valid = self.rows as u32 - 1 - others;
        RowMask { excluded: &self.excluded, valid }
    }

    /// The positives of the anchor at `slot`; none without rules that tell any.
    pub fn positives(&mut self, slot: u32) -> Option<&Bits> {
        Some(self.positives.as_mut()?.find(slot))
    }
}
