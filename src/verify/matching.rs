//! Rows of the dataset, matched with examples of the input.

use std::collections::{HashMap, HashSet};

use super::against::Witness;
use super::chains::Example;
use super::finding::Findings;
use super::inputs;
use super::rows::{BatchRows, SliceKey};
use crate::reader::ints;
use crate::schema;

impl Witness {
    /// The payload of a batch's rows; none where it could not be read, which is a finding of its own.
    fn payload_of(&self, batch: &BatchRows) -> Vec<Option<u128>> {
        let of_slice = |(key, rows): &(SliceKey, usize)| match self.digests.get(key).filter(|d| d.len() == *rows) {
            Some(digests) => digests.iter().copied().map(Some).collect(),
            None => vec![None; *rows],
        };
        batch.slices.iter().flat_map(of_slice).collect()
    }

    /// Known positives by `bw_user`, as `bw_item`: all, if it is known who is who.
    pub fn known(&self) -> &HashMap<i64, HashSet<i64>> {
        &self.known
    }

    /// After `settle`: which token stands for which item, and so the known positives.
    pub fn learn_items(&mut self, batch: &BatchRows) {
        self.look_at(batch, true, &mut Findings::default());
    }

    /// After [`Witness::learn_items`] of every batch: the known positives, and the examples as not yet seen.
    pub fn settle_items(&mut self) {
        self.who_is_who =
            self.interchangeable.is_empty() && self.item_tokens.iter().all(|token| self.items.knows(*token));
        self.chains.rewind();
        for example in &mut self.examples {
            example.seen = false;
            if let (true, Some(item)) = (example.positive, example.item)
                && let (Some(user), Some(item)) = (self.users.token.get(&example.identity), self.items.token.get(&item))
                && !self.interchangeable.contains(user)
            {
                self.known.entry(*user).or_default().insert(*item);
            }
        }
    }

    /// Matches a batch's rows with examples: by payload, and by the identity that the token stands for.
    pub fn see(&mut self, batch: &BatchRows, findings: &mut Findings) {
        self.look_at(batch, false, findings);
    }

