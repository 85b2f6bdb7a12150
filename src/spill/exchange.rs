//! Records, handed out to partitions: what the memory has no room for waits in a scratch file, written once and read once.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::Room;
use super::file::ScratchFile;
use super::number::{Number, bytes_of};
use crate::error::Result;
use crate::parallel::in_turn;

/// Bytes by which a partition grows at least.
const LEAST: usize = 1 << 10;

/// Records that one core hands out at a time.
const STRETCH: usize = 1 << 17;

/// Bytes that are read at a time where a partition is not held whole.
const PIECE: usize = 1 << 20;

/// Records by partition, in the order in which they came.
pub struct Exchange<R> {
    /// Bytes that are held, of all partitions together.
    room: u64,
    held: u64,
    partitions: Vec<Mutex<Partition<R>>>,
    folder: PathBuf,
    file: Option<ScratchFile>,
}

struct Partition<R> {
    held: Vec<R>,
    /// Place in the scratch file, and number of records.
    filed: Vec<(u64, usize)>,
}

/// The places of records sorted by partition, in their order where it is the same, and where each of `number` partitions ends.
pub fn by_partition(partitions: impl Iterator<Item = usize> + Clone, number: usize) -> (Vec<u32>, Vec<usize>) {
    let mut ends = vec![0; number + 1];
    partitions.clone().for_each(|partition| ends[partition + 1] += 1);
    (0..number).for_each(|partition| ends[partition + 1] += ends[partition]);
    let mut places = vec![0; ends[number]];
    for (partition, at) in partitions.zip(0..) {
        places[ends[partition]] = at;
        ends[partition] += 1;
    }
    ends.truncate(number);
    (places, ends)
}

impl<R> Default for Partition<R> {
    fn default() -> Self {
        Partition { held: Vec::new(), filed: Vec::new() }
    }
}

impl<R: Number> Exchange<R> {
    /// `number` partitions, which hold up to a `share`-th of the room together; the other records go into a nameless file.
    pub fn new(number: usize, share: u64, room: &Room) -> Self {
        Exchange::with_bytes(number, room.share(share), room)
    }

    /// `number` partitions, which hold up to so many bytes together.
    pub fn with_bytes(number: usize, bytes: u64, room: &Room) -> Self {
        let partitions = std::iter::repeat_with(Mutex::default).take(number).collect();
        Exchange { room: bytes, held: 0, partitions, folder: room.folder().to_path_buf(), file: None }
    }

