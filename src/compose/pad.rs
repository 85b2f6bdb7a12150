//! remainder = "pad": copies that fill the dataset's last batch, other identities first.

use super::plan::Plan;
use super::rng::Rng;
use crate::keys::KeyPlane;
use crate::pipeline::{Mode, Pipeline};

/// Appends copies until the last batch is full, and gives them. An identity gets no more than ⌈c/N⌉ rows of
/// the batch, if the pool has N ≥ 1 full batches and it has c rows there.
pub fn fill(plan: &mut Plan, plane: &KeyPlane, rank: &[u32], p: &Pipeline) -> Vec<u32> {
    let b = p.batch_size;
    let first = plan.pools.last().map_or(0, |pool| pool.first_batch) * b;
    let short = plan.order.len() % b;
    let tail = plan.order.len() - short;
    let mut rng = Rng::new(p.seed, "pad", 0);
    let g = plan.group_size;
    if g > 0 && plan.grouped.last() == Some(&(short as u32)) {
        let padding = groups(plan, plane, first, tail, (b - short) / g, &mut rng);
        plan.order.extend(&padding);
        rng.shuffle_chunks(&mut plan.order[tail..], g);
        plan.grouped.pop();
        plan.grouped.push(b as u32);
        return padding;
    }
    let mut padding = rows(plan, plane, rank, first, tail, b - short, &mut rng);
    if p.mode == Mode::RequestPacked
        && let Some(requests) = &plane.request
    {
        padding.sort_by_key(|row| (requests.rows[*row as usize], *row));
    }
    let ungrouped = tail + plan.grouped.last().map_or(0, |rows| *rows as usize);
    plan.order.extend(&padding);
    if p.mode != Mode::RequestPacked {
        rng.shuffle(&mut plan.order[ungrouped..]);
    }
    padding
}

/// Rows of `need` whole groups of the pool, those of identities outside the last batch first, each as rarely as can be.
fn groups(plan: &Plan, plane: &KeyPlane, first: usize, tail: usize, need: usize, rng: &mut Rng) -> Vec<u32> {
    let (b, g) = (plan.batch_size, plan.group_size);
    let identity = |at: usize| plane.identity.rows[plan.order[at] as usize];
    let mut here: Vec<u32> = (tail..plan.order.len()).step_by(g).map(identity).collect();
    here.sort_unstable();
    let mut starts: Vec<usize> =
        (first..plan.order.len()).step_by(g).filter(|at| plan.group_slot(*at) >= 0 && at % b % g == 0).collect();
    rng.shuffle(&mut starts);
    starts.sort_by_key(|at| (*at >= tail, here.binary_search(&identity(*at)).is_ok()));
    starts.iter().cycle().take(need).flat_map(|at| &plan.order[*at..at + g]).copied().collect()
}

fn rows(
    plan: &Plan,
    plane: &KeyPlane,
    rank: &[u32],
    first: usize,
    tail: usize,
    need: usize,
    rng: &mut Rng,
) -> Vec<u32> {
    let full = (tail - first) / plan.batch_size;
    let mut pool: Vec<u32> = plan.order[first..].to_vec();
    pool.sort_unstable();
    pool.dedup();
    let mut here: Vec<u32> = plan.order[tail..].to_vec();
    here.sort_unstable();
    let is_here = |row: &u32| here.binary_search(row).is_ok();
    let (sorted, counts) = super::by_identity(&pool, &plane.identity.rows, rank);
    // For each identity: its rows that are not in the batch, then those that are; how many are; how many it may add.
    let mut start = 0;
    let mut owners: Vec<(usize, usize, Vec<u32>)> = Vec::with_capacity(counts.len());
    for count in counts {
        let own = &sorted[start..start + count as usize];
        start += count as usize;
        let (met, mut apart): (Vec<u32>, Vec<u32>) = own.iter().partition(|row| is_here(row));
        let present = met.len();
        let cap = own.len().div_ceil(full.max(1));
        apart.extend(met);
        owners.push((present, cap.saturating_sub(present).min(own.len() - present), apart));
    }
    rng.shuffle(&mut owners);
    owners.sort_by_key(|(present, ..)| *present > 0);
    let others = owners.iter().take_while(|(present, ..)| *present == 0).count();
    let mut out = Vec::with_capacity(need);
    for side in [0..others, others..owners.len()] {
        let mut round = 0;
        loop {
            let before = out.len();
            for (_, room, rows) in &owners[side.clone()] {
                if round < *room && out.len() < need {
                    out.push(rows[round]);
                }
            }
            round += 1;
            if out.len() == before {
                break;
            }
        }
    }
    // Only without a full batch in the pool, where no cap can hold: every row again, as often as needed.
    let again: Vec<u32> = owners.iter().flat_map(|(.., rows)| rows).copied().collect();
    out.extend(again.iter().cycle().take(need - out.len()));
    out
}
