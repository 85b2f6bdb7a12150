//! The composed examples, in parts that are small datasets of their own.

use std::borrow::Cow;
use std::ops::Range;

use super::memory::KeyRoom;
use crate::compose::Plan;
use crate::dataset::Cuts;
use crate::error::Result;
use crate::keys::{FiledKeys, KeyPlane, Keys, PartedKeys};
use crate::store::{Parts, words};

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

impl Composed {
    /// Of keys in memory.
    pub fn held(plan: Plan) -> Self {
        Composed { rows: plan.order.len(), plan, parted: None }
    }

    /// Of keys on file, whose plan has no order but positions.
    pub fn filed(keys: &FiledKeys, plan: Plan, positions: Positions, cuts: &Cuts, room: &KeyRoom) -> Result<Self> {
        let (rows, batches) = (positions.number, cuts.parts(MOST_PARTS));
        let keys = arrange(keys, positions, plan.batch_size, &batches, room)?;
        Ok(Composed { rows, plan, parted: Some(Parted { keys, batches }) })
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
                let rows = &self.plan.order[positions.clone()];
                let (firsts, order) = distinct(rows);
                let examples: Vec<u32> = firsts.into_iter().map(|at| rows[at as usize]).collect();
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
        let (firsts, of_row) = distinct(&plane.input_row);
        let mut order = vec![0; positions.len()];
        places.iter().zip(of_row).for_each(|(place, example)| order[*place as usize - positions.start] = example);
        Ok((plane.gather(&firsts), order))
    }
}

/// The distinct of some numbers, ascending by value: a place of each, and which of them each number is.
fn distinct(numbers: &[u32]) -> (Vec<u32>, Vec<u32>) {
    let mut keyed: Vec<u64> = numbers.iter().zip(0u64..).map(|(number, at)| u64::from(*number) << 32 | at).collect();
    keyed.sort_unstable();
    let (mut firsts, mut which) = (Vec::with_capacity(numbers.len()), vec![0; numbers.len()]);
    for run in keyed.chunk_by(|a, b| a >> 32 == b >> 32) {
        run.iter().for_each(|keyed| which[*keyed as u32 as usize] = firsts.len() as u32);
        firsts.push(run[0] as u32);
    }
    (firsts, which)
}

/// Where each row stands, which may be at several positions or at none.
pub struct Positions {
    /// By row: what is read in input order then goes to its part.
    parts: Parts,
    /// Rows of a part.
    part_rows: usize,
    number: usize,
}

impl Positions {
    /// Of `rows` rows.
    pub fn new(rows: usize, room: &KeyRoom) -> Self {
        let parts = Parts::new(rows.div_ceil(room.rows), room.bytes / 2, &room.folder);
        Positions { parts, part_rows: room.rows, number: 0 }
    }

    /// Those of an order.
    pub fn of(order: Vec<u32>, rows: usize, room: &KeyRoom) -> Result<Self> {
        let mut positions = Positions::new(rows, room);
        order.into_iter().zip(0..).try_for_each(|(row, position)| positions.push(row, position))?;
        Ok(positions)
    }

    /// Every position is told once.
    pub fn push(&mut self, row: u32, position: u32) -> Result<()> {
        self.number += 1;
        self.parts.push_words(row as usize / self.part_rows, [row, position])
    }

    pub fn len(&self) -> usize {
        self.number
    }

    pub fn is_empty(&self) -> bool {
        self.number == 0
    }
}

