//! `items.parquet` and `positives.parquet`, against the input.

use std::collections::HashMap;

use super::against::Witness;
use super::chains::Example;
use super::digest::role_digests;
use super::finding::{Finding, Findings};
use super::second;
use super::tables::read_table;
use crate::reader::{Dataset, ints};
use crate::schema;
use crate::source::plain_text;

impl Witness {
    /// The value and the rows before dedup of each item that the shards have; the known positives of each identity.
    pub(super) fn check_tables(&self, dataset: &Dataset, findings: &mut Findings) {
        let Some(column) = dataset.role("item") else { return };
        if let Some(mut items) = read_table(dataset, schema::ITEMS, findings) {
            plain_text(&mut items);
            // As those of the input were read.
            let path = dataset.root.join(schema::ITEMS);
            let by_arrow = self.items_by_arrow.then(|| second::role(&path, None, column)).flatten();
            let values = by_arrow.as_ref().or_else(|| items.column(column).ok());
            let values = values.map(|c| role_digests(c.as_materialized_series())).unwrap_or_default();
            let get = |name: &str| items.column(name).map(ints).unwrap_or_default();
            let before = self.rows_before_dedup();
            let rows = get(schema::ITEM).into_iter().zip(get("rows_before_dedup")).zip(values);
            for ((token, found), value) in rows {
                if let Some(expected) = before.get(&token).filter(|expected| **expected != found) {
                    let problem = format!("item {token}: it is {found}, and the input gives {expected}");
                    findings.add_of_kind("items", Finding::of(schema::ITEMS, problem).column("rows_before_dedup"));
                }
                // Nulls are items of their own, and look alike.
                let fits = value.is_none_or(|value| self.items.may_agree(value, token));
                if !fits && before.contains_key(&token) {
                    let problem = format!("item {token}: the value is that of another item");
                    findings.add_of_kind("items", Finding::of(schema::ITEMS, problem).column(column));
                }
            }
        }
        if dataset.table(schema::POSITIVES).is_some() {
            self.check_positives(dataset, findings);
        }
    }

    fn check_positives(&self, dataset: &Dataset, findings: &mut Findings) {
        let Some(table) = read_table(dataset, schema::POSITIVES, findings) else { return };
        let users = table.column(schema::USER).map(ints).unwrap_or_default();
        let lists = table.column("items").ok().map(|c| c.as_materialized_series().clone());
        let lists = lists.as_ref().and_then(|s| s.list().ok());
        let mut recorded: HashMap<i64, Vec<i64>> = HashMap::new();
        for (row, user) in users.into_iter().enumerate() {
            let items = lists.and_then(|l| l.get_as_series(row)).map(|s| ints(&s.into())).unwrap_or_default();
            recorded.insert(user, items);
        }
        let all = self.knows_all_tokens();
        for (user, known) in self.known() {
            let own = recorded.get(user).map_or(&[][..], Vec::as_slice);
            // The table may have items that only rows without a token here had.
            if known.iter().any(|item| own.binary_search(item).is_err()) {
                let problem = format!("user {user}: a known positive of the input is missing");
                findings.add_of_kind("positives", Finding::of(schema::POSITIVES, problem).column("items"));
            } else if all && own.len() != known.len() {
                let problem = format!("user {user}: {} items, and the input gives {}", own.len(), known.len());
                findings.add_of_kind("positives", Finding::of(schema::POSITIVES, problem).column("items"));
            }
        }
    }

    /// By token of an item that the shards have: its rows in the input, before dedup.
    fn rows_before_dedup(&self) -> HashMap<i64, i64> {
        let mut rows = HashMap::new();
        let tokens = self.examples.iter().filter_map(|e| self.items.token.get(&e.item?));
        tokens.for_each(|token| *rows.entry(*token).or_default() += 1);
        rows
    }

    /// Whether every identity and item of the input is in the shards.
    fn knows_all_tokens(&self) -> bool {
        let known = |e: &Example| e.item.is_none_or(|item| self.items.token.contains_key(&item));
        let identity = |e: &Example| self.users.token.contains_key(&e.identity);
        self.who_is_who && self.examples.iter().all(|e| known(e) && identity(e))
    }
}
