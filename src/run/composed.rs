//! The composed examples, in parts that are small datasets of their own.

use std::borrow::Cow;
use std::ops::Range;

use super::memory::KeyRoom;
use crate::compose::Plan;
use crate::dataset::Cuts;
use crate::error::Result;
use crate::keys::{FiledKeys, KeyPlane, Keys, PartedKeys};
use crate::store::{MOST_PARTS, Parts, words};

/// What is known of all batches. Where keys are on file, theirs are in parts of whole row groups.
pub struct Composed {
    rows: usize,
    copies: usize,
    /// Its order and copies are in the parts, if there are any.
    plan: Plan,
    parted: Option<Parted>,
}

struct Parted {
    keys: PartedKeys,
    /// Positions of copies with their ordinals.
    copies: Parts,
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

impl Composed {
    /// Of keys in memory.
    pub fn held(plan: Plan) -> Self {
        Composed { rows: plan.order.len(), copies: plan.copies(), plan, parted: None }
    }

    /// Of keys on file, whose plan has no order but positions.
    pub fn filed(keys: &FiledKeys, mut plan: Plan, positions: Positions, cuts: &Cuts, room: &KeyRoom) -> Result<Self> {
        let rows = positions.number;
        // All others are examples, each once.
        let copies = rows + plan.dropped.len() - keys.len();
        let (parted, padding) = Parted::new(keys, positions, copies, plan.batch_size, cuts.parts(MOST_PARTS), room)?;
        plan.padding = padding;
        Ok(Composed { rows, copies, plan, parted: Some(parted) })
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn batches(&self) -> usize {
        self.rows.div_ceil(self.plan.batch_size)
    }

    /// Rows that are copies.
    pub fn copies(&self) -> usize {
        self.copies
    }

    /// What of the plan is neither its order nor its copies.
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

    /// Calls `each` with all batches, part by part.
    pub fn each_part(&self, keys: &Keys, mut each: impl FnMut(&Part<'_>) -> Result<()>) -> Result<()> {
        self.parts().into_iter().try_for_each(|batches| each(&self.part(keys, batches)?))
    }

    /// These batches, of the same keys: if these are on file, of whole parts.
    pub fn part<'a>(&'a self, keys: &'a Keys, batches: Range<usize>) -> Result<Part<'a>> {
        let b = self.plan.batch_size;
        let positions = batches.start * b..(batches.end * b).min(self.rows);
        let mut copy = self.plan.copy.get(positions.clone()).map_or_else(Vec::new, <[u32]>::to_vec);
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
            (Keys::Filed(_), Some(parted)) => {
                if self.copies > 0 {
                    copy = parted.copies(&batches, &positions)?;
                }
                parted.read(&batches, &positions)?
            }
            (Keys::Filed(_), None) => (keys.shape().clone(), Vec::new()),
        };
        let plan = Plan { copy, ..self.plan.part(positions, order) };
        Ok(Part { plane: Cow::Owned(plane), plan: Cow::Owned(plan), batches })
    }

    /// Bytes in files.
    pub fn filed_bytes(&self) -> u64 {
        self.parted.as_ref().map_or(0, |parted| parted.keys.filed_bytes())
    }
}

impl Parted {
    /// Brings keys into the parts that hold their positions: rows are numbered by position. Gives the positions of padding too.
    fn new(
        keys: &FiledKeys,
        mut positions: Positions,
        copies: usize,
        batch_size: usize,
        batches: Vec<Range<usize>>,
        room: &KeyRoom,
    ) -> Result<(Self, Vec<u32>)> {
        positions.parts.file_rest()?;
        let part_of = |position: u32| batches.partition_point(|part| part.end <= position as usize / batch_size);
        let mut parted = PartedKeys::new(&keys.shape().without_rows(), batches.len(), room.bytes, &room.folder);
        let mut ordinals = Parts::new(batches.len(), room.bytes / 4, &room.folder);
        let mut padding = Vec::new();
        positions.padding.sort_unstable();
        for k in 0..positions.parts() {
            let rows = positions.rows(k);
            let plane = keys.read_all(rows.clone())?;
            let mut placed: Vec<[u32; 2]> = words(&positions.parts.take(k)?).collect();
            if copies > 0 {
                placed.sort_unstable();
                for same in placed.chunk_by(|[a, _], [b, _]| a == b) {
                    let padded = positions.times_padded(same[0][0]);
                    for (ordinal, [_, position]) in same.iter().enumerate().skip(1) {
                        ordinals.push_words(part_of(*position), [*position, ordinal as u32])?;
                    }
                    padding.extend(same[same.len() - padded..].iter().map(|[_, position]| position));
                }
            }
            for [row, position] in placed {
                parted.push(part_of(position), position, &plane, row as usize - rows.start)?;
            }
        }
        parted.file_rest()?;
        ordinals.file_rest()?;
        padding.sort_unstable();
        Ok((Parted { keys: parted, copies: ordinals, batches }, padding))
    }

