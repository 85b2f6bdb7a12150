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

/// The runs of several key columns.
pub struct Partitions(Parts);

/// One key column as codes.
#[derive(Default)]
pub struct Settled {
    /// The code of each row: its token's rank, and for rows in no run the number of tokens.
    pub rows: Vec<u32>,
    /// Ascending.
    pub tokens: Vec<u128>,
}

impl Partitions {
    /// Of so many columns; holds up to `room` bytes, and writes the others into a nameless file in `folder`.
    pub fn new(columns: usize, room: u64, folder: &Path) -> Self {
        Partitions(Parts::new(columns << BITS, room, folder))
    }

    /// Takes runs of a column in, whose rows are counted from `first_row`.
    pub fn add(&mut self, column: usize, runs: &[Run], first_row: u32) -> Result<()> {
        for run in runs {
            let mut record = [0; RECORD];
            record[..16].copy_from_slice(&run.token.to_le_bytes());
            record[16..20].copy_from_slice(&(first_row + run.row).to_le_bytes());
            record[20..].copy_from_slice(&run.rows.to_le_bytes());
            self.0.push(column << BITS | (run.token >> (128 - BITS)) as usize, &record)?;
        }
        Ok(())
    }

    /// All runs have come. What is still held goes into the file too, if there is one: what comes next takes memory of its own.
    pub fn finish(&mut self) -> Result<()> {
        self.0.file_rest()
    }

    /// Bytes that went through the file.
    pub fn filed_bytes(&self) -> u64 {
        self.0.filed_bytes()
    }

    /// The codes of `rows` rows of a column, whose runs are then gone. `names` are for errors.
    pub fn settle(&self, column: usize, rows: usize, names: &[String]) -> Result<Settled> {
        let codes: Vec<AtomicU32> = std::iter::repeat_with(|| AtomicU32::new(NO_VALUE)).take(rows).collect();
        let parts: Vec<usize> = (0..1 << BITS).collect();
        let tokens: Vec<Vec<u128>> = parts
            .into_par_iter()
            .map(|part| {
                let (tokens, runs) = self.hand_out(column, part, names)?;
                for Coded { row, rows, code } in runs {
                    codes[row as usize..(row + rows) as usize].iter().for_each(|c| c.store(code, Ordering::Relaxed));
                }
                Ok(tokens)
            })
            .collect::<Result<_>>()?;
        let ranks = Ranks::new(&tokens);
        let rows = codes.into_iter().map(|code| ranks.of(code.into_inner())).collect();
        Ok(Settled { rows, tokens: tokens.concat() })
    }

    /// The same without holding codes, but the runs of a few parts: they are appended to `codes`, `part_rows` at a time. Gives the tokens. Up to `room` bytes
    /// of runs are held, the others go into a nameless file in `folder`.
    pub fn settle_into(
        &self,
        codes: &mut Column<u32>,
        column: usize,
        (rows, part_rows): (usize, usize),
        names: &[String],
        (room, folder): (u64, &Path),
    ) -> Result<Vec<u128>> {
        let mut by_row = Parts::new(rows.div_ceil(part_rows), room, folder);
        let mut tokens = Vec::with_capacity(1 << BITS);
        let parts: Vec<usize> = (0..1 << BITS).collect();
        // As many at a time as there are cores.
        for few in parts.chunks(rayon::current_num_threads()) {
            let few: Vec<(Vec<u128>, Vec<Coded>)> =
                few.par_iter().map(|part| self.hand_out(column, *part, names)).collect::<Result<_>>()?;
            for (own, runs) in few {
                tokens.push(own);
                for Coded { row, rows, code } in runs {
                    let (mut row, end) = (row as usize, (row + rows) as usize);
                    while row < end {
                        let part = row / part_rows;
                        let rows = end.min((part + 1) * part_rows) - row;
                        by_row.push_words(part, [row as u32, rows as u32, code])?;
                        row += rows;
                    }
                }
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
        Ok(tokens.concat())
    }

    /// Gives a part's runs their codes; and its tokens, ascending.
    fn hand_out(&self, column: usize, part: usize, names: &[String]) -> Result<(Vec<u128>, Vec<Coded>)> {
        hand_out(&self.0.take(column << BITS | part)?, part as u32).ok_or_else(|| {
            let problem = "it has more than 4 billion distinct values";
            Error::input(Place::column(names.join("+")), problem, "compose the data in parts")
        })
    }
}

/// Consecutive rows with one code: the rank of their token in its part above the part's number.
struct Coded {
    row: u32,
    rows: u32,
    code: u32,
}

/// From such codes to ranks among all tokens.
struct Ranks {
    /// How many tokens come before each part's, and the number of all.
    base: Vec<u32>,
}

impl Ranks {
    /// Parts are in the order of the tokens' top bits: each one sorted, all are.
    fn new(tokens: &[Vec<u128>]) -> Self {
        let mut base = vec![0];
        tokens.iter().for_each(|own| base.push(base[base.len() - 1] + own.len() as u32));
        Ranks { base }
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

/// `None` if the tokens are too many.
fn hand_out(records: &[u8], part: u32) -> Option<(Vec<u128>, Vec<Coded>)> {
    let mut seen: HashMap<u128, u32, BuildHasherDefault<AsIs>> = HashMap::default();
    let mut runs: Vec<Coded> = records
        .chunks_exact(RECORD)
        .map(|record| {
            let next = seen.len() as u32;
            let code = *seen.entry(record[..16].try_into().map_or(0, u128::from_le_bytes)).or_insert(next);
            Coded { row: word(&record[16..20]), rows: word(&record[20..]), code }
        })
        .collect();
    let mut sorted: Vec<(u128, u32)> = seen.into_iter().collect();
    sorted.sort_unstable();
    if sorted.len() as u64 >= u64::from(NO_VALUE >> BITS) {
        return None;
    }
    let mut rank = vec![0u32; sorted.len()];
    for ((_, seen), r) in sorted.iter().zip(0..) {
        rank[*seen as usize] = r;
    }
    runs.iter_mut().for_each(|run| run.code = rank[run.code as usize] << BITS | part);
    Some((sorted.into_iter().map(|(token, _)| token).collect(), runs))
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
        ) {
            // Tokens spread over all parts, some parts with several; gaps have no value.
            let mut expected: Vec<Option<u128>> = Vec::new();
            let mut partitions = Partitions::new(2, room, &std::env::temp_dir());
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
            for column in 0..2 {
                let settled = match column {
                    0 => partitions.settle(column, expected.len(), &[]).unwrap(),
                    _ => {
                        let mut codes = Column::new(None).unwrap();
                        let (rows, room) = ((expected.len(), 7), (room, std::env::temp_dir()));
                        let room = (room.0, room.1.as_path());
                        let tokens = partitions.settle_into(&mut codes, column, rows, &[], room).unwrap();
                        Settled { rows: codes.into_held().unwrap(), tokens }
                    }
                };
                prop_assert_eq!(&settled.tokens, &tokens);
                let found: Vec<Option<u128>> = settled.rows.iter().map(|code| tokens.get(*code as usize).copied()).collect();
                prop_assert_eq!(&found, &expected);
            }
        }
    }
}
