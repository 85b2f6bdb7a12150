//! What a run takes, estimated from footers and keys.

use serde::Serialize;

use super::prepare::Prepared;
use crate::pipeline::Pipeline;

/// What encoders and decoders hold beside keys and payload, for each thread.
const IN_FLIGHT: u64 = 96 << 20;

/// Taken for granted where the system does not tell what is free.
const UNKNOWN: u64 = 4 << 30;

/// Bytes of payload that may be held at once: `memory`, or half of what is free, less keys and what is in flight.
pub fn payload_budget(prepared: &Prepared, memory: Option<u64>) -> u64 {
    let free = || {
        let Ok(mut system) = sysinfo::System::new() else { return UNKNOWN };
        system.refresh_memory();
        let limit = system.cgroup_limits().map_or(u64::MAX, |c| c.free_memory);
        system.available_memory().min(limit) / 2
    };
    let all = memory.unwrap_or_else(free);
    let taken = keys(prepared) + IN_FLIGHT * rayon::current_num_threads() as u64;
    all.saturating_sub(taken).max(all / 8)
}

/// Bytes, roughly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Memory {
    pub keys: u64,
    /// Decoded.
    pub payload: u64,
    /// What goes through scratch files, before compression.
    pub spill: u64,
}

/// The estimate for a run in `limit` bytes (`None`: half of what is free).
pub fn memory(p: &Pipeline, prepared: &Prepared, limit: Option<u64>) -> Memory {
    let (keys, payload) = (keys(prepared), payload(p, prepared));
    Memory { keys, payload, spill: if payload > payload_budget(prepared, limit) { payload } else { 0 } }
}

fn keys(prepared: &Prepared) -> u64 {
    let plane = &prepared.plane;
    let coded = [&plane.request, &plane.item].into_iter().flatten().count() + plane.columns.len() + 2;
    let distinct = plane.identity.len()
        + plane.request.as_ref().map_or(0, |c| c.len())
        + plane.item.as_ref().map_or(0, |c| c.len());
    let rows = plane.len() as u64;
    // Beside the codes: times, input rows, the plan, logQ, and each part's rows.
    rows * (4 * coded as u64 + 28) + distinct as u64 * 24
}

fn payload(p: &Pipeline, prepared: &Prepared) -> u64 {
    let names = |name: &String| !p.drop.contains(name) && (p.keep_raw || !p.identity.contains(name));
    let carried = prepared.source.fields().filter(|(_, f)| names(f.name())).map(|(c, _)| c);
    let rows = prepared.plane.len() as f64 / f64::from(prepared.source.rows.max(1));
    (carried.map(|c| prepared.source.decoded_bytes(c)).sum::<u64>() as f64 * rows) as u64
}
