//! The rows of requests, brought together and placed piece by piece.

use std::ops::Range;

use rayon::prelude::*;

use super::by_code::by_code;
use super::precedence::Precedence;
use crate::error::Result;
use crate::keys::Keys;
use crate::spill::{Column, Exchange, Room};

/// A request with rows.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// The place of its first row in precedence.
    pub first: u32,
    /// Whose its first row is.
    pub identity: u32,
    pub rows: u32,
}

/// Consecutive rows, where all rows are sorted by the first appearance of their request.
#[derive(Debug, Clone, Copy)]
pub struct Piece {
    pub start: u32,
    pub rows: u32,
}

/// All rows at some places, by request.
pub struct RequestRows<'a> {
    /// In the order of codes.
    shapes: Vec<Shape>,
    /// Which shape is k-th by first appearance.
    by_first: Vec<u32>,
    rows: Rows,
    room: &'a Room,
}

enum Rows {
    /// By code, each request's in precedence.
    Held(Vec<u32>),
    /// (code, place, row, identity), with the first shape of each partition, and the number of all.
    Parted(Exchange<[u32; 4]>, Vec<usize>),
}

impl<'a> RequestRows<'a> {
    /// Looks at the requests of some places.
    ///
    /// # Errors
    /// A scratch file that can't be read or written.
    pub fn of(keys: &Precedence<'_>, places: Range<usize>, all: &Keys, room: &'a Room) -> Result<Self> {
        let requests = all.shape().request.as_ref().map_or(0, |request| request.len());
        let number = room.partitions(places.len());
        let mut shapes = Vec::new();
        let rows = if number == 1 {
            let piece = keys.piece(places.clone())?;
            let sorted = by_code(&piece.deciding, 0..requests as u32);
            let mut start = 0;
            shapes.extend(sorted.runs.iter().map(|(_, rows)| {
                let first = sorted.places[start];
                start += *rows as usize;
                Shape { first: places.start as u32 + first, identity: piece.identity[first as usize], rows: *rows }
            }));
            Rows::Held(sorted.places.par_iter().map(|at| piece.row(*at as usize)).collect())
        } else {
            let mut parted: Exchange<[u32; 4]> = Exchange::new(number, 4, room);
            parted.scatter_pieces(places, |places| {
                let piece = keys.piece(places.clone())?;
                let record = |(at, place): (usize, usize)| {
                    let code = piece.deciding[at];
                    let part = (u64::from(code) * number as u64 / requests as u64) as usize;
                    (part, [code, place as u32, piece.row(at), piece.identity[at]])
                };
                Ok(places.enumerate().map(record).collect())
            })?;
            parted.file_rest()?;
            let mut firsts = vec![0];
            for part in 0..number {
                let (records, places, runs) = sorted(&parted, part)?;
                let mut start = 0;
                shapes.extend(runs.iter().map(|(_, rows)| {
                    let [_, first, _, identity] = records[places[start] as usize];
                    start += *rows as usize;
                    Shape { first, identity, rows: *rows }
                }));
                firsts.push(shapes.len());
            }
            Rows::Parted(parted, firsts)
        };
        let mut keyed: Vec<u64> =
            shapes.iter().zip(0u64..).map(|(shape, k)| u64::from(shape.first) << 32 | k).collect();
        keyed.par_sort_unstable();
        Ok(RequestRows { shapes, by_first: keyed.into_iter().map(|keyed| keyed as u32).collect(), rows, room })
    }

    /// The k-th request by first appearance.
    pub fn shape(&self, k: usize) -> Option<Shape> {
        self.by_first.get(k).map(|at| self.shapes[*at as usize])
    }

