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
use crate::store::Parts;

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
        Partitions(Parts::new(columns << BITS, RECORD, room, folder))
    }

    /// Takes runs of a column in, whose rows are counted from `first_row`.
    pub fn add(&mut self, column: usize, runs: &[Run], first_row: u32) -> Result<()> {
        for run in runs {
            self.0.push(column << BITS | (run.token >> (128 - BITS)) as usize, |bytes| {
                bytes.extend(run.token.to_le_bytes());
                bytes.extend((first_row + run.row).to_le_bytes());
                bytes.extend(run.rows.to_le_bytes());
            })?;
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

    /// The codes of `rows` rows of a column, which is then empty. `names` are for errors.
    pub fn settle(&self, column: usize, rows: usize, names: &[String]) -> Result<Settled> {
        let codes: Vec<AtomicU32> = std::iter::repeat_with(|| AtomicU32::new(NO_VALUE)).take(rows).collect();
        let tokens: Vec<Vec<u128>> = (0..1usize << BITS)
            .into_par_iter()
            .map(|part| {
                let tokens = hand_out(&self.0.take(column << BITS | part)?, part as u32, &codes);
                tokens.ok_or_else(|| {
                    let problem = "it has more than 4 billion distinct values";
                    Error::input(Place::column(names.join("+")), problem, "compose the data in parts")
                })
            })
            .collect::<Result<_>>()?;
        // Parts are in the order of the tokens' top bits: each one sorted, all are.
        let mut base = vec![0u32; tokens.len() + 1];
        for (part, own) in tokens.iter().enumerate() {
            base[part + 1] = base[part] + own.len() as u32;
        }
        let distinct = base[tokens.len()];
        let rank = |code: AtomicU32| match code.into_inner() {
            NO_VALUE => distinct,
            code => base[(code & ((1 << BITS) - 1)) as usize] + (code >> BITS),
        };
        let rows = codes.into_iter().map(rank).collect();
        let mut all = Vec::with_capacity(distinct as usize);
        tokens.into_iter().for_each(|own| all.extend(own));
        Ok(Settled { rows, tokens: all })
    }
}

/// Gives a part's rows their codes, the rank in the part above the part's number; the part's tokens, ascending.
/// `None` if they are too many for that.
fn hand_out(records: &[u8], part: u32, codes: &[AtomicU32]) -> Option<Vec<u128>> {
    let word = |bytes: &[u8]| bytes.try_into().map_or(0, u32::from_le_bytes);
    let mut seen: HashMap<u128, u32, BuildHasherDefault<AsIs>> = HashMap::default();
    let of_run: Vec<u32> = records
        .chunks_exact(RECORD)
        .map(|record| {
            let next = seen.len() as u32;
            *seen.entry(record[..16].try_into().map_or(0, u128::from_le_bytes)).or_insert(next)
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
    for (record, seen) in records.chunks_exact(RECORD).zip(of_run) {
        let (row, rows) = (word(&record[16..20]) as usize, word(&record[20..]) as usize);
        let code = rank[seen as usize] << BITS | part;
        codes[row..row + rows].iter().for_each(|c| c.store(code, Ordering::Relaxed));
    }
    Some(sorted.into_iter().map(|(token, _)| token).collect())
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
                let settled = partitions.settle(column, expected.len(), &[]).unwrap();
                prop_assert_eq!(&settled.tokens, &tokens);
                let found: Vec<Option<u128>> = settled.rows.iter().map(|code| tokens.get(*code as usize).copied()).collect();
                prop_assert_eq!(&found, &expected);
            }
        }
    }
}
