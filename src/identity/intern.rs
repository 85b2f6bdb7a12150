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

/// A provisional code that is never handed out, for rows without a value.
pub const NO_VALUE: u32 = u32::MAX;

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
        // Equal neighbours are looked up once.
        let (mut tokens, mut run_of_row) = (Vec::new(), Vec::with_capacity(input_rows.len()));
        for_each_token(&self.tokenizer, &self.names, parts, input_rows, &mut |_, token| {
            if tokens.last() != Some(&token) {
                tokens.push(token);
            }
            run_of_row.push(tokens.len() as u32 - 1);
        })?;
        let codes = self.look_up(&tokens).ok_or_else(|| {
            Error::input(
                Place::column(self.names.join("+")),
                "it has more than 4 billion distinct values",
                "compose the data in parts",
            )
        })?;
        Ok(run_of_row.into_iter().map(|run| codes[run as usize]).collect())
    }

    /// Provisional codes of tokens; `None` if there are too many distinct ones.
    fn look_up(&self, tokens: &[u128]) -> Option<Vec<u32>> {
        // One table after the other: one lock each, and a table stays in the caches. Token by token, waiting for memory
        // took most of the time.
        let shard_of = |token: &u128| (token >> (128 - SHARD_BITS)) as usize;
        let mut ends = vec![0u32; self.shards.len()];
        tokens.iter().for_each(|token| ends[shard_of(token)] += 1);
        let mut sum = 0;
        ends.iter_mut().for_each(|end| (*end, sum) = (sum, sum + *end));
        let mut by_shard = vec![0u32; tokens.len()];
        for (token, place) in tokens.iter().zip(0..) {
            let end = &mut ends[shard_of(token)];
            by_shard[*end as usize] = place;
            *end += 1;
        }
        let mut codes = vec![0; tokens.len()];
        let mut start = 0;
        for (shard, end) in ends.into_iter().enumerate() {
            let mut table = match self.shards[shard].lock() {
                Ok(table) => table,
                Err(poisoned) => poisoned.into_inner(),
            };
            for &place in &by_shard[start..end as usize] {
                let next = table.len() as u32;
                let local = *table.entry(tokens[place as usize]).or_insert(next);
                if local >= NO_VALUE >> SHARD_BITS {
                    return None;
                }
                codes[place as usize] = local << SHARD_BITS | shard as u32;
            }
            start = end as usize;
        }
        Some(codes)
    }

    /// Ranks in token order for the provisional codes.
    pub fn settle(self) -> Ranks {
        let tables: Vec<Table> =
            self.shards.into_iter().map(|s| s.into_inner().unwrap_or_else(|p| p.into_inner())).collect();
        let mut base = vec![0u32; tables.len() + 1];
        for (i, table) in tables.iter().enumerate() {
            base[i + 1] = base[i] + table.len() as u32;
        }
        let mut tokens = Vec::with_capacity(base[tables.len()] as usize);
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
        let ranks = sorted.into_iter().map(|(own, ranks)| {
            tokens.extend(own);
            ranks
        });
        Ranks { by_shard: ranks.collect(), tokens }
    }
}

/// What provisional codes come to be.
pub struct Ranks {
    /// By the code's low bits, then by the others.
    by_shard: Vec<Vec<u32>>,
    /// By rank, ascending.
    tokens: Vec<u128>,
}

impl Ranks {
    /// Number of distinct values.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// The rank of a code; for [`NO_VALUE`], the one behind all others.
    pub fn of(&self, code: u32) -> u32 {
        match code {
            NO_VALUE => self.len() as u32,
            _ => self.by_shard[(code & ((1 << SHARD_BITS) - 1)) as usize][(code >> SHARD_BITS) as usize],
        }
    }

    /// Replaces provisional codes by ranks.
    pub fn apply(&self, rows: &mut [u32]) {
        rows.par_iter_mut().for_each(|code| *code = self.of(*code));
    }

    /// A column of provisional codes, settled.
    pub fn codes(self, mut rows: Vec<u32>) -> Codes {
        self.apply(&mut rows);
        Codes { rows, tokens: self.tokens }
    }
}
