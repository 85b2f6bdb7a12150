//! Examples that look alike, as chains.

use std::collections::HashMap;
use std::num::NonZeroU32;

use xxhash_rust::xxh3::xxh3_128;

/// One row of the input that passed `where` and the null policy.
#[derive(Clone, Copy)]
pub(super) struct Example {
    pub(super) identity: u128,
    /// A null item is an item of its own.
    pub(super) item: Option<u128>,
    pub(super) positive: bool,
    /// Digest of the payload columns that the dataset carries on every row.
    pub(super) payload: u128,
    pub(super) survives: bool,
    pub(super) seen: bool,
}

/// Survivors that have something in common, in input order.
#[derive(Debug, Clone, Copy)]
pub struct Chain {
    first: u32,
    /// All before it are seen.
    open: u32,
    identity: u128,
    item: Option<u128>,
    /// Whether all have the identity, and the item, of the first.
    pub one_identity: bool,
    pub one_item: bool,
}

/// Survivors by payload, and by payload and identity.
#[derive(Default)]
pub struct Chains {
    by_payload: HashMap<u128, Chain>,
    by_owner: HashMap<u128, Chain>,
    next: Vec<Links>,
}

/// The next example with the same payload, and with the same payload and identity; never the first of all.
#[derive(Clone, Copy, Default)]
struct Links {
    payload: Option<NonZeroU32>,
    owner: Option<NonZeroU32>,
}

fn owner_key(payload: u128, identity: u128) -> u128 {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&payload.to_le_bytes());
    bytes[16..].copy_from_slice(&identity.to_le_bytes());
    xxh3_128(&bytes)
}

/// Puts an example before those of a chain; gives the one that was the first.
fn prepend(chains: &mut HashMap<u128, Chain>, key: u128, ordinal: u32, example: &Example) -> Option<NonZeroU32> {
    let Example { identity, item, .. } = *example;
    let alone = Chain { first: ordinal, open: ordinal, identity, item, one_identity: true, one_item: true };
    let before = chains.insert(key, alone)?;
    let chain = Chain {
        one_identity: before.one_identity && before.identity == identity,
        one_item: before.one_item && before.item == item,
        ..alone
    };
    chains.insert(key, chain);
    NonZeroU32::new(before.first)
}

impl Chains {
    pub fn new(examples: &[Example]) -> Self {
        let mut chains = Chains { next: vec![Links::default(); examples.len()], ..Chains::default() };
        for (ordinal, example) in examples.iter().enumerate().rev().filter(|(_, example)| example.survives) {
            let key = owner_key(example.payload, example.identity);
            chains.next[ordinal] = Links {
                payload: prepend(&mut chains.by_payload, example.payload, ordinal as u32, example),
                owner: prepend(&mut chains.by_owner, key, ordinal as u32, example),
            };
        }
        chains
    }

    /// All examples are unseen again.
    pub fn rewind(&mut self) {
        self.by_payload.values_mut().chain(self.by_owner.values_mut()).for_each(|chain| chain.open = chain.first);
    }

    pub fn of_payload(&self, payload: u128) -> Option<&Chain> {
        self.by_payload.get(&payload)
    }

    pub fn of_owner(&self, payload: u128, identity: u128) -> Option<&Chain> {
        self.by_owner.get(&owner_key(payload, identity))
    }

    /// The identity that all survivors with a payload have.
    pub fn only_owner(&self, payload: u128) -> Option<u128> {
        self.of_payload(payload).filter(|chain| chain.one_identity).map(|chain| chain.identity)
    }

    /// Those with a payload: all, or from the first that may not be seen yet.
    pub fn with_payload(&self, payload: u128, from_open: bool) -> impl Iterator<Item = u32> + '_ {
        let next = |ordinal: &u32| self.next[*ordinal as usize].payload.map(NonZeroU32::get);
        std::iter::successors(self.of_payload(payload).map(|chain| chain.start(from_open)), next)
    }

    /// Those with a payload that are an identity's: all, or from the first that may not be seen yet.
    pub fn owned(&self, payload: u128, identity: u128, from_open: bool) -> impl Iterator<Item = u32> + '_ {
        let next = |ordinal: &u32| self.next[*ordinal as usize].owner.map(NonZeroU32::get);
        std::iter::successors(self.of_owner(payload, identity).map(|chain| chain.start(from_open)), next)
    }

    /// An example was seen: nobody need look at those before the first unseen one again.
    pub fn saw(&mut self, example: &Example, examples: &[Example]) {
        let seen = |ordinal: u32| examples[ordinal as usize].seen;
        if let Some(chain) = self.by_payload.get_mut(&example.payload) {
            while let Some(next) = self.next[chain.open as usize].payload.filter(|_| seen(chain.open)) {
                chain.open = next.get();
            }
        }
        if let Some(chain) = self.by_owner.get_mut(&owner_key(example.payload, example.identity)) {
            while let Some(next) = self.next[chain.open as usize].owner.filter(|_| seen(chain.open)) {
                chain.open = next.get();
            }
        }
    }
}

impl Chain {
    fn start(&self, from_open: bool) -> u32 {
        if from_open { self.open } else { self.first }
    }
}
