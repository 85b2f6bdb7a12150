//! Which token stands for which identity, told by payload.

use std::collections::{BTreeMap, HashMap};

use super::against::Witness;
use super::digest::row_digests;
use super::rows::BatchRows;
use crate::reader::ints;
use crate::schema;

impl Witness {
    /// Learns from a batch which token stands for which identity: by what each token's examples sum up to, and by payload that
    /// only one identity has.
    pub fn learn(&mut self, batch: &BatchRows) {
        let get = |name: &str| batch.frame.column(name).map(ints).unwrap_or_default();
        let (users, copies) = (get(schema::USER), get(schema::COPY));
        self.item_tokens.extend(get(schema::ITEM));
        let payload = row_digests(&batch.frame, &self.payload);
        for (slot, payload) in payload.iter().enumerate() {
            if copies.get(slot) != Some(&0) {
                continue;
            }
            let (sum, rows) = self.sums.entry(users[slot]).or_default();
            (*sum, *rows) = (sum.wrapping_add(*payload), *rows + 1);
            if let Some(identity) = self.chains.only_owner(*payload) {
                self.alone.entry(users[slot]).or_insert(identity);
            }
        }
        let mut rest = payload.as_slice();
        for (key, rows) in &batch.slices {
            let (own, others) = rest.split_at((*rows).min(rest.len()));
            self.digests.insert(key.clone(), own.to_vec());
            rest = others;
        }
    }

    /// After [`Witness::learn`] of every batch: settles which token stands for which identity. Identities whose examples have
    /// the same payload, value for value, are interchangeable; who is meant then stays open.
    pub fn settle(&mut self) {
        let mut sums: BTreeMap<u128, (u128, u64)> = BTreeMap::new();
        for example in self.examples.iter().filter(|e| e.survives) {
            let (sum, rows) = sums.entry(example.identity).or_default();
            (*sum, *rows) = (sum.wrapping_add(example.payload), *rows + 1);
        }
        self.identities = sums.len();
        let mut by_sum: HashMap<u128, Vec<u128>> = HashMap::new();
        sums.iter().for_each(|(identity, (sum, _))| by_sum.entry(*sum).or_default().push(*identity));
        let groups: HashMap<u128, usize> = by_sum.iter().map(|(sum, same)| (*sum, same.len())).collect();
        let tokens: BTreeMap<i64, (u128, u64)> = self.sums.drain().collect();
        let mut unresolved: Vec<(u64, i64)> = Vec::new();
        for (token, (sum, rows)) in tokens {
            if let Some(identity) = self.alone.get(&token).copied() {
                self.users.agree(identity, token);
                continue;
            }
            // Where examples were dropped, those of one identity may look like all of another's.
            let same = by_sum.get_mut(&sum).filter(|_| self.complete);
            match same.and_then(Vec::pop) {
                Some(identity) => {
                    self.users.agree(identity, token);
                    if groups.get(&sum) != Some(&1) {
                        self.interchangeable.insert(token);
                    }
                }
                None => unresolved.push((rows, token)),
            }
        }
        if !self.complete {
            self.interchangeable.extend(unresolved.into_iter().map(|(_, token)| token));
            return;
        }
        // What is left has only payload that others have too: the largest is the largest.
        unresolved.sort_unstable_by_key(|(rows, token)| (std::cmp::Reverse(*rows), *token));
        let mut left: Vec<(u64, u128)> =
            sums.iter().filter(|(i, _)| !self.users.token.contains_key(i)).map(|(i, (_, rows))| (*rows, *i)).collect();
        left.sort_unstable_by_key(|(rows, identity)| (std::cmp::Reverse(*rows), *identity));
        for ((_, token), (_, identity)) in unresolved.into_iter().zip(left) {
            self.users.agree(identity, token);
        }
    }
}