    /// Learns tokens only from what can be but one identity, and one item.
    fn look_at(&mut self, batch: &BatchRows, learns: bool, findings: &mut Findings) {
        let get = |name: &str| batch.frame.column(name).map(ints).unwrap_or_default();
        let (users, items, copies) = (get(schema::USER), get(schema::ITEM), get(schema::COPY));
        let anchors =
            batch.frame.column(schema::ANCHOR).ok().and_then(|c| c.as_materialized_series().bool().ok().cloned());
        let firsts = inputs::first_values(batch, &self.firsts);
        for (slot, payload) in self.payload_of(batch).into_iter().enumerate().take(users.len()) {
            let Some(payload) = payload else { continue };
            let copy = copies.get(slot).is_some_and(|c| *c > 0);
            let own = |e: &Example| self.users.token.get(&e.identity).is_none_or(|t| *t == users[slot]);
            let open = |e: &Example| e.seen == copy;
            let same_item = |e: &Example| match (e.item.and_then(|i| self.items.token.get(&i)), items.get(slot)) {
                (Some(known), Some(token)) => known == token,
                _ => true,
            };
            let unsure = self.interchangeable.contains(&users[slot]) || !self.users.knows(users[slot]);
            // A sure example is of an identity whose token is known; one of an unknown identity is left for others.
            let sure = |e: &Example| self.users.token.contains_key(&e.identity) && own(e);
            let all = || self.chains.with_payload(payload, false);
            let at = |o: &u32| &self.examples[*o as usize];
            let find = |fits: &dyn Fn(&Example) -> bool| self.chains.with_payload(payload, !copy).find(|o| fits(at(o)));
            let knows = self.users.knows(users[slot]);
            let find_sure = |fits: &dyn Fn(&Example) -> bool| if knows { find(fits) } else { None };
            // An identity that is known to have the token is looked through first, so that alike examples of others are not.
            let known = self.users.value(users[slot]).filter(|identity| self.users.may_agree(*identity, users[slot]));
            let find_own =
                |fits: &dyn Fn(&Example) -> bool| self.chains.owned(payload, known?, !copy).find(|o| fits(at(o)));
            let found = find_own(&|e| open(e) && same_item(e))
                .or_else(|| find_own(&open))
                .or_else(|| find_sure(&|e| open(e) && sure(e) && same_item(e)))
                .or_else(|| find_sure(&|e| open(e) && sure(e)))
                .or_else(|| find(&|e| open(e) && own(e) && same_item(e)))
                .or_else(|| find(&|e| open(e) && own(e)))
                .or_else(|| find(&open).filter(|_| unsure));
            let Some(ordinal) = found else {
                let (column, problem) = if all().next().is_none() {
                    ("", "no example of the input has this payload")
                } else if find(&open).is_some() {
                    (schema::USER, "the example belongs to another identity")
                } else if copy {
                    ("", "a copy of an example that was not there before")
                } else {
                    ("", "the example is there twice")
                };
                findings.add_of_kind("examples", batch.finding(Some(slot), column, problem));
                continue;
            };
            let anchor = anchors.as_ref().and_then(|a| a.get(slot));
            let found = self.examples[ordinal as usize];
            let Example { identity, item, positive, .. } = found;
            // Examples with the same payload may differ in what it lacks: the row may be any of them.
            let alike = |fits: &dyn Fn(usize) -> bool| fits(ordinal as usize) || all().any(|o| fits(o as usize));
            let anchor_fits = alike(&|o| anchor == Some(self.examples[o].positive));
            let first = firsts.get(slot).copied().flatten();
            let first_fits = first.is_none_or(|first| alike(&|o| self.first_values.get(o) == Some(&first)));
            // Who else the row may be: anybody, among interchangeable identities; nobody, if every identity's token is known.
            let chain = match self.users.token.len() == self.identities {
                _ if unsure => self.chains.of_payload(payload),
                true => self.chains.of_owner(payload, identity).filter(|_| known == Some(identity)),
                false => None,
            };
            let who_it_may_be = || all().map(|o| at(&o)).filter(|e| own(e) || unsure);
            let (one_identity, one_item) = chain.map_or_else(
                || (who_it_may_be().all(|e| e.identity == identity), who_it_may_be().all(|e| e.item == item)),
                |chain| (chain.one_identity, chain.one_item),
            );
            let item_token = items.get(slot).copied();
            let item_fits = item_token.is_none_or(|token| {
                let fits = |e: &Example| e.item.is_none_or(|item| self.items.may_agree(item, token));
                fits(&found) || !one_item && who_it_may_be().any(fits)
            });
            self.examples[ordinal as usize].seen = true;
            self.chains.saw(&found, &self.examples);
            if !first_fits {
                let problem = "the request columns are not those of the input";
                findings.add_of_kind("request columns", batch.finding(Some(slot), "", problem));
            }
            let user_fits = self.users.may_agree(identity, users[slot]) || !one_identity;
            if learns && one_identity {
                self.users.agree(identity, users[slot]);
            }
            if !user_fits {
                let problem = "the token stands for another identity elsewhere";
                findings.add_of_kind("identities", batch.finding(Some(slot), schema::USER, problem));
            }
            if let (true, true, Some(item), Some(token)) = (learns, one_item, item, item_token) {
                self.items.agree(item, token);
            }
            if !item_fits {
                let problem = "the token stands for another item elsewhere";
                findings.add_of_kind("items", batch.finding(Some(slot), schema::ITEM, problem));
            }
            let padding = copy && self.padded.is_some_and(|first| batch.number >= first) && anchor == Some(false);
            if !anchor_fits && !padding {
                let problem = format!("it should be {positive}");
                findings.add_of_kind("anchors", batch.finding(Some(slot), schema::ANCHOR, problem));
            }
        }
    }
}