    /// The parts that hold some batches.
    fn of(&self, batches: &Range<usize>) -> impl Iterator<Item = usize> {
        let (start, end) = (batches.start, batches.end);
        let parts = self.batches.iter().enumerate();
        parts.filter(move |(_, part)| part.start < end && part.end > start).map(|(part, _)| part)
    }

    /// The examples of some parts by input row, and the example at each position.
    fn read(&self, batches: &Range<usize>, positions: &Range<usize>) -> Result<(KeyPlane, Vec<u32>)> {
        let read: Vec<(Vec<u32>, KeyPlane)> =
            self.of(batches).map(|part| self.keys.read(part)).collect::<Result<_>>()?;
        let (places, plane) = KeyPlane::joined(read);
        let (firsts, of_row) = distinct(&plane.input_row);
        let mut order = vec![0; positions.len()];
        places.iter().zip(of_row).for_each(|(place, example)| order[*place as usize - positions.start] = example);
        Ok((plane.gather(&firsts), order))
    }

    /// The copy ordinal of each position.
    fn copies(&self, batches: &Range<usize>, positions: &Range<usize>) -> Result<Vec<u32>> {
        let mut copies = vec![0; positions.len()];
        for part in self.of(batches) {
            let read = self.copies.read(part)?;
            words(&read).for_each(|[at, ordinal]| copies[at as usize - positions.start] = ordinal);
        }
        Ok(copies)
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
    /// Rows, and rows of a part.
    rows: usize,
    part_rows: usize,
    number: usize,
    /// Rows of which the last positions are padding, once for each of these.
    pub padding: Vec<u32>,
}

impl Positions {
    /// Of `rows` rows.
    pub fn new(rows: usize, room: &KeyRoom) -> Self {
        let parts = Parts::new(rows.div_ceil(room.rows), room.bytes / 2, &room.folder);
        Positions { parts, rows, part_rows: room.rows, number: 0, padding: Vec::new() }
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

    /// Number of parts.
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// The rows of a part.
    pub fn rows(&self, part: usize) -> Range<usize> {
        part * self.part_rows..self.rows.min((part + 1) * self.part_rows)
    }

    /// Rows of a part with their positions, in no order.
    pub fn read(&self, part: usize) -> Result<Vec<[u32; 2]>> {
        Ok(words(&self.parts.read(part)?).collect())
    }

    /// How many positions of a row are padding; what is padded is sorted.
    fn times_padded(&self, row: u32) -> usize {
        let first = self.padding.partition_point(|padded| *padded < row);
        self.padding[first..].iter().take_while(|padded| **padded == row).count()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::keys::Codes;

    /// Keys with two rows in the input for each of these rows, and a plan in which some stand twice, some not at all, and the
    /// last `padded` positions are padding.
    fn composed_of(rows: &[u32], padded: usize, batch_size: usize) -> (KeyPlane, Plan, Vec<u32>) {
        let number = rows.len() as u32;
        let plane = KeyPlane {
            input_row: (0..number).map(|row| 2 * row + 1).collect(),
            identity: Codes::new(rows.to_vec(), (0..50).collect()),
            time: Some(rows.iter().map(|row| -i64::from(*row)).collect()),
            positive: Some(rows.iter().map(|row| row % 3 == 0).collect()),
            ..KeyPlane::default()
        };
        let mut order: Vec<u32> = rows.iter().zip(0u32..).map(|(identity, row)| row * 7 * identity % number).collect();
        let added: Vec<u32> = order.iter().copied().cycle().skip(1).step_by(2).take(padded).collect();
        order.extend(&added);
        let earlier = |at: usize| order[..at].iter().filter(|row| **row == order[at]).count() as u32;
        let copy = (0..order.len()).map(earlier).collect();
        let missing = (0..number).filter(|row| !order.contains(row)).map(|row| (0, row)).collect();
        let padding = (order.len() - padded..order.len()).map(|at| at as u32).collect();
        (plane, Plan { copy, padding, dropped: missing, order, ..Plan::new(batch_size) }, added)
    }

    proptest! {
        /// Whether keys are in memory or on file, and however batches are cut: a part has what stands at its positions.
        #[test]
        fn parts_are_what_stands_at_their_positions(
            rows in prop::collection::vec(0u32..50, 1..300),
            batch_size in 1usize..9,
            filed in any::<bool>(),
            number in 1usize..6,
            padded in 0usize..5,
            bytes in prop::sample::select(vec![0u64, 200, 1 << 20]),
        ) {
            let (mut plane, plan, added) = composed_of(&rows, padded, batch_size);
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
                let mut positions = Positions::new(rows.len(), &room);
                positions.padding = added;
                plan.copy.clear();
                let order = std::mem::take(&mut plan.order);
                order.into_iter().zip(0..).for_each(|(row, at)| positions.push(row, at).unwrap());
                let composed = Composed::filed(&keys, plan, positions, &cuts, &room).unwrap();
                (Keys::Filed(keys), composed)
            } else {
                (Keys::Held(plane), Composed::held(plan))
            };
            prop_assert_eq!((composed.rows(), composed.batches()), (order.len(), batches));
            prop_assert_eq!(composed.copies(), copy.iter().filter(|copy| **copy > 0).count());
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
