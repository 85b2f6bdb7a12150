//! request_packed: requests whole, batches full, requests of one identity apart.

use std::ops::Range;

use rayon::prelude::*;

use crate::compose::composer::Composer;
use crate::compose::deal::Deal;
use crate::compose::modes::{Mode, without_groups};
use crate::compose::requests::{Piece, RequestRows};
use crate::compose::rng::Rng;
use crate::error::{Error, Result};
use crate::pipeline::{Field, Pipeline, WindowEnds};

pub struct RequestPacked;

impl Mode for RequestPacked {
    fn check(&self, p: &Pipeline) -> Result<()> {
        if p.request.is_empty() {
            let problem = "request_packed needs columns.request";
            return Err(Error::pipeline("compose.mode", problem, "map columns.request"));
        }
        without_groups(p)
    }

    fn deciding(&self) -> Option<Field> {
        Some(Field::Request)
    }

    fn together(&self) -> Option<Field> {
        Some(Field::Request)
    }

    fn compose(&self, composer: &mut Composer<'_>) -> Result<()> {
        let all = 0..composer.precedence.ends.last().copied().unwrap_or(0);
        if composer.p.window_ends == WindowEnds::Whole {
            let ends = composer.precedence.ends.clone();
            return pack(composer, 0, all, &ends);
        }
        // What a window's end cuts in two is two requests.
        for pool in 0..composer.pools() {
            let places = composer.places(pool);
            let end = places.end;
            pack(composer, pool, places, &[end])?;
        }
        Ok(())
    }
}

/// A request in a pool: its rows are consecutive, where all rows are sorted by the first appearance of their request.
#[derive(Clone, Copy)]
struct Request {
    identity: u32,
    start: u32,
    end: u32,
}

/// Packs rows into consecutive pools, the first of which is number `first_pool`; `ends` are in precedence.
fn pack(composer: &mut Composer<'_>, first_pool: usize, places: Range<usize>, ends: &[usize]) -> Result<()> {
    let (b, seed) = (composer.p.batch_size, composer.p.seed);
    let first_position = composer.head.rows();
    let rows = RequestRows::of(&composer.precedence, places, composer.keys, composer.room)?;
    let mut pieces = Pieces::default();
    let mut pool_ends = Vec::with_capacity(ends.len());
    let mut next = 0;
    let mut start = 0;
    // The tail of a request that the previous pool's end split, and requests that it had no room for.
    let (mut tail, mut carried): (Range<u32>, Vec<Request>) = (0..0, Vec::new());
    for (k, end) in ends.iter().enumerate() {
        let is_last = k + 1 == ends.len();
        let mut pool = std::mem::take(&mut carried);
        while let Some(shape) = rows.shape(next).filter(|shape| (shape.first as usize) < *end) {
            pool.push(Request { identity: shape.identity, start, end: start + shape.rows });
            start += shape.rows;
            next += 1;
        }
        let sizes: usize = pool.iter().map(|r| (r.end - r.start) as usize).sum();
        let room = (pieces.placed + tail.len() + sizes) / b * b;
        // A huge request's tail may pass the room alone.
        let fits = if is_last { tail.len() } else { tail.len().min(room - pieces.placed) } as u32;
        pieces.place(tail.start..tail.start + fits);
        tail.start += fits;
        for request in sequence(pool, (sizes / b).max(1), seed, (first_pool + k) as u64) {
            let rows = request.start..request.end;
            if is_last || pieces.placed + rows.len() <= room {
                pieces.place(rows);
            } else if pieces.placed < room {
                let split = rows.start + (room - pieces.placed) as u32;
                pieces.place(rows.start..split);
                tail = split..rows.end;
            } else {
                carried.push(request);
            }
        }
        pool_ends.push(pieces.placed);
    }
    let last_full = pieces.placed / b * b;
    let tail = rows.place(pieces.of, last_full, &mut composer.order)?;
    pool_ends.into_iter().for_each(|end| composer.add_pool(first_position + end.min(last_full)));
    composer.settle(first_pool + ends.len() - 1, tail)
}

/// Ranges of the rows sorted by request, as they are placed one after the other.
#[derive(Default)]
struct Pieces {
    of: Vec<Piece>,
    placed: usize,
}

impl Pieces {
    fn place(&mut self, rows: Range<u32>) {
        if !rows.is_empty() {
            self.of.push(Piece { start: rows.start, rows: rows.len() as u32 });
            self.placed += rows.len();
        }
    }
}

/// A seeded order in which requests of one identity stand far apart: requests are dealt over as many columns as there are
/// batches, like rows in user_spread, and the columns follow one another.
fn sequence(mut pool: Vec<Request>, columns: usize, seed: u64, index: u64) -> Vec<Request> {
    pool.par_sort_unstable_by_key(|r| (r.identity, r.start));
    let mut deal = Deal::new(seed, "requests", index, pool.len(), columns, &[pool.len() % columns]);
    deal.count(pool.chunk_by(|a, b| a.identity == b.identity).map(<[Request]>::len));
    let mut column: Vec<u32> = Vec::with_capacity(pool.len());
    let Ok(()) = deal.batches(|some| {
        column.extend(some);
        Ok::<(), std::convert::Infallible>(())
    });
    let mut rng = Rng::new(seed, "order of requests", index);
    let mut keyed: Vec<(u32, u64, Request)> =
        column.into_iter().zip(pool).map(|(c, r)| (c, rng.next_u64(), r)).collect();
    keyed.par_sort_unstable_by_key(|(column, key, r)| (*column, *key, r.start));
    keyed.into_iter().map(|(_, _, r)| r).collect()
}