    /// Places all rows, piece after piece: the first `kept` are appended to `order`; gives the others.
    ///
    /// # Errors
    /// A scratch file that can't be read or written.
    pub fn place(self, pieces: Vec<Piece>, kept: usize, order: &mut Column<u32>) -> Result<Vec<u32>> {
        let RequestRows { shapes, by_first, rows, room } = self;
        // By first appearance: where each request's rows begin.
        let mut starts = Vec::with_capacity(by_first.len());
        let mut start = 0;
        for at in &by_first {
            starts.push(start);
            start += shapes[*at as usize].rows;
        }
        match rows {
            Rows::Held(rows) => {
                // By code: where each request's rows are.
                let mut places = Vec::with_capacity(shapes.len());
                let mut place = 0;
                for shape in &shapes {
                    places.push(place);
                    place += shape.rows;
                }
                let own = |piece: &Piece| {
                    let request = starts.partition_point(|start| *start <= piece.start) - 1;
                    let place = (places[by_first[request] as usize] + piece.start - starts[request]) as usize;
                    &rows[place..place + piece.rows as usize]
                };
                let written_out = |some: &[Piece]| {
                    let mut rows = Vec::with_capacity(some.iter().map(|piece| piece.rows as usize).sum());
                    some.iter().for_each(|piece| rows.extend_from_slice(own(piece)));
                    rows
                };
                let placed: Vec<Vec<u32>> = pieces.par_chunks(1 << 12).map(written_out).collect();
                let mut placed = placed.concat();
                let tail = placed.split_off(kept);
                order.append(placed)?;
                Ok(tail)
            }
            Rows::Parted(parted, firsts) => {
                // Sorted by row: its first row, and where that stands.
                let mut positions = Vec::with_capacity(pieces.len());
                let mut position = 0;
                for piece in &pieces {
                    positions.push((piece.start, position));
                    position += piece.rows;
                }
                drop(pieces);
                positions.par_sort_unstable();
                let mut start_of = vec![0; shapes.len()];
                by_first.iter().zip(&starts).for_each(|(at, start)| start_of[*at as usize] = *start);
                drop((by_first, starts));
                let number = room.partitions(position as usize);
                let size = (position as usize).div_ceil(number).max(1);
                let mut placed: Exchange<[u32; 2]> = Exchange::new(number, 4, room);
                for part in 0..firsts.len() - 1 {
                    let (records, places, _) = sorted(&parted, part)?;
                    let own = firsts[part]..firsts[part + 1];
                    // The request of each row, and which of its rows it is.
                    let mut of = Vec::with_capacity(places.len());
                    for shape in own {
                        of.extend((0..shapes[shape].rows).map(|k| start_of[shape] + k));
                    }
                    placed.scatter(places.len(), |at| {
                        let row = of[at];
                        let (start, position) = positions[positions.partition_point(|(start, _)| *start <= row) - 1];
                        let position = position + row - start;
                        (position as usize / size, [position, records[places[at] as usize][2]])
                    })?;
                }
                drop(parted);
                placed.file_rest()?;
                let mut tail = Vec::new();
                for part in 0..number {
                    let records = placed.take(part)?;
                    let mut rows = vec![0; records.len()];
                    records.iter().for_each(|[position, row]| rows[*position as usize - part * size] = *row);
                    let first_of_tail = kept.saturating_sub(part * size).min(rows.len());
                    tail.extend(rows.split_off(first_of_tail));
                    order.append(rows)?;
                }
                Ok(tail)
            }
        }
    }
}

type SortedRecords = (Vec<[u32; 4]>, Vec<u32>, Vec<(u32, u32)>);

/// A partition's records, their places sorted by request, and how many each request has.
fn sorted(parted: &Exchange<[u32; 4]>, part: usize) -> Result<SortedRecords> {
    let records = parted.read(part)?;
    let codes: Vec<u32> = records.par_iter().map(|[code, ..]| *code).collect();
    let first = codes.par_iter().min().copied().unwrap_or(0);
    let end = codes.par_iter().max().map_or(0, |last| last + 1);
    let sorted = by_code(&codes, first..end.max(first));
    Ok((records, sorted.places, sorted.runs))
}
