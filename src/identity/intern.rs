//! Dense codes for tokens, handed out by many threads and settled once all chunks are in.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Mutex;

use arrow::array::ArrayRef;
use rayon::prelude::*;

use super::canonical::for_each_token;
use super::hasher::Tokenizer;
use crate::error::{Error, Place, Result};
use crate::keys::Codes;

const SHARD_BITS: u32 = 8;

/// A token is a hash already: its low half is used as it is.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 ^= u64::from_le_bytes(word);
        }
    }

    fn write_u128(&mut self, token: u128) {
        self.0 = token as u64;
    }
}

type Table = HashMap<u128, u32, BuildHasherDefault<AsIs>>;

/// One key column's values, over all chunks. Codes are provisional until [`Interner::settle`].
pub struct Interner {
    names: Vec<String>,
    tokenizer: Tokenizer,
    /// By the token's top bits, so that threads rarely meet.
    shards: Vec<Mutex<Table>>,
}

impl Interner {
    /// For the column, or the composite of the columns, of these names.
    pub fn new(names: Vec<String>, tokenizer: Tokenizer) -> Self {
        Interner { names, tokenizer, shards: (0..1 << SHARD_BITS).map(|_| Mutex::default()).collect() }
    }

    /// Provisional codes of a chunk's rows, whose ordinals in the input are `input_rows`.
    pub fn intern(&self, parts: &[ArrayRef], input_rows: &[u32]) -> Result<Vec<u32>> {
        let len = parts.first().map_or(0, |p| p.len());
        let mut codes = vec![0; len];
        let mut previous = None;
        let mut full = false;
        for_each_token(&self.tokenizer, &self.names, parts, input_rows, &mut |i, token| {
            codes[i] = match previous {
                Some((seen, code)) if seen == token => code,
                _ => {
                    let shard = (token >> (128 - SHARD_BITS)) as u32;
                    let mut table = match self.shards[shard as usize].lock() {
                        Ok(table) => table,
                        Err(poisoned) => poisoned.into_inner(),
                    };
                    let next = table.len() as u32;
                    let local = *table.entry(token).or_insert(next);
                    full |= local >> (32 - SHARD_BITS) != 0;
                    let code = local << SHARD_BITS | shard;
                    previous = Some((token, code));
                    code
                }
            };
        })?;
        if full {
            return Err(Error::input(
                Place::column(self.names.join("+")),
                "it has more than 4 billion distinct values",
                "compose the data in parts",
            ));
        }
        Ok(codes)
    }

    /// Replaces provisional codes, chunk by chunk, by ranks in token order.
    pub fn settle(self, chunks: Vec<Vec<u32>>) -> Codes {
        let tables: Vec<Table> =
            self.shards.into_iter().map(|s| s.into_inner().unwrap_or_else(|p| p.into_inner())).collect();
        let mut base = vec![0u32; tables.len() + 1];
        for (i, table) in tables.iter().enumerate() {
            base[i + 1] = base[i] + table.len() as u32;
        }
        // Shards are in the order of the tokens' top bits: sorting each one sorts all.
        let sorted: Vec<(Vec<u128>, Vec<u32>)> = tables
            .into_par_iter()
            .zip(&base)
            .map(|(table, &base)| {
                let mut entries: Vec<(u128, u32)> = table.into_iter().collect();
                entries.par_sort_unstable();
                let mut rank = vec![0; entries.len()];
                for (r, (_, local)) in entries.iter().enumerate() {
                    rank[*local as usize] = base + r as u32;
                }
                (entries.into_iter().map(|(token, _)| token).collect(), rank)
            })
            .collect();
        let mask = (1 << SHARD_BITS) - 1;
        let mut rows = Vec::with_capacity(chunks.iter().map(Vec::len).sum());
        for chunk in chunks {
            rows.extend(chunk.into_iter().map(|c| sorted[(c & mask) as usize].1[(c >> SHARD_BITS) as usize]));
        }
        Codes { rows, tokens: sorted.into_iter().flat_map(|(tokens, _)| tokens).collect() }
    }
}
