//! request_packed: requests whole, batches full, requests of one identity apart.

use std::ops::Range;

use rayon::prelude::*;

use super::deal::deal;
use super::finish;
use super::plan::{Plan, Pool};
use super::rng::Rng;
use super::window::Windows;
use crate::error::Result;
use crate::keys::KeyPlane;
use crate::pipeline::Pipeline;

pub fn compose(plane: &KeyPlane, p: &Pipeline, rank: &[u32], windows: Windows) -> Result<Plan> {
    let codes: &[u32] = plane.request.as_ref().map_or(&[], |c| &c.rows);
    let number = plane.request.as_ref().map_or(0, |c| c.len());
    let Windows { rows, ends } = windows;
    let mut requests = RequestPacker::new(number);
    rows.iter().for_each(|row| requests.add(codes[*row as usize], rank[plane.identity.rows[*row as usize] as usize]));
    let mut packed = requests.pack(&ends, p);
    let mut plan = Plan::new(p.batch_size);
    plan.order = vec![0; rows.len()];
    rows.iter().for_each(|row| plan.order[packed.place(codes[*row as usize]) as usize] = *row);
    plan.pools = packed.pools;
    finish::held(plan, plane, rank, p)
}

/// No place.
const NONE: u32 = u32::MAX;

/// What is known of requests before they are packed; rows come in precedence.
pub struct RequestPacker {
    /// By code: the request's ordinal by first appearance.
    ordinal: Vec<u32>,
    /// By ordinal.
    shapes: Vec<Shape>,
    rows: u32,
}

struct Shape {
    /// Of the identity of its first row.
    rank: u32,
    /// Where its first row came.
    first: u32,
    rows: u32,
}

/// A request in a pool: its rows are consecutive, where all rows are sorted by the first appearance of their request.
#[derive(Clone, Copy)]
struct Request {
    rank: u32,
    start: u32,
    end: u32,
}

impl RequestPacker {
    /// Of `number` requests.
    pub fn new(number: usize) -> Self {
        RequestPacker { ordinal: vec![NONE; number], shapes: Vec::new(), rows: 0 }
    }

    /// Takes the next row: of a request, and of an identity of this rank.
    pub fn add(&mut self, request: u32, rank: u32) {
        let ordinal = &mut self.ordinal[request as usize];
        if *ordinal == NONE {
            *ordinal = self.shapes.len() as u32;
            self.shapes.push(Shape { rank, first: self.rows, rows: 0 });
        }
        self.shapes[*ordinal as usize].rows += 1;
        self.rows += 1;
    }

    /// Decides where each row stands; `ends` are the windows' ends, in whole batches.
    pub fn pack(self, ends: &[usize], p: &Pipeline) -> Packed {
        let b = p.batch_size;
        let mut start = 0;
        let mut shapes = self.shapes.iter().peekable();
        let (mut pieces, mut pools) = (Pieces::default(), Vec::with_capacity(ends.len()));
        // The tail of a request that the previous pool's end split, and requests that it had no room for.
        let (mut tail, mut carried): (Range<u32>, Vec<Request>) = (0..0, Vec::new());
        let last = ends.len().saturating_sub(1);
        for (k, end) in ends.iter().enumerate() {
            let mut pool = std::mem::take(&mut carried);
            while let Some(shape) = shapes.next_if(|shape| (shape.first as usize) < *end) {
                pool.push(Request { rank: shape.rank, start, end: start + shape.rows });
                start += shape.rows;
            }
            let sizes: usize = pool.iter().map(|r| (r.end - r.start) as usize).sum();
            let first_batch = pieces.placed / b;
            let room = (pieces.placed + tail.len() + sizes) / b * b;
            // A huge request's tail may pass the room alone.
            let fits = if k == last { tail.len() } else { tail.len().min(room - pieces.placed) } as u32;
            pieces.place(tail.start..tail.start + fits);
            tail.start += fits;
            for request in sequence(pool, (sizes / b).max(1), p.seed, k as u64) {
                let rows = request.start..request.end;
                if k == last || pieces.placed + rows.len() <= room {
                    pieces.place(rows);
                } else if pieces.placed < room {
                    let split = rows.start + (room - pieces.placed) as u32;
                    pieces.place(rows.start..split);
                    tail = split..rows.end;
                } else {
                    carried.push(request);
                }
            }
            pools.push(Pool { first_batch, batches: pieces.placed.div_ceil(b) - first_batch });
        }
        Packed::new(self, pieces, pools)
    }
}

/// Ranges of the rows sorted by request, as they are placed one after the other.
#[derive(Default)]
struct Pieces {
    /// Where each stands.
    of: Vec<Piece>,
    placed: usize,
}

#[derive(Clone, Copy)]
struct Piece {
    start: u32,
    rows: u32,
    position: u32,
}

impl Pieces {
    fn place(&mut self, rows: Range<u32>) {
        if !rows.is_empty() {
            self.of.push(Piece { start: rows.start, rows: rows.len() as u32, position: self.placed as u32 });
            self.placed += rows.len();
        }
    }
}

/// Where the rows of requests stand.
pub struct Packed {
    pub pools: Vec<Pool>,
    /// By code, as in [`RequestPacker`].
    ordinal: Vec<u32>,
    /// Sorted by request, a request's in order.
    pieces: Vec<Piece>,
    /// By ordinal: the request's piece that takes its next row, and the rows that this has taken.
    next: Vec<(u32, u32)>,
}

impl Packed {
    fn new(requests: RequestPacker, pieces: Pieces, pools: Vec<Pool>) -> Self {
        let mut pieces = pieces.of;
        pieces.par_sort_unstable_by_key(|piece| piece.start);
        let (mut at, mut start) = (0, 0);
        let next = requests.shapes.iter().map(|shape| {
            while pieces.get(at).is_some_and(|piece| piece.start < start) {
                at += 1;
            }
            start += shape.rows;
            (at as u32, 0)
        });
        Packed { next: next.collect(), pools, ordinal: requests.ordinal, pieces }
    }

    /// The position of the request's next row; rows come as they came before.
    pub fn place(&mut self, request: u32) -> u32 {
        let (at, taken) = &mut self.next[self.ordinal[request as usize] as usize];
        if self.pieces[*at as usize].rows == *taken {
            (*at, *taken) = (*at + 1, 0);
        }
        *taken += 1;
        self.pieces[*at as usize].position + *taken - 1
    }
}

/// A seeded order in which requests of one identity stand far apart: requests are dealt over as many columns as there are
/// batches, like rows in user_spread, and the columns follow one another.
fn sequence(mut pool: Vec<Request>, columns: usize, seed: u64, index: u64) -> Vec<Request> {
    pool.par_sort_unstable_by_key(|r| (r.rank, r.start));
    let counts: Vec<u32> = pool.chunk_by(|a, b| a.rank == b.rank).map(|run| run.len() as u32).collect();
    let mut rng = Rng::new(seed, "deal", index);
    let column = deal(&counts, columns, &[pool.len() % columns], &mut rng);
    let mut keyed: Vec<(u32, u64, Request)> =
        column.into_iter().zip(pool).map(|(c, r)| (c, rng.next_u64(), r)).collect();
    keyed.par_sort_unstable_by_key(|(column, key, r)| (*column, *key, r.start));
    keyed.into_iter().map(|(_, _, r)| r).collect()
}
