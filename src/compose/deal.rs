//! Dealing: sorted ranks over batches, so that each identity is spread as evenly as counting allows.

use super::rng::Rng;

const FREE: u32 = u32::MAX;

/// Deals units over batches. `counts[k]` units belong to the k-th identity, in seeded order; ranks number all units so.
/// Batches `0..full` take `per_batch` units each, batches `full..` take `partial[…]` units; together they take all.
/// Gives the batch of each rank.
///
/// Partial batches take ranks at even distances m/r (m ranks left, r taken), so ⌈c·r/m⌉ of an identity's c.
/// What is left is cut into blocks of `full` ranks, and each block is permuted over all full batches: an identity
/// fills whole blocks, one unit a batch, and at most two blocks in part. The second of these takes the batches that
/// the first left out, as far as they go, so that no batch gets more than ⌈c/full⌉.
pub fn deal(counts: &[u32], full: usize, per_batch: usize, partial: &[usize], rng: &mut Rng) -> Vec<u32> {
    let total: usize = counts.iter().map(|c| *c as usize).sum();
    debug_assert_eq!(total, full * per_batch + partial.iter().sum::<usize>());
    let mut batch = vec![FREE; total];
    let mut left = total;
    for (k, &take) in partial.iter().enumerate().filter(|(_, take)| **take > 0) {
        let offset = rng.below(left);
        // Walk the free ranks; the t-th pick is free rank number floor((t·left + offset) / take).
        let (mut t, mut free) = (0usize, 0usize);
        for b in batch.iter_mut().filter(|b| **b == FREE) {
            if t < take && free == (t * left + offset) / take {
                *b = (full + k) as u32;
                t += 1;
            }
            free += 1;
        }
        left -= take;
    }
    if full > 0 {
        deal_blocks(&mut batch, counts, full, rng);
    }
    batch
}

fn deal_blocks(batch: &mut [u32], counts: &[u32], full: usize, rng: &mut Rng) {
    let owners = counts.iter().enumerate().flat_map(|(k, c)| std::iter::repeat_n(k as u32, *c as usize));
    let mut owners = owners.enumerate();
    // A block's free ranks as (identity, rank), in order.
    let mut block: Vec<(u32, usize)> = Vec::with_capacity(full);
    let mut permutation: Vec<u32> = (0..full as u32).collect();
    let mut ordered: Vec<u32> = Vec::with_capacity(full);
    // Batches that hold the straddling identity's first, partial block, marked by that identity.
    let mut marked = vec![FREE; full];
    let mut before = FREE;
    loop {
        block.clear();
        block.extend(owners.by_ref().filter(|(rank, _)| batch[*rank] == FREE).map(|(rank, id)| (id, rank)).take(full));
        if block.is_empty() {
            return;
        }
        rng.shuffle(&mut permutation);
        let first = block[0].0;
        let head = if first == before { block.iter().take_while(|(id, _)| *id == first).count() } else { 0 };
        ordered.clear();
        if head > 0 && head < full {
            let (apart, met): (Vec<u32>, Vec<u32>) = permutation.iter().partition(|b| marked[**b as usize] != first);
            let mut taken = apart;
            taken.extend(met);
            taken.truncate(head);
            ordered.extend(&taken);
            taken.sort_unstable();
            ordered.extend(permutation.iter().filter(|b| taken.binary_search(b).is_err()));
        } else {
            ordered.extend(&permutation);
        }
        let last = block[block.len() - 1].0;
        for (&(id, rank), &b) in block.iter().zip(&ordered) {
            batch[rank] = b;
            if id == last && id != before && first != last {
                marked[b as usize] = id;
            }
        }
        before = last;
    }
}
