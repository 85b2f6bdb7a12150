//! The pipeline as the manifest records it: every default written out, nothing that names a machine or a secret.

use serde_json::{Map, Value, json};

use super::file::Hash;
use super::resolve::{Field, Pipeline, RuleText};
use super::window::Window;
use crate::error::Result;
use crate::store;

/// BLAKE3 key-derivation context.
const TEXT_CONTEXT: &str = "batchwright 2026-11 text key v1";

impl Pipeline {
    /// The resolved pipeline without `input.shards`, `output.path` and `identity.key_file`; with blake3, predicates only as
    /// digests under the key, since they may name identities, which nobody else is to try. Fails if the key can't be read.
    ///
    /// # Errors
    /// A key file that can't be read.
    pub fn record(&self) -> Result<Value> {
        let has_text = self.predicate.is_some() || self.positive.is_some();
        let key_file = self.key_file.as_ref().filter(|_| has_text && self.hash == Hash::Blake3);
        let secret = key_file.map(|file| store::read_secret(file)).transpose()?;
        let key = secret.map(|secret| blake3::derive_key(TEXT_CONTEXT, &secret));
        let predicate = |text: &Option<String>| match (text, &key) {
            (Some(text), Some(key)) => {
                json!({ "blake3": blake3::keyed_hash(key, text.as_bytes()).to_hex().to_string() })
            }
            (text, _) => json!(text),
        };
        let columns = |names: &[String]| match names {
            [] => Value::Null,
            [one] => json!(one),
            many => json!(many),
        };
        let group = self.group.as_ref().map(|g| {
            // In the order of the pipeline file, which is the order of the rows in a group.
            let classes: Map<String, Value> = g.classes.iter().map(|(label, n)| (label.clone(), json!(n))).collect();
            json!({ "classes": classes, "max_groups": g.max_groups, "scarce": g.scarce })
        });
        Ok(json!({
            "input": {
                "schema": self.schema, "where": predicate(&self.predicate), "drop": self.drop, "hive": self.hive,
            },
            "columns": {
                "identity": columns(&self.identity), "request": columns(&self.request), "item": self.item,
                "label": self.label, "time": self.time, "time_unit": self.time_unit,
            },
            "dedup": {
                "key": self.dedup_key.iter().map(Field::text).collect::<Vec<_>>(), "keep": self.keep,
            },
            "identity": {
                "hash": self.hash, "share": self.share, "nulls": self.nulls, "keep_raw": self.keep_raw,
            },
            "requests": { "layout": self.layout, "columns": self.request_columns },
            "compose": {
                "mode": self.mode, "batch_size": self.batch_size, "seed": self.seed, "window": self.window.map(Window::record),
                "time_zone": self.time_zone_text,
                "window_ends": self.window_ends,
                "remainder": self.remainder, "group": group,
            },
            "mask": {
                "rules": self.rules.iter().map(RuleText::text).collect::<Vec<_>>(),
                "positive": predicate(&self.positive),
                "positives": self.positive_rules.iter().map(RuleText::text).collect::<Vec<_>>(), "encoding": self.encoding,
            },
            "output": {
                "ranks": self.ranks, "compression": self.compression_text, "types": self.types, "shard_rows": self.shard_rows,
                "row_group_rows": self.row_group_rows, "positives": self.positives,
            },
        }))
    }
}
