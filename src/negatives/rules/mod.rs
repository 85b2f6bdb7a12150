//! The rules of the mask: who is no negative of whom. One file each; a mask is the union of its rules.

mod known_positive;
mod same;

use self::known_positive::KnownPositive;
use self::same::Same;
use super::bits::Bits;
use super::positives::Positives;
use crate::classes::Classes;
use crate::error::{Error, Result};
use crate::keys::KeyView;
use crate::pipeline::{Field, Pipeline, RuleText};

/// A rule of the mask.
pub trait Rule: Send + Sync {
    /// The rule as the pipeline file writes it.
    fn text(&self) -> String;

    /// The keys that it looks at; beside them it may ask for known positives.
    fn fields(&self) -> &[Field];

    /// Whether it looks at what identities engaged with in the whole input.
    fn needs_positives(&self) -> bool {
        false
    }

    /// What it excludes in a batch: the union of these.
    fn exclusions<'a>(&self, batch: &BatchKeys<'a, '_>) -> Vec<Box<dyn Exclusions + 'a>>;

    /// The share of ordered pairs of examples that it excludes in a random order.
    ///
    /// # Errors
    /// What `pairs` says.
    fn share(&self, pairs: &dyn Pairs) -> Result<Share>;
}

/// What a rule excludes in one batch, where all anchors of a class share it.
pub trait Exclusions {
    /// Slots whose exclusions are the same. Slots that all of a rule's exclusions class together must exclude one another: they
    /// share one mask.
    fn classes(&self) -> &Classes;

    /// Sets the slots that are no negatives of the anchors of a class; whether an anchor is among them does not matter.
    fn exclude(&mut self, class: u32, excluded: &mut Bits);
}

/// The keys of a batch's rows.
pub struct BatchKeys<'a, 'b> {
    pub(super) view: &'a KeyView<'a>,
    /// The row of the keys in each slot.
    pub(super) rows: &'a [u32],
    pub(super) users: &'b Classes,
    /// Where an item is mapped.
    pub(super) items: Option<&'b Classes>,
    /// Where a rule asks for them.
    pub(super) positives: Option<&'a Positives>,
}

impl<'a> BatchKeys<'a, '_> {
    /// Number of slots.
    pub fn slots(&self) -> usize {
        self.rows.len()
    }

    /// Slots that agree in a key; `None` where the input has none such.
    pub fn classes(&self, field: &Field) -> Option<Classes> {
        match field {
            Field::Identity => Some(self.users.clone()),
            Field::Item => self.items.cloned(),
            field => self.codes(field).map(|codes| Classes::new(codes.map(u64::from))),
        }
    }

    /// The code of a key in each slot: equal where the key is.
    pub fn codes(&self, field: &Field) -> Option<impl ExactSizeIterator<Item = u32> + use<'a>> {
        let (codes, rows) = (self.view.codes(field)?, self.rows);
        Some(rows.iter().map(move |row| codes[*row as usize]))
    }
}

/// How many pairs of examples have what in common.
pub trait Pairs {
    /// The share of ordered pairs that agree in a key.
    ///
    /// # Errors
    /// A scratch file that can't be read.
    fn agreeing(&self, field: &Field) -> Result<f64>;

    /// The share of ordered pairs whose candidate's item the anchor's identity engaged with.
    fn known_positives(&self) -> f64;
}

/// A share of all ordered pairs of examples.
pub struct Share {
    pub most: f64,
    /// Whether it is the share, and not only its upper bound.
    pub exact: bool,
}

/// The rules of a mask.
#[derive(Default)]
pub struct MaskRules {
    /// Who is no negative of whom.
    pub excluding: Vec<Box<dyn Rule>>,
    /// Who is a positive of whom, and so no negative either.
    pub positive: Vec<Box<dyn Rule>>,
}

impl MaskRules {
    /// The rules of a pipeline.
    ///
    /// # Errors
    /// A name that no rule has, or a rule that lacks what it looks at.
    pub fn of(p: &Pipeline) -> Result<Self> {
        let rules = |at: &str, texts: &[RuleText]| texts.iter().map(|text| rule(at, text, p)).collect::<Result<_>>();
        Ok(MaskRules {
            excluding: rules("mask.rules", &p.rules)?,
            positive: rules("mask.positives", &p.positive_rules)?,
        })
    }
}

fn rule(at: &str, text: &RuleText, p: &Pipeline) -> Result<Box<dyn Rule>> {
    match text.name.as_str() {
        same::NAME if !text.fields.is_empty() => Ok(Box::new(Same { fields: text.fields.clone() })),
        known_positive::NAME if text.fields.is_empty() => Ok(Box::new(KnownPositive::of(p)?)),
        _ => Err(Error::pipeline(
            at,
            format!("`{}` is not a rule", text.written),
            "use \"known_positive\", \"same:identity\", \"same:identity+label\" or \"same:\" with any roles or columns",
        )),
    }
}

/// Whether a rule of a pipeline looks at what identities engaged with.
pub fn need_positives(p: &Pipeline) -> bool {
    MaskRules::of(p).is_ok_and(|rules| rules.excluding.iter().chain(&rules.positive).any(|rule| rule.needs_positives()))
}
