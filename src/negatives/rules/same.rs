//! `same:A+B`: rows that agree in all of some keys are no negatives of one another.

use super::{BatchKeys, Exclusions, Pairs, Rule, Share};
use crate::classes::Classes;
use crate::error::Result;
use crate::negatives::bits::Bits;
use crate::negatives::class_bits::ClassBits;
use crate::pipeline::{Field, RuleText};

pub const NAME: &str = "same";

pub struct Same {
    /// At least one.
    pub fields: Vec<Field>,
}

impl Rule for Same {
    fn text(&self) -> String {
        RuleText::new(NAME, self.fields.clone()).text()
    }

    fn fields(&self) -> &[Field] {
        &self.fields
    }

    fn exclusions<'a>(&self, batch: &BatchKeys<'a, '_>) -> Vec<Box<dyn Exclusions + 'a>> {
        let agreeing = self.fields.iter().filter_map(|field| batch.classes(field)).reduce(|a, b| a.and(&b));
        agreeing.map(|classes| Box::new(ClassBits::of_large(classes)) as Box<dyn Exclusions>).into_iter().collect()
    }

    fn share(&self, pairs: &dyn Pairs) -> Result<Share> {
        let shares = self.fields.iter().map(|field| pairs.agreeing(field)).collect::<Result<Vec<f64>>>()?;
        Ok(Share { most: shares.iter().copied().fold(1.0, f64::min), exact: shares.len() == 1 })
    }
}

impl Exclusions for ClassBits {
    fn classes(&self) -> &Classes {
        &self.classes
    }

    fn exclude(&mut self, class: u32, excluded: &mut Bits) {
        self.set(class, excluded);
    }
}
