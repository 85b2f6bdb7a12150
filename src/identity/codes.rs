//! Dense codes for tokens. Runs of rows are parted by the top bits of what tokens are sorted by; where there are many tokens, a part has few of
//! them, which are found and sorted in the caches. What the memory has no room for goes through a scratch file: tokens only,
//! never values.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::by_row::{ByRow, Coded, NO_VALUE};
use super::runs::Run;
use crate::error::{Error, Place, Result};
use crate::spill::{Column, Exchange, Number, Room};

const BITS: u32 = 8;

impl Number for Run {
    const BYTES: usize = 24;

    fn put(self, into: &mut [u8]) {
        let (token, rows) = into.split_at_mut(u128::BYTES);
        self.token.put(token);
        [self.row, self.rows].put(rows);
    }

    fn get(bytes: &[u8]) -> Self {
        let [row, rows] = bytes.get(16..).map_or([0; 2], <[u32; 2]>::get);
        Run { token: bytes.get(..16).map_or(0, u128::get), row, rows }
    }
}

/// The order of a column's tokens, in which their ranks are their codes.
#[derive(Debug, Clone, Copy)]
pub enum Order {
    /// That of the tokens.
    Tokens,
    /// The seeded order of identities: by a salted hash of the token's low 64 bits, then by the token.
    Seeded(u64),
}

impl Order {
    /// The seeded order of a pipeline.
    pub fn seeded(seed: u64) -> Self {
        Order::Seeded(xxh3_64_with_seed(b"order of identities", seed))
    }

    /// What comes before the token itself.
    fn key(self, token: u128) -> u64 {
        match self {
            Order::Tokens => (token >> 64) as u64,
            Order::Seeded(salt) => xxh3_64_with_seed(&(token as u64).to_le_bytes(), salt),
        }
    }
}

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

/// Bytes of a part's runs that are held while its codes are handed out. Larger parts, of few values that alternate or of very
/// many rows, are looked at twice instead.
const WHOLE: usize = 32 << 20;

/// The runs of several key columns.
pub struct Partitions {
    parts: Exchange<Run>,
    orders: Vec<Order>,
    whole: usize,
}

/// One key column as codes.
pub struct Settled {
    /// The code of each row: its token's rank, and for rows in no run the number of tokens.
    pub rows: Column<u32>,
    /// Number of distinct tokens.
    pub distinct: usize,
    /// These by rank, if they are wanted.
    pub tokens: Vec<u128>,
}

impl Partitions {
    /// Codes for columns with these orders; what the room has no bytes for waits in a nameless file.
    pub fn new(orders: Vec<Order>, room: &Room) -> Self {
        Partitions { parts: Exchange::with_bytes(orders.len() << BITS, room.bytes, room), orders, whole: WHOLE }
    }

    /// Takes runs of a column in, whose rows are counted from `first_row`.
    ///
    /// # Errors
    /// A scratch file that can't be written.
    pub fn add(&mut self, column: usize, runs: &[Run], first_row: u32) -> Result<()> {
        let order = self.orders[column];
        for run in runs {
            let part = column << BITS | (order.key(run.token) >> (64 - BITS)) as usize;
            self.parts.push(part, Run { row: first_row + run.row, ..*run })?;
        }
        Ok(())
    }

    /// All runs have come. What is still held goes into the file too, if there is one: what comes next takes memory of its own.
    ///
    /// # Errors
    /// A scratch file that can't be written.
    pub fn finish(&mut self) -> Result<()> {
        self.parts.file_rest()
    }

    /// Bytes that went through the file.
    pub fn filed_bytes(&self) -> u64 {
        self.parts.filed_bytes()
    }

