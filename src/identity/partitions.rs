//! Dense codes for tokens. Runs of rows are parted by their token's top bits; where there are many tokens, a part has few of
//! them, which are found and sorted in the caches. What the memory has no room for goes through a scratch file: tokens only,
//! never values.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use rayon::prelude::*;

use super::runs::Run;
use crate::error::{Error, Place, Result};
use crate::store::{Column, Parts, words};

const BITS: u32 = 8;

/// The code of a row that is in no run.
const NO_VALUE: u32 = u32::MAX;

/// A run as bytes: token, row, rows; little-endian.
const RECORD: usize = 24;

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
    parts: Parts,
    whole: usize,
}

/// One key column as codes.
#[derive(Default)]
pub struct Settled {
    /// The code of each row: its token's rank, and for rows in no run the number of tokens.
    pub rows: Vec<u32>,
    /// Number of distinct tokens.
    pub distinct: usize,
    /// These, ascending, if they are wanted.
    pub tokens: Vec<u128>,
}

impl Partitions {
    /// Of `columns` columns; holds up to `room` bytes, and writes the others into a nameless file in `folder`.
    pub fn new(columns: usize, room: u64, folder: &Path) -> Self {
        Partitions { parts: Parts::new(columns << BITS, room, folder), whole: WHOLE }
    }

    /// Takes runs of a column in, whose rows are counted from `first_row`.
    pub fn add(&mut self, column: usize, runs: &[Run], first_row: u32) -> Result<()> {
        for run in runs {
            let mut record = [0; RECORD];
            record[..16].copy_from_slice(&run.token.to_le_bytes());
            record[16..20].copy_from_slice(&(first_row + run.row).to_le_bytes());
            record[20..].copy_from_slice(&run.rows.to_le_bytes());
            self.parts.push(column << BITS | (run.token >> (128 - BITS)) as usize, &record)?;
        }
        Ok(())
    }

    /// All runs have come. What is still held goes into the file too, if there is one: what comes next takes memory of its own.
    pub fn finish(&mut self) -> Result<()> {
        self.parts.file_rest()
    }

    /// Bytes that went through the file.
    pub fn filed_bytes(&self) -> u64 {
        self.parts.filed_bytes()
    }

    /// The codes of `rows` rows of a column, whose runs are then gone. `names` are for errors.
    pub fn settle(&self, column: usize, rows: usize, names: &[String], wanted: Wanted) -> Result<Settled> {
        let codes: Vec<AtomicU32> = std::iter::repeat_with(|| AtomicU32::new(NO_VALUE)).take(rows).collect();
        let parts: Vec<usize> = (0..1 << BITS).collect();
        let tokens: Vec<PartTokens> = parts
            .into_par_iter()
            .map(|part| {
                let tokens = self.hand_out(column, part, names, |Coded { row, rows, code }| {
                    codes[row as usize..(row + rows) as usize].iter().for_each(|c| c.store(code, Ordering::Relaxed));
                    Ok(())
                })?;
                Ok(PartTokens::new(tokens, wanted))
            })
            .collect::<Result<_>>()?;
        let ranks = Ranks::new(&tokens);
        let rows = codes.into_iter().map(|code| ranks.of(code.into_inner())).collect();
        Ok(Settled { rows, distinct: ranks.number(), tokens: joined(tokens) })
    }

    /// Settles a column as [`Partitions::settle`] does, but holds no codes: they are appended to `codes`, `part_rows` at a time.
    /// Up to `room` bytes of runs are held, the others go into a nameless file in `folder`.
    pub fn settle_into(
        &self,
        codes: &mut Column<u32>,
        column: usize,
        (rows, part_rows): (usize, usize),
        names: &[String],
        wanted: Wanted,
        (room, folder): (u64, &Path),
    ) -> Result<Settled> {
        let mut by_row = Parts::new(rows.div_ceil(part_rows), room, folder);
        let mut tokens = Vec::with_capacity(1 << BITS);
        let parts: Vec<usize> = (0..1 << BITS).collect();
        let mut push = |Coded { row, rows, code }| {
            let (mut row, end) = (row as usize, (row + rows) as usize);
            while row < end {
                let part = row / part_rows;
                let rows = end.min((part + 1) * part_rows) - row;
                by_row.push_words(part, [row as u32, rows as u32, code])?;
                row += rows;
            }
            Ok(())
        };
        // As many at a time as there are cores, but for large ones, whose runs nobody holds.
        for few in parts.chunks(rayon::current_num_threads()) {
            let hand_out = |part: &usize| {
                let mut runs = Vec::new();
                if self.is_large(column, *part) {
                    return Ok((None, runs));
                }
                let keep = |run| {
                    runs.push(run);
                    Ok(())
                };
                let tokens = self.hand_out(column, *part, names, keep)?;
                Ok((Some(tokens), runs))
            };
            let handed: Vec<(Option<Vec<u128>>, Vec<Coded>)> = few.par_iter().map(hand_out).collect::<Result<_>>()?;
            for (part, (own, runs)) in few.iter().zip(handed) {
                let own = match own {
                    Some(own) => own,
                    None => self.hand_out(column, *part, names, &mut push)?,
                };
                runs.into_iter().try_for_each(&mut push)?;
                tokens.push(PartTokens::new(own, wanted));
            }
        }
        let ranks = Ranks::new(&tokens);
        for part in 0..by_row.len() {
            let start = part * part_rows;
            let mut own = vec![ranks.of(NO_VALUE); part_rows.min(rows - start)];
            for [row, rows, code] in words(&by_row.take(part)?) {
                own[row as usize - start..][..rows as usize].fill(ranks.of(code));
            }
            codes.extend(&own)?;
        }
        Ok(Settled { rows: Vec::new(), distinct: ranks.number(), tokens: joined(tokens) })
    }

