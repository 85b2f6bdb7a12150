//! The composed examples, in parts that are small datasets of their own.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use crate::compose::Plan;
use crate::dataset::Cuts;
use crate::error::Result;
use crate::keys::{FiledKeys, KeyPlane, Keys, PartedKeys};
use crate::store::Parts;

/// What is known of all batches. Where keys are on file, theirs are in parts of whole row groups.
pub struct Composed {
    rows: usize,
    /// Its order is in the parts, if there are any.
    plan: Plan,
    parted: Option<Parted>,
}

struct Parted {
    keys: PartedKeys,
    /// The batches of each part.
    batches: Vec<Range<usize>>,
}

/// Consecutive batches.
pub struct Part<'a> {
    /// The dataset's.
    pub batches: Range<usize>,
    /// Their examples, by input row.
    pub plane: Cow<'a, KeyPlane>,
    /// Of these batches alone: batches and positions count from 0.
    pub plan: Cow<'a, Plan>,
}

/// Most parts of keys.
const MOST_PARTS: usize = 256;

/// Rows that are brought from input order into reading order at a time.
const ROWS_AT_A_TIME: usize = 1 << 20;

impl Composed {
    /// Holds up to `room` bytes of keys that are on file, and files the others in `folder`.
    pub fn new(keys: &Keys, mut plan: Plan, cuts: &Cuts, room: u64, folder: &Path) -> Result<Self> {
        let rows = plan.order.len();
        let parted = match keys {
            Keys::Held(_) => None,
            Keys::Filed(filed) => {
                let batches = cuts.parts(MOST_PARTS);
                let order = std::mem::take(&mut plan.order);
                Some(Parted { keys: arrange(filed, order, plan.batch_size, &batches, room, folder)?, batches })
            }
        };
        Ok(Composed { rows, plan, parted })
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn batches(&self) -> usize {
        self.rows.div_ceil(self.plan.batch_size)
    }

    /// What of the plan is not its order.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The batches of each part of keys; one part, if they are in memory.
    pub fn parts(&self) -> Vec<Range<usize>> {
        let all = || std::iter::once(0..self.batches()).collect();
        self.parted.as_ref().map_or_else(all, |parted| parted.batches.clone())
    }

    /// Cuts the batches into about `number` ranges, each of whole row groups and whole parts of keys.
    pub fn cut(&self, cuts: &Cuts, number: usize) -> Vec<Range<usize>> {
        let Some(parted) = &self.parted else { return cuts.parts(number) };
        let size = parted.batches.len().div_ceil(number.max(1)).max(1);
        parted.batches.chunks(size).map(|some| some[0].start..some[some.len() - 1].end).collect()
    }

    /// These batches, of the same keys: if these are on file, of whole parts.
    pub fn part<'a>(&'a self, keys: &'a Keys, batches: Range<usize>) -> Result<Part<'a>> {
        let b = self.plan.batch_size;
        let positions = batches.start * b..(batches.end * b).min(self.rows);
        let (plane, order) = match (keys, &self.parted) {
            (Keys::Held(plane), _) if positions.len() == self.rows => {
                return Ok(Part { batches, plane: Cow::Borrowed(plane), plan: Cow::Borrowed(&self.plan) });
            }
            (Keys::Held(plane), _) => {
                let (examples, order) = by_example(&self.plan.order[positions.clone()]);
                (plane.gather(&examples), order)
            }
            (Keys::Filed(_), Some(parted)) => parted.read(&batches, &positions)?,
            (Keys::Filed(_), None) => (keys.shape().clone(), Vec::new()),
        };
        Ok(Part { plane: Cow::Owned(plane), plan: Cow::Owned(self.plan.part(positions, order)), batches })
    }

    /// Bytes in files.
    pub fn filed_bytes(&self) -> u64 {
        self.parted.as_ref().map_or(0, |parted| parted.keys.filed_bytes())
    }
}

impl Parted {
    /// The examples of some parts by input row, and the example at each position.
    fn read(&self, batches: &Range<usize>, positions: &Range<usize>) -> Result<(KeyPlane, Vec<u32>)> {
        let parts =
            self.batches.iter().enumerate().filter(|(_, part)| part.start < batches.end && part.end > batches.start);
        let read: Vec<(Vec<u32>, KeyPlane)> = parts.map(|(part, _)| self.keys.read(part)).collect::<Result<_>>()?;
        let (places, plane) = KeyPlane::joined(read);
        let (firsts, of_row) = by_example(&plane.input_row);
        let mut order = vec![0; positions.len()];
        places.iter().zip(of_row).for_each(|(place, example)| order[*place as usize - positions.start] = example);
        Ok((plane.gather(&firsts), order))
    }
}

/// The distinct of some numbers, ascending by value: a place of each, and which of them each number is.
fn by_example(numbers: &[u32]) -> (Vec<u32>, Vec<u32>) {
    let mut keyed: Vec<u64> = numbers.iter().zip(0u64..).map(|(number, at)| u64::from(*number) << 32 | at).collect();
    keyed.sort_unstable();
    let (mut firsts, mut which) = (Vec::with_capacity(numbers.len()), vec![0; numbers.len()]);
    for run in keyed.chunk_by(|a, b| a >> 32 == b >> 32) {
        run.iter().for_each(|keyed| which[*keyed as u32 as usize] = firsts.len() as u32);
        firsts.push(run[0] as u32);
    }
    (firsts, which)
}

/// Brings keys into the parts that hold the positions of their rows; a row that stands at several positions comes as often. Rows
/// are numbered by position.
fn arrange(
    keys: &FiledKeys,
    order: Vec<u32>,
    batch_size: usize,
    batches: &[Range<usize>],
    room: u64,
    folder: &Path,
) -> Result<PartedKeys> {
    // Positions by row: what is read in input order then goes to its part.
    let mut positions = Parts::new(keys.len().div_ceil(ROWS_AT_A_TIME), 8, room / 2, folder);
    for (row, position) in order.into_iter().zip(0u32..) {
        positions.push(row as usize / ROWS_AT_A_TIME, |bytes| {
            bytes.extend(row.to_le_bytes());
            bytes.extend(position.to_le_bytes());
        })?;
    }
    let mut parted: Option<PartedKeys> = None;
    for (k, start) in (0..keys.len()).step_by(ROWS_AT_A_TIME).enumerate() {
        let plane = keys.read_all(start..keys.len().min(start + ROWS_AT_A_TIME))?;
        let parted = parted.get_or_insert_with(|| PartedKeys::new(&plane, batches.len(), room / 2, folder));
        for record in positions.take(k)?.chunks_exact(8) {
            let word = |at: usize| record[at..at + 4].try_into().map_or(0, u32::from_le_bytes);
            let (row, position) = (word(0), word(4));
            let batch = position as usize / batch_size;
            let part = batches.partition_point(|part| part.end <= batch);
            parted.push(part, position, &plane, row as usize - start)?;
        }
    }
    let mut parted = parted.unwrap_or_else(|| PartedKeys::new(&KeyPlane::default(), 0, 0, folder));
    parted.file_rest()?;
    Ok(parted)
}
