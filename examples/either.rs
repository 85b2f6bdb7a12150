//! A rule of your own, in one file: `either:A+B` excludes candidates that agree with the anchor in any of some keys. Nothing of
//! the pipeline file or of `batchwright` knows it.
//!
//! `cargo run --release --example either` says what it excludes of a sample.

use std::path::Path;

use batchwright::classes::Classes;
use batchwright::error::Result;
use batchwright::job::{Prepared, Settings, prepare};
use batchwright::negatives::{BatchColumns, BatchKeys, Bits, Columns, Exclusions, MaskRules, Pairs, Rule, Share};
use batchwright::pipeline::{Field, Pipeline, load};
use batchwright::progress::Progress;

struct Either {
    fields: Vec<Field>,
}

impl Rule for Either {
    fn text(&self) -> String {
        format!("either:{}", self.fields.iter().map(Field::text).collect::<Vec<_>>().join("+"))
    }

    fn fields(&self) -> &[Field] {
        &self.fields
    }

    fn exclusions<'a>(&self, batch: &BatchKeys<'a, '_>) -> Vec<Box<dyn Exclusions + 'a>> {
        let agreeing = self.fields.iter().filter_map(|field| batch.classes(field));
        agreeing.map(|classes| Box::new(Agreeing(classes)) as Box<dyn Exclusions>).collect()
    }

    fn share(&self, pairs: &dyn Pairs) -> Result<Share> {
        let shares = self.fields.iter().map(|field| pairs.agreeing(field)).collect::<Result<Vec<f64>>>()?;
        Ok(Share { most: shares.iter().sum::<f64>().min(1.0), exact: shares.len() == 1 })
    }
}

/// Slots that agree in one key.
struct Agreeing(Classes);

impl Exclusions for Agreeing {
    fn classes(&self) -> &Classes {
        &self.0
    }

    fn exclude(&mut self, class: u32, excluded: &mut Bits) {
        self.0.members(class).iter().for_each(|slot| excluded.set(*slot));
    }
}

/// A sample, composed.
fn sample() -> Result<(Pipeline, Prepared)> {
    let rules = ("mask.rules".to_owned(), r#"["same:identity", "same:item"]"#.to_owned());
    let p = load(Path::new("pipelines/feed_user_spread.toml"), &[rules])?;
    let prepared = prepare(&p, &Settings::default(), &Progress::new())?;
    Ok((p, prepared))
}

/// The generated columns of all batches, with some rules.
fn columns(rules: &MaskRules, p: &Pipeline, prepared: &Prepared) -> Result<Vec<BatchColumns>> {
    let composition = &prepared.composition;
    let part = composition.composed.part(&composition.keys, 0..composition.composed.head().batches())?;
    let (plane, plan, positives) = (&part.view, &part.plan, composition.positives.as_ref());
    let columns = Columns { pipeline: p, plane, plan, rules, positives, log_q: None, sampled: &[] };
    plan.batches.clone().map(|batch| columns.batch(batch)).collect()
}

fn main() -> Result<()> {
    let (p, prepared) = sample()?;
    let rule = Either { fields: vec![Field::Identity, Field::Item] };
    println!("{} excludes at most {:.3} % of pairs", rule.text(), 100.0 * rule.share(&prepared.composition)?.most);
    let columns = columns(&MaskRules { excluding: vec![Box::new(rule)], ..MaskRules::default() }, &p, &prepared)?;
    println!("in batches: {} pairs", columns.iter().map(|batch| batch.stats.excluded_pairs).sum::<u64>());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_of_two_keys_is_what_two_rules_exclude() {
        let (p, prepared) = sample().unwrap();
        let fields = vec![Field::Identity, Field::Item];
        let rules = MaskRules { excluding: vec![Box::new(Either { fields })], ..MaskRules::default() };
        let own = columns(&rules, &p, &prepared).unwrap();
        let theirs = columns(&MaskRules::of(&p).unwrap(), &p, &prepared).unwrap();
        assert!(own.iter().map(|batch| batch.stats.excluded_pairs).sum::<u64>() > 0);
        for (own, theirs) in own.iter().zip(&theirs) {
            assert_eq!(own.stats, theirs.stats);
            own.arrays.iter().zip(&theirs.arrays).for_each(|(own, theirs)| assert_eq!(own, theirs));
        }
    }
}