    /// The codes of `rows` rows of a column, whose runs are then gone. `names` are for errors.
    ///
    /// # Errors
    /// More distinct values than 32 bits tell apart, labels that are no text, or a scratch file that can't be read or written.
    pub fn settle(&self, column: usize, rows: usize, names: &[String], wanted: Wanted, room: &Room) -> Result<Settled> {
        let mut by_row = ByRow::new(rows, room);
        let mut tokens = Vec::with_capacity(1 << BITS);
        let parts: Vec<usize> = (0..1 << BITS).collect();
        // As many at a time as there are cores, but for large ones, whose runs nobody holds.
        for few in parts.chunks(rayon::current_num_threads()) {
            let hand_out = |part: &usize| {
                let mut runs = Vec::new();
                if self.is_large(column, *part) && by_row.is_filed() {
                    return Ok((None, runs));
                }
                let tokens = self.hand_out(column, *part, names, |coded| {
                    by_row.keep(coded, &mut runs);
                    Ok(())
                })?;
                Ok((Some(PartTokens::new(tokens, wanted)), runs))
            };
            let handed: Vec<(Option<PartTokens>, Vec<Coded>)> = few.par_iter().map(hand_out).collect::<Result<_>>()?;
            for (part, (own, runs)) in few.iter().zip(handed) {
                let own = match own {
                    Some(own) => own,
                    None => PartTokens::new(self.hand_out(column, *part, names, |coded| by_row.push(coded))?, wanted),
                };
                runs.into_iter().try_for_each(|coded| by_row.push(coded))?;
                tokens.push(own);
            }
        }
        let ranks = Ranks::new(&tokens);
        Ok(Settled {
            rows: by_row.ranked(|code| ranks.of(code), room)?,
            distinct: ranks.number(),
            tokens: joined(tokens),
        })
    }

    fn is_large(&self, column: usize, part: usize) -> bool {
        self.parts.records(column << BITS | part) * Run::BYTES > self.whole
    }

    /// Calls `each` with a part's runs and their codes; gives its tokens in order.
    fn hand_out(
        &self,
        column: usize,
        part: usize,
        names: &[String],
        mut each: impl FnMut(Coded) -> Result<()>,
    ) -> Result<Vec<u128>> {
        let (mut seen, order) = (Seen::default(), self.orders[column]);
        let too_many = || {
            let problem = "it has more than 4 billion distinct values";
            Error::input(Place::column(names.join("+")), problem, "compose the data in parts")
        };
        let place = column << BITS | part;
        if !self.is_large(column, part) {
            let coded = |run: Run| Coded { row: run.row, rows: run.rows, code: seen.ordinal(run.token) };
            let mut runs: Vec<Coded> = self.parts.take(place)?.into_iter().map(coded).collect();
            let (tokens, rank) = seen.ranked(order).ok_or_else(too_many)?;
            runs.iter_mut().for_each(|run| run.code = rank[run.code as usize] << BITS | part as u32);
            runs.into_iter().try_for_each(each)?;
            return Ok(tokens);
        }
        self.parts.each_piece(place, |piece| {
            piece.iter().for_each(|run| {
                seen.ordinal(run.token);
            });
            Ok(())
        })?;
        let (tokens, rank) = seen.ranked(order).ok_or_else(too_many)?;
        let code =
            |token: u128| seen.of.get(&token).map_or(NO_VALUE, |seen| rank[*seen as usize] << BITS | part as u32);
        self.parts.each_piece(place, |piece| {
            piece
                .iter()
                .map(|run| Coded { row: run.row, rows: run.rows, code: code(run.token) })
                .try_for_each(&mut each)
        })?;
        Ok(tokens)
    }
}

/// Distinct tokens, by when they came.
#[derive(Default)]
struct Seen {
    of: HashMap<u128, u32, BuildHasherDefault<AsIs>>,
}

impl Seen {
    /// How many others came before this token.
    fn ordinal(&mut self, token: u128) -> u32 {
        let next = self.of.len() as u32;
        *self.of.entry(token).or_insert(next)
    }

    /// The tokens in order, and the rank of each ordinal; `None` if they are too many.
    fn ranked(&self, order: Order) -> Option<(Vec<u128>, Vec<u32>)> {
        let keyed = self.of.iter().map(|(token, ordinal)| (order.key(*token), *token, *ordinal));
        let mut sorted: Vec<(u64, u128, u32)> = keyed.collect();
        sorted.sort_unstable();
        if sorted.len() as u64 >= u64::from(NO_VALUE >> BITS) {
            return None;
        }
        let mut rank = vec![0u32; sorted.len()];
        sorted.iter().zip(0..).for_each(|((.., ordinal), r)| rank[*ordinal as usize] = r);
        Some((sorted.into_iter().map(|(_, token, _)| token).collect(), rank))
    }
}

