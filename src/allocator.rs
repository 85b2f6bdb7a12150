//! What the allocator does with freed memory.

use std::hint::black_box;

/// The largest block, in bytes, that glibc learns from; at the top of a heap, it then keeps twice as much.
const LARGEST: u64 = 32 << 20;

const PAGE: usize = 4096;

/// The part of a limit that the heaps of all threads together may keep of what is freed.
pub const KEPT: u64 = 16;

/// Lets the heaps of all threads together keep that part of `limit` bytes.
///
/// Arrays of some MB are freed all the time. At its default setting glibc gives their pages back and has the system zero
/// fresh ones for the next array, which took 4 % of a run. Its thresholds follow the largest block that was freed; this one
/// is never touched, so it costs nothing, nor does it on systems with other allocators.
pub fn keep_freed(limit: Option<u64>) {
    let threads = rayon::current_num_threads() as u64;
    let block = limit.map_or(LARGEST, |limit| limit / (2 * KEPT * threads)).min(LARGEST);
    // With the allocator's header, rounded up to whole pages, it must stay below 32 MiB: from larger ones glibc learns nothing.
    drop(black_box(Vec::<u8>::with_capacity((block as usize).saturating_sub(2 * PAGE))));
}
