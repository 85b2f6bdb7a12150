//! What a run takes, estimated from footers and keys.

use serde::Serialize;

use super::prepare::Prepared;
use crate::pipeline::Pipeline;

/// Bytes, roughly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Memory {
    pub keys: u64,
    pub payload: u64,
}

pub fn memory(p: &Pipeline, prepared: &Prepared) -> Memory {
    let plane = &prepared.plane;
    let coded = [&plane.request, &plane.item].into_iter().flatten().count() + plane.columns.len() + 2;
    let distinct = plane.identity.len()
        + plane.request.as_ref().map_or(0, |c| c.len())
        + plane.item.as_ref().map_or(0, |c| c.len());
    let rows = plane.len() as u64;
    let keys = rows * (4 * coded as u64 + 12) + distinct as u64 * 24;
    let names = |name: &String| !p.drop.contains(name) && (p.keep_raw || !p.identity.contains(name));
    let carried = prepared.source.fields().filter(|(_, f)| names(f.name())).map(|(c, _)| c);
    let payload = carried.map(|c| prepared.source.column_bytes(c)).sum();
    Memory { keys, payload }
}