/// Whether anybody needs a column's tokens, which take 16 bytes each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Tokens,
    Codes,
}

/// The distinct tokens of a part in order, as far as they are wanted.
struct PartTokens {
    number: u32,
    tokens: Vec<u128>,
}

impl PartTokens {
    fn new(mut tokens: Vec<u128>, wanted: Wanted) -> Self {
        let number = tokens.len() as u32;
        if wanted == Wanted::Codes {
            tokens = Vec::new();
        }
        PartTokens { number, tokens }
    }
}

/// All tokens, in order.
fn joined(parts: Vec<PartTokens>) -> Vec<u128> {
    let mut all = Vec::with_capacity(parts.iter().map(|part| part.tokens.len()).sum());
    // Each part is given back as it is taken in: the new pages come as the old ones go.
    parts.into_iter().for_each(|part| all.extend_from_slice(&part.tokens));
    all
}

/// From such codes to ranks among all tokens.
struct Ranks {
    /// How many tokens come before each part's, and the number of all.
    base: Vec<u32>,
}

impl Ranks {
    /// Parts are in the order of what tokens are sorted by: each one sorted, all are.
    fn new(tokens: &[PartTokens]) -> Self {
        let mut base = vec![0];
        tokens.iter().for_each(|own| base.push(base[base.len() - 1] + own.number));
        Ranks { base }
    }

    /// Number of distinct tokens.
    fn number(&self) -> usize {
        self.base[self.base.len() - 1] as usize
    }

    /// The rank; for a row in no run the number of tokens.
    fn of(&self, code: u32) -> u32 {
        match code {
            NO_VALUE => self.base[self.base.len() - 1],
            code => self.base[(code & ((1 << BITS) - 1)) as usize] + (code >> BITS),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn codes_are_ranks_whatever_the_room(
            chunks in prop::collection::vec(prop::collection::vec((0u128..40, 0u32..3, 0u32..5), 0..30), 1..6),
            bytes in 0u64..4_000,
            whole in prop::sample::select(vec![0, Run::BYTES, 1 << 20]),
            wanted in prop::sample::select(vec![Wanted::Tokens, Wanted::Codes]),
            order in prop::sample::select(vec![Order::Tokens, Order::seeded(1), Order::seeded(9)]),
            filed in any::<bool>(),
        ) {
            // Tokens spread over all parts, some parts with several, some with the same low bits; gaps have no value.
            let mut expected: Vec<Option<u128>> = Vec::new();
            let room = if filed { Room::filed(bytes, std::env::temp_dir(), 7) } else { Room::unlimited() };
            let parts = Exchange::with_bytes(2 << BITS, bytes, &room);
            let mut partitions = Partitions { parts, orders: vec![order; 2], whole };
            for chunk in chunks {
                let first = expected.len() as u32;
                let mut runs = Vec::new();
                for (value, gap, rows) in chunk {
                    let token = (value / 2).wrapping_mul(0x0f1e_2d3c_4b5a_6978_8796_a5b4_c3d2_e1f0) ^ (value % 2) << 100;
                    expected.extend(std::iter::repeat_n(None, gap as usize));
                    runs.push(Run { token, row: expected.len() as u32 - first, rows });
                    expected.extend(std::iter::repeat_n(Some(token), rows as usize));
                }
                runs.retain(|run| run.rows > 0);
                (0..2).for_each(|column| partitions.add(column, &runs, first).unwrap());
            }
            let sorted: BTreeMap<(u64, u128), u128> =
                expected.iter().flatten().map(|token| ((order.key(*token), *token), *token)).collect();
            let tokens: Vec<u128> = sorted.into_values().collect();
            let no_tokens = Vec::new();
            for column in 0..2 {
                let settled = partitions.settle(column, expected.len(), &[], wanted, &room).unwrap();
                prop_assert_eq!(settled.distinct, tokens.len());
                prop_assert_eq!(&settled.tokens, if wanted == Wanted::Tokens { &tokens } else { &no_tokens });
                let codes = settled.rows.into_held().unwrap();
                let found: Vec<Option<u128>> = codes.iter().map(|code| tokens.get(*code as usize).copied()).collect();
                prop_assert_eq!(&found, &expected);
            }
        }
    }
}
