//! What each rule of the mask excludes, were the examples in a random order.

use super::composition::Composition;
use crate::error::Result;
use crate::keys::Key;
use crate::negatives::{Pairs, Rule, Share};
use crate::pipeline::Field;

/// Each rule, as the pipeline file writes it, and what it excludes: Σ c(c−1) ÷ n(n−1) over classes of c examples that agree;
/// for known positives about Σ (examples of an identity ·
/// examples of its positive items) ÷ n(n−1), without those that are the anchor itself.
///
/// # Errors
/// A scratch file that can't be read.
pub fn rule_shares(rules: &[Box<dyn Rule>], composition: &Composition) -> Result<Vec<(String, Share)>> {
    rules.iter().map(|rule| Ok((rule.text(), rule.share(composition)?))).collect()
}

impl Pairs for Composition {
    fn agreeing(&self, field: &Field) -> Result<f64> {
        let facts = &self.facts;
        let pairs =
            |counts: &mut dyn Iterator<Item = u64>| counts.map(|c| (c * c.saturating_sub(1)) as f64).sum::<f64>();
        let agreeing = match field {
            Field::Identity => pairs(&mut facts.identities.iter().map(|c| u64::from(*c))),
            Field::Item => pairs(&mut facts.items.rows.iter().map(|c| u64::from(*c))),
            Field::Request => pairs(&mut facts.requests.iter().flatten().map(|c| u64::from(*c))),
            Field::Label => pairs(&mut facts.labels.iter().copied()),
            Field::Column(name) => {
                let columns = &self.keys.shape().columns;
                let distinct = columns.iter().find(|(known, _)| known == name).map_or(0, |(_, codes)| codes.len());
                let mut counts = vec![0u32; distinct];
                self.keys.each_piece(&[Key::Code(field.clone())], |_, view| {
                    let codes = view.codes(field).unwrap_or_default();
                    codes.iter().for_each(|code| counts[*code as usize] += 1);
                    Ok(())
                })?;
                pairs(&mut counts.iter().map(|c| u64::from(*c)))
            }
        };
        Ok(agreeing / all_pairs(self))
    }

    fn known_positives(&self) -> f64 {
        known_positives(self)
    }
}

fn known_positives(composition: &Composition) -> f64 {
    let Some(positives) = &composition.positives else { return 0.0 };
    let (identities, items) = (&composition.facts.identities, &composition.facts.items.rows);
    let with = |identity: usize| -> f64 {
        let own: u64 = positives.of(identity as u32).iter().map(|item| u64::from(items[*item as usize])).sum();
        f64::from(identities[identity]) * own as f64
    };
    let all: f64 = (0..identities.len()).filter(|identity| identities[*identity] > 0).map(with).sum();
    // A positive is no candidate of its own.
    let own: u64 = composition.facts.items.positives.iter().map(|positives| u64::from(*positives)).sum();
    ((all - own as f64) / all_pairs(composition)).clamp(0.0, 1.0)
}

fn all_pairs(composition: &Composition) -> f64 {
    let n = composition.keys.len() as f64;
    (n * (n - 1.0)).max(1.0)
}
