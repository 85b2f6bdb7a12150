//! Where the payload of a range of batches is: all in memory, or loaded part by part from scratch files.

use std::ops::Range;
use std::sync::{Arc, RwLock};

use rayon::prelude::*;

use crate::compose::Plan;
use crate::error::{Error, Result};
use crate::payload::{Payload, Spill};

/// The payload of a part of the output, and where in it each row is.
pub struct PartRows {
    payload: Payload,
    batches: Range<usize>,
    /// In a part: the ordinal of each position's example, from `first` on.
    local: Option<(usize, Vec<u32>)>,
    /// In a part: its carriers, ascending.
    carriers: Option<Vec<u32>>,
}

impl PartRows {
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// The ordinal, among the payload's rows, of the example at a position.
    pub fn example(&self, position: usize, example: u32) -> u32 {
        self.local.as_ref().map_or(example, |(first, ordinals)| ordinals[position - first])
    }

    /// The same of a request's carrier.
    pub fn carrier(&self, carrier: u32) -> u32 {
        self.carriers.as_ref().map_or(carrier, |own| own.partition_point(|c| *c < carrier) as u32)
    }
}

/// The examples and the carriers (as ordinals) that a part needs, each ascending.
pub struct Wanted {
    pub examples: Vec<u32>,
    pub carriers: Vec<u32>,
}

/// The payload of all batches.
pub struct Rows {
    /// With the batches of each part.
    spill: Option<(Spill, Vec<Range<usize>>)>,
    loaded: RwLock<Vec<Arc<PartRows>>>,
}

impl Rows {
    /// All in memory.
    pub fn whole(payload: Payload) -> Self {
        let all = PartRows { payload, batches: 0..usize::MAX, local: None, carriers: None };
        Rows { spill: None, loaded: RwLock::new(vec![Arc::new(all)]) }
    }

    /// In parts, which [`Rows::prepare`] loads.
    pub fn spilled(spill: Spill, parts: Vec<Range<usize>>) -> Self {
        Rows { spill: Some((spill, parts)), loaded: RwLock::default() }
    }

    /// Loads the parts that hold these batches, and lets go of those before them; `wanted` tells what was spilled of a part.
    pub fn prepare(&self, plan: &Plan, batches: Range<usize>, wanted: impl Fn(Range<usize>) -> Wanted) -> Result<()> {
        let Some((spill, parts)) = &self.spill else { return Ok(()) };
        let mut loaded = self.loaded.write().unwrap_or_else(|p| p.into_inner());
        loaded.retain(|part| part.batches.end > batches.start);
        for (k, part) in parts.iter().enumerate() {
            let needed = part.start < batches.end && part.end > batches.start;
            if !needed || loaded.iter().any(|l| l.batches == *part) {
                continue;
            }
            let first = part.start * plan.batch_size;
            let end = (part.end * plan.batch_size).min(plan.order.len());
            let Wanted { examples, carriers } = wanted(part.clone());
            let ordinal = |example: &u32| examples.partition_point(|e| e < example) as u32;
            let local = plan.order[first..end].par_iter().map(ordinal).collect();
            loaded.push(Arc::new(PartRows {
                payload: spill.load(k)?,
                batches: part.clone(),
                local: Some((first, local)),
                carriers: Some(carriers),
            }));
        }
        Ok(())
    }

    /// The part that holds these batches, of one row group.
    pub fn of(&self, batches: &Range<usize>) -> Result<Arc<PartRows>> {
        let loaded = self.loaded.read().unwrap_or_else(|p| p.into_inner());
        let holds = |part: &&Arc<PartRows>| part.batches.start <= batches.start && part.batches.end >= batches.end;
        loaded.iter().find(holds).cloned().ok_or_else(|| {
            Error::pipeline("output.row_group_rows", "a row group lies in no part of the spill", "report this as a bug")
        })
    }

    /// Bytes that were spilled.
    pub fn spilled_bytes(&self) -> u64 {
        self.spill.as_ref().map_or(0, |(spill, _)| spill.bytes())
    }
}