/// Brings keys into the parts that hold their positions. Rows are numbered by position.
fn arrange(
    keys: &FiledKeys,
    mut positions: Positions,
    batch_size: usize,
    batches: &[Range<usize>],
    room: &KeyRoom,
) -> Result<PartedKeys> {
    positions.parts.file_rest()?;
    let mut parted: Option<PartedKeys> = None;
    for (k, start) in (0..keys.len()).step_by(positions.part_rows).enumerate() {
        let plane = keys.read_all(start..keys.len().min(start + positions.part_rows))?;
        let parted = parted.get_or_insert_with(|| PartedKeys::new(&plane, batches.len(), room.bytes, &room.folder));
        for [row, position] in words(&positions.parts.take(k)?) {
            let batch = position as usize / batch_size;
            let part = batches.partition_point(|part| part.end <= batch);
            parted.push(part, position, &plane, row as usize - start)?;
        }
    }
    let mut parted = parted.unwrap_or_else(|| PartedKeys::new(&KeyPlane::default(), 0, 0, &room.folder));
    parted.file_rest()?;
    Ok(parted)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::keys::Codes;

    impl Positions {
        /// The row at each position.
        pub fn order(&self) -> Vec<u32> {
            let mut order = vec![u32::MAX; self.number];
            for part in 0..self.parts.len() {
                words(&self.parts.read(part).unwrap()).for_each(|[row, at]| order[at as usize] = row);
            }
            order
        }
    }

    /// Keys with two rows in the input for each of these rows, and a plan in which some stand twice.
    fn composed_of(rows: &[u32], batch_size: usize) -> (KeyPlane, Plan) {
        let number = rows.len() as u32;
        let plane = KeyPlane {
            input_row: (0..number).map(|row| 2 * row + 1).collect(),
            identity: Codes::new(rows.to_vec(), (0..50).collect()),
            time: Some(rows.iter().map(|row| -i64::from(*row)).collect()),
            positive: Some(rows.iter().map(|row| row % 3 == 0).collect()),
            ..KeyPlane::default()
        };
        let order: Vec<u32> = rows.iter().map(|row| row * 7 % number).collect();
        let copy = order.iter().map(|row| row % 2).collect();
        let padding = (0..number).filter(|at| at % 5 == 0).collect();
        (plane, Plan { order, copy, padding, ..Plan::new(batch_size) })
    }

    proptest! {
        /// Whether keys are in memory or on file, and however batches are cut: a part has what stands at its positions.
        #[test]
        fn parts_are_what_stands_at_their_positions(
            rows in prop::collection::vec(0u32..50, 1..300),
            batch_size in 1usize..9,
            filed in any::<bool>(),
            number in 1usize..6,
            bytes in prop::sample::select(vec![0u64, 200, 1 << 20]),
        ) {
            let (mut plane, plan) = composed_of(&rows, batch_size);
            let (expected, order, copy) = (plane.clone(), plan.order.clone(), plan.copy.clone());
            let padding = plan.padding.clone();
            let batches = plan.batches();
            let dir = tempfile::tempdir().unwrap();
            let room = KeyRoom { bytes, folder: dir.path().into(), rows: 11 };
            let cuts = Cuts::whole(batches, 2);
            let (keys, composed) = if filed {
                let mut keys = FiledKeys::empty(plane.without_rows(), dir.path()).unwrap();
                keys.extend(&mut plane).unwrap();
                let mut plan = plan;
                let positions = Positions::of(std::mem::take(&mut plan.order), rows.len(), &room).unwrap();
                let composed = Composed::filed(&keys, plan, positions, &cuts, &room).unwrap();
                (Keys::Filed(keys), composed)
            } else {
                (Keys::Held(plane), Composed::held(plan))
            };
            prop_assert_eq!((composed.rows(), composed.batches()), (order.len(), batches));
            let mut next = 0;
            for range in composed.cut(&cuts, number) {
                let part = composed.part(&keys, range.clone()).unwrap();
                prop_assert_eq!(range.start, next);
                next = range.end;
                prop_assert!(part.plane.input_row.is_sorted());
                for (at, example) in part.plan.order.iter().enumerate() {
                    let (position, example) = (range.start * batch_size + at, *example as usize);
                    let row = order[position] as usize;
                    prop_assert_eq!(part.plane.input_row[example], expected.input_row[row]);
                    prop_assert_eq!(part.plane.identity.rows[example], expected.identity.rows[row]);
                    prop_assert_eq!(part.plane.time.as_ref().unwrap()[example], expected.time.as_ref().unwrap()[row]);
                    prop_assert_eq!(part.plane.is_positive(example as u32), expected.is_positive(row as u32));
                    prop_assert_eq!(part.plan.copy_at(at), copy[position]);
                    prop_assert_eq!(part.plan.is_padding(at), padding.contains(&(position as u32)));
                }
            }
            prop_assert_eq!(next, batches);
        }
    }
}