    fn is_large(&self, column: usize, part: usize) -> bool {
        self.parts.bytes(column << BITS | part) > self.whole
    }

    /// Calls `each` with a part's runs and their codes; gives its tokens, ascending.
    fn hand_out(
        &self,
        column: usize,
        part: usize,
        names: &[String],
        mut each: impl FnMut(Coded) -> Result<()>,
    ) -> Result<Vec<u128>> {
        let mut seen = Seen::default();
        let too_many = || {
            let problem = "it has more than 4 billion distinct values";
            Error::input(Place::column(names.join("+")), problem, "compose the data in parts")
        };
        let place = column << BITS | part;
        if !self.is_large(column, part) {
            let mut runs: Vec<Coded> = coded(&self.parts.take(place)?, |token| seen.ordinal(token)).collect();
            let (tokens, rank) = seen.ranked().ok_or_else(too_many)?;
            runs.iter_mut().for_each(|run| run.code = rank[run.code as usize] << BITS | part as u32);
            runs.into_iter().try_for_each(each)?;
            return Ok(tokens);
        }
        self.parts.each_piece(place, RECORD, |piece| {
            coded(piece, |token| seen.ordinal(token)).for_each(drop);
            Ok(())
        })?;
        let (tokens, rank) = seen.ranked().ok_or_else(too_many)?;
        let code =
            |token: u128| seen.of.get(&token).map_or(NO_VALUE, |seen| rank[*seen as usize] << BITS | part as u32);
        self.parts.each_piece(place, RECORD, |piece| coded(piece, code).try_for_each(&mut each))?;
        Ok(tokens)
    }
}

/// Consecutive rows with one code: the rank of their token in its part above the part's number.
struct Coded {
    row: u32,
    rows: u32,
    code: u32,
}

/// The runs that records hold, with the codes of their tokens.
fn coded(records: &[u8], mut code: impl FnMut(u128) -> u32) -> impl Iterator<Item = Coded> {
    records.chunks_exact(RECORD).map(move |record| Coded {
        code: code(record[..16].try_into().map_or(0, u128::from_le_bytes)),
        row: word(&record[16..20]),
        rows: word(&record[20..]),
    })
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

    /// The tokens, ascending, and the rank of each ordinal; `None` if they are too many.
    fn ranked(&self) -> Option<(Vec<u128>, Vec<u32>)> {
        let mut sorted: Vec<(u128, u32)> = self.of.iter().map(|(token, ordinal)| (*token, *ordinal)).collect();
        sorted.sort_unstable();
        if sorted.len() as u64 >= u64::from(NO_VALUE >> BITS) {
            return None;
        }
        let mut rank = vec![0u32; sorted.len()];
        sorted.iter().zip(0..).for_each(|((_, ordinal), r)| rank[*ordinal as usize] = r);
        Some((sorted.into_iter().map(|(token, _)| token).collect(), rank))
    }
}

/// Whether anybody needs a column's tokens, which take 16 bytes each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Tokens,
    Codes,
}

/// The distinct tokens of a part, ascending, as far as they are wanted.
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

/// All tokens, ascending.
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
    /// Parts are in the order of the tokens' top bits: each one sorted, all are.
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

fn word(bytes: &[u8]) -> u32 {
    bytes.try_into().map_or(0, u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn codes_are_ranks_whatever_the_room(
            chunks in prop::collection::vec(prop::collection::vec((0u128..40, 0u32..3, 0u32..5), 0..30), 1..6),
            room in 0u64..4_000,
            whole in prop::sample::select(vec![0, RECORD, 1 << 20]),
            wanted in prop::sample::select(vec![Wanted::Tokens, Wanted::Codes]),
        ) {
            // Tokens spread over all parts, some parts with several; gaps have no value.
            let mut expected: Vec<Option<u128>> = Vec::new();
            let parts = Parts::new(2 << BITS, room, &std::env::temp_dir());
            let mut partitions = Partitions { parts, whole };
            for chunk in chunks {
                let first = expected.len() as u32;
                let mut runs = Vec::new();
                for (value, gap, rows) in chunk {
                    let token = value.wrapping_mul(0x0f1e_2d3c_4b5a_6978_8796_a5b4_c3d2_e1f0);
                    expected.extend(std::iter::repeat_n(None, gap as usize));
                    runs.push(Run { token, row: expected.len() as u32 - first, rows });
                    expected.extend(std::iter::repeat_n(Some(token), rows as usize));
                }
                runs.retain(|run| run.rows > 0);
                (0..2).for_each(|column| partitions.add(column, &runs, first).unwrap());
            }
            let tokens: Vec<u128> = expected.iter().flatten().copied().collect::<BTreeSet<u128>>().into_iter().collect();
            let no_tokens = Vec::new();
            for column in 0..2 {
                let settled = match column {
                    0 => partitions.settle(column, expected.len(), &[], wanted).unwrap(),
                    _ => {
                        let mut codes = Column::new(None).unwrap();
                        let (rows, room) = ((expected.len(), 7), (room, std::env::temp_dir()));
                        let room = (room.0, room.1.as_path());
                        let settled = partitions.settle_into(&mut codes, column, rows, &[], wanted, room).unwrap();
                        Settled { rows: codes.into_held().unwrap(), ..settled }
                    }
                };
                prop_assert_eq!(settled.distinct, tokens.len());
                prop_assert_eq!(&settled.tokens, if wanted == Wanted::Tokens { &tokens } else { &no_tokens });
                let found: Vec<Option<u128>> = settled.rows.iter().map(|code| tokens.get(*code as usize).copied()).collect();
                prop_assert_eq!(&found, &expected);
            }
        }
    }
}
