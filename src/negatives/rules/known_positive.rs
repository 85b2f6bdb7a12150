//! `known_positive`: items that an identity engaged with anywhere in the input are never its negatives, nor is the anchor's own.

use std::rc::Rc;

use super::{BatchKeys, Exclusions, Pairs, Rule, Share};
use crate::classes::Classes;
use crate::error::{Error, Result};
use crate::negatives::batch_items::BatchItems;
use crate::negatives::bits::Bits;
use crate::pipeline::{Field, Pipeline};

pub const NAME: &str = "known_positive";

pub struct KnownPositive;

impl KnownPositive {
    /// # Errors
    /// No item is mapped.
    pub fn of(p: &Pipeline) -> Result<Self> {
        match p.item {
            Some(_) => Ok(KnownPositive),
            None => Err(Error::pipeline("columns.item", "known positives need it", "map columns.item")),
        }
    }
}

impl Rule for KnownPositive {
    fn text(&self) -> String {
        NAME.into()
    }

    fn fields(&self) -> &[Field] {
        &[Field::Identity, Field::Item]
    }

    fn needs_positives(&self) -> bool {
        true
    }

    fn exclusions<'a>(&self, batch: &BatchKeys<'a, '_>) -> Vec<Box<dyn Exclusions + 'a>> {
        let (Some(positives), Some(own)) = (batch.positives, batch.items) else { return Vec::new() };
        let users = batch.users;
        let items = Rc::new(BatchItems::new(positives, own.clone()));
        let identity = |user: u32| batch.view.identity.rows[batch.rows[users.members(user)[0] as usize] as usize];
        let of_identity = OfIdentity {
            users: users.clone(),
            identities: (0..users.len() as u32).map(identity).collect(),
            items: Rc::clone(&items),
            shared: vec![None; users.len()],
        };
        vec![Box::new(of_identity), Box::new(OwnItem { items })]
    }

    fn share(&self, pairs: &dyn Pairs) -> Result<Share> {
        Ok(Share { most: pairs.known_positives(), exact: true })
    }
}

/// Candidates whose item the anchor's identity engaged with.
struct OfIdentity<'a> {
    users: Classes,
    /// The code of each user.
    identities: Vec<u32>,
    items: Rc<BatchItems<'a>>,
    /// What users with several rows share, once it was asked for.
    shared: Vec<Option<Bits>>,
}

impl Exclusions for OfIdentity<'_> {
    fn classes(&self) -> &Classes {
        &self.users
    }

    fn exclude(&mut self, user: u32, excluded: &mut Bits) {
        let identity = self.identities[user as usize];
        if self.users.members(user).len() == 1 {
            return self.items.exclude(identity, excluded);
        }
        let shared = self.shared[user as usize].get_or_insert_with(|| {
            let mut own = Bits::zero(self.users.of.len());
            self.items.exclude(identity, &mut own);
            own
        });
        excluded.add(shared);
    }
}

/// Candidates with the anchor's own item.
struct OwnItem<'a> {
    items: Rc<BatchItems<'a>>,
}

impl Exclusions for OwnItem<'_> {
    fn classes(&self) -> &Classes {
        self.items.classes()
    }

    fn exclude(&mut self, item: u32, excluded: &mut Bits) {
        self.items.exclude_item(item, excluded);
    }
}