    /// Appends a record to a partition.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn push(&mut self, partition: usize, record: R) -> Result<()> {
        self.extend(partition, &[record])
    }

    /// Appends records to a partition.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn extend(&mut self, partition: usize, records: &[R]) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let held = &mut self.partitions[partition].get_mut().unwrap_or_else(PoisonError::into_inner).held;
        if held.capacity() - held.len() < records.len() {
            // Not to twice as much: all partitions together are what the room is for.
            held.reserve_exact((held.len() / 4).max(LEAST / R::BYTES).max(records.len()));
        }
        held.extend_from_slice(records);
        self.held += (records.len() * R::BYTES) as u64;
        if self.held > self.room { self.file_all() } else { Ok(()) }
    }

    /// Appends the `number` records that `record` tells, each with its partition, in order; several cores ask it.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn scatter(&mut self, number: usize, record: impl Fn(usize) -> (usize, R) + Sync) -> Result<()> {
        self.scatter_pieces(0..number, |piece| Ok(piece.map(&record).collect()))
    }

    /// Appends the records that `records` tells of consecutive pieces of `all`, each with its partition, in order. Several cores ask
    /// it, while what they brought before is appended.
    ///
    /// # Errors
    /// The file can't be written, or what `records` says.
    pub fn scatter_pieces(
        &mut self,
        all: Range<usize>,
        records: impl Fn(Range<usize>) -> Result<Vec<(usize, R)>> + Sync,
    ) -> Result<()> {
        let stretch = all.len().div_ceil(rayon::current_num_threads()).clamp(LEAST, STRETCH);
        let starts: Vec<usize> = all.clone().step_by(stretch).collect();
        let number = self.partitions.len();
        let sorted = |start: &usize| {
            let records = records(*start..all.end.min(start + stretch))?;
            let (places, ends) = by_partition(records.iter().map(|(partition, _)| *partition), number);
            Ok((places.into_iter().map(|at| records[at as usize].1).collect::<Vec<R>>(), ends))
        };
        in_turn(&starts, sorted, |(records, ends)| self.append_sorted(&records, &ends))
    }

    /// Appends records that come partition by partition: those of the k-th end at `ends[k]`.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn append_sorted(&mut self, records: &[R], ends: &[usize]) -> Result<()> {
        let mut start = 0;
        ends.iter().enumerate().try_for_each(|(partition, end)| {
            let own = &records[std::mem::replace(&mut start, *end)..*end];
            self.extend(partition, own)
        })
    }

    /// Moves what is held into the file.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn file_all(&mut self) -> Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(ScratchFile::create_in(&self.folder)?),
        };
        let partitions = self.partitions.iter_mut().map(|p| p.get_mut().unwrap_or_else(PoisonError::into_inner));
        for partition in partitions.filter(|partition| !partition.held.is_empty()) {
            let held = std::mem::take(&mut partition.held);
            partition.filed.push((file.append(&bytes_of(&held))?, held.len()));
        }
        self.held = 0;
        Ok(())
    }

    /// Moves what is held into the file if there is one already: what comes next takes memory of its own.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn file_rest(&mut self) -> Result<()> {
        if self.file.is_none() { Ok(()) } else { self.file_all() }
    }

    /// A partition's records; it is empty then, if nothing of it is in the file.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn take(&self, partition: usize) -> Result<Vec<R>> {
        let mut partition = self.lock(partition);
        if partition.filed.is_empty() { Ok(std::mem::take(&mut partition.held)) } else { self.joined(&partition) }
    }

    /// A partition's records; it stays as it is.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn read(&self, partition: usize) -> Result<Vec<R>> {
        self.joined(&self.lock(partition))
    }

    /// Calls `each` with a partition's records, a few at a time, and none is held for longer.
    ///
    /// # Errors
    /// The file can't be read, or what `each` says.
    pub fn each_piece(&self, partition: usize, mut each: impl FnMut(&[R]) -> Result<()>) -> Result<()> {
        let partition = self.lock(partition);
        let most = (PIECE / R::BYTES).max(1);
        for (place, number) in &partition.filed {
            for start in (0..*number).step_by(most) {
                let mut records = Vec::new();
                self.read_filed(*place + (start * R::BYTES) as u64, most.min(number - start), &mut records)?;
                each(&records)?;
            }
        }
        each(&partition.held)
    }

    /// Number of a partition's records.
    pub fn records(&self, partition: usize) -> usize {
        let partition = self.lock(partition);
        partition.filed.iter().map(|(_, number)| number).sum::<usize>() + partition.held.len()
    }

    /// Number of partitions.
    pub fn len(&self) -> usize {
        self.partitions.len()
    }

    pub fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    /// Bytes in the file.
    pub fn filed_bytes(&self) -> u64 {
        self.file.as_ref().map_or(0, ScratchFile::bytes)
    }

    fn lock(&self, partition: usize) -> std::sync::MutexGuard<'_, Partition<R>> {
        self.partitions[partition].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn joined(&self, Partition { held, filed }: &Partition<R>) -> Result<Vec<R>> {
        let mut records = Vec::with_capacity(filed.iter().map(|(_, number)| number).sum::<usize>() + held.len());
        filed.iter().try_for_each(|(place, number)| self.read_filed(*place, *number, &mut records))?;
        records.extend_from_slice(held);
        Ok(records)
    }

    fn read_filed(&self, place: u64, number: usize, into: &mut Vec<R>) -> Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let mut bytes = vec![0; number * R::BYTES];
        file.read_at(place, &mut bytes)?;
        into.extend(bytes.chunks_exact(R::BYTES).map(R::get));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_gets_its_records_in_order_whatever_the_room() {
        let dir = tempfile::tempdir().unwrap();
        for bytes in [0, 50, 1 << 20] {
            let mut exchange = Exchange::new(3, 1, &Room::filed(bytes, dir.path().into(), 1));
            for number in 0..1_000u32 {
                exchange.push(number as usize % 2, [number, 7]).unwrap();
                assert!(exchange.held <= bytes);
            }
            assert_eq!(exchange.filed_bytes() > 0, bytes < 8_000);
            for partition in 0..3u32 {
                let expected: Vec<[u32; 2]> =
                    (partition..1_000).step_by(2).filter(|_| partition < 2).map(|n| [n, 7]).collect();
                let mut pieces = Vec::new();
                let keep = |piece: &[[u32; 2]]| {
                    pieces.extend_from_slice(piece);
                    Ok(())
                };
                exchange.each_piece(partition as usize, keep).unwrap();
                assert_eq!(exchange.records(partition as usize), pieces.len());
                assert_eq!(pieces, expected);
                assert_eq!(exchange.read(partition as usize).unwrap(), expected);
                assert_eq!(exchange.take(partition as usize).unwrap(), expected);
            }
        }
    }
}
