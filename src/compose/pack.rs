//! request_packed: requests whole, batches full, requests of one identity apart.

use rayon::prelude::*;

use super::deal::deal;
use super::finish;
use super::plan::Plan;
use super::rng::Rng;
use super::window::Windows;
use crate::keys::KeyPlane;
use crate::pipeline::Pipeline;

/// A request's rows, as a range of the rows sorted by request.
#[derive(Clone, Copy)]
struct Request {
    rank: u32,
    start: usize,
    end: usize,
}

pub fn compose(plane: &KeyPlane, p: &Pipeline, rank: &[u32], windows: Windows) -> Plan {
    let b = p.batch_size;
    let codes: &[u32] = plane.request.as_ref().map_or(&[], |c| &c.rows);
    let (rows, firsts) = by_request(&windows.rows, codes);
    let mut requests = Vec::new();
    let mut start = 0;
    for run in firsts.chunk_by(|a, b| a == b) {
        let end = start + run.len();
        requests.push((
            run[0] as usize,
            Request { rank: rank[plane.identity.rows[rows[start] as usize] as usize], start, end },
        ));
        start = end;
    }
    let mut plan = Plan::new(b);
    plan.order.reserve_exact(rows.len());
    // The tail of a request that the previous pool's end split, and requests that it had no room for.
    let (mut tail, mut carried): (Vec<u32>, Vec<Request>) = (Vec::new(), Vec::new());
    let mut next = 0;
    let last = windows.ends.len() - 1;
    for (k, end) in windows.ends.iter().enumerate() {
        let upto = next + requests[next..].partition_point(|(first, _)| first < end);
        let mut pool = std::mem::take(&mut carried);
        pool.extend(requests[next..upto].iter().map(|(_, r)| *r));
        next = upto;
        let sizes: usize = pool.iter().map(|r| r.end - r.start).sum();
        let room = (plan.order.len() + tail.len() + sizes) / b * b;
        plan.order.append(&mut tail);
        for request in sequence(pool, (sizes / b).max(1), p.seed, k as u64) {
            let rows = &rows[request.start..request.end];
            if k == last || plan.order.len() + rows.len() <= room {
                plan.order.extend(rows);
            } else if plan.order.len() < room {
                let (head, rest) = rows.split_at(room - plan.order.len());
                plan.order.extend(head);
                tail = rest.to_vec();
            } else {
                carried.push(request);
            }
        }
        if k != last && plan.order.len() > room {
            // The tail of one huge request alone passed the room.
            tail = plan.order.split_off(room);
        }
        plan.close_pool();
    }
    finish(plan, plane, rank, p)
}

/// Rows sorted by the first place of their request in `rows`, with that place; order within a request stays.
fn by_request(rows: &[u32], codes: &[u32]) -> (Vec<u32>, Vec<u32>) {
    let requests = codes.iter().max().map_or(0, |m| *m as usize + 1);
    let mut first = vec![u32::MAX; requests];
    for (place, row) in rows.iter().enumerate() {
        let seen = &mut first[codes[*row as usize] as usize];
        *seen = (*seen).min(place as u32);
    }
    let mut keys: Vec<u64> = rows
        .iter()
        .enumerate()
        .map(|(place, row)| u64::from(first[codes[*row as usize] as usize]) << 32 | place as u64)
        .collect();
    // Nearly sorted, where requests stand together: the stable sort finds the runs.
    keys.par_sort();
    keys.into_iter().map(|k| (rows[(k & 0xffff_ffff) as usize], (k >> 32) as u32)).unzip()
}

/// A seeded order in which requests of one identity stand far apart: requests are dealt over as many columns as there are
/// batches, like rows in user_spread, and the columns follow one another.
fn sequence(mut pool: Vec<Request>, columns: usize, seed: u64, index: u64) -> Vec<Request> {
    pool.par_sort_by_key(|r| (r.rank, r.start));
    let counts: Vec<u32> = pool.chunk_by(|a, b| a.rank == b.rank).map(|run| run.len() as u32).collect();
    let mut rng = Rng::new(seed, "deal", index);
    let column = deal(&counts, columns, &[pool.len() % columns], &mut rng);
    let mut keyed: Vec<(u32, u64, Request)> =
        column.into_iter().zip(pool).map(|(c, r)| (c, rng.next_u64(), r)).collect();
    keyed.par_sort_unstable_by_key(|(column, key, r)| (*column, *key, r.start));
    keyed.into_iter().map(|(_, _, r)| r).collect()
}
