//! Where keys and payload of a range of batches are: all in memory, or loaded part by part from scratch files.

use std::ops::Range;
use std::sync::{Arc, RwLock};

use super::sources::Carriers;
use crate::compose::{Composed, Part};
use crate::error::{Error, Result};
use crate::keys::Keys;
use crate::payload::{Payload, Spill};

/// A part of the output.
pub struct LoadedPart<'a> {
    pub keys: Part<'a>,
    /// Of its requests.
    pub carriers: Carriers,
    /// Of its examples, and of its carriers.
    pub payload: Payload,
}

impl<'a> LoadedPart<'a> {
    pub fn new(keys: Part<'a>, payload: Payload) -> Self {
        LoadedPart { carriers: Carriers::new(&keys.view), keys, payload }
    }
}

/// All batches.
pub struct Rows<'a> {
    keys: &'a Keys,
    composed: &'a Composed,
    /// With the batches of each part.
    spill: Option<(Spill, Vec<Range<usize>>)>,
    loaded: RwLock<Vec<Arc<LoadedPart<'a>>>>,
}

impl<'a> Rows<'a> {
    /// All in memory.
    pub fn whole(keys: &'a Keys, composed: &'a Composed, all: LoadedPart<'a>) -> Self {
        Rows { keys, composed, spill: None, loaded: RwLock::new(vec![Arc::new(all)]) }
    }

    /// In parts, which [`Rows::prepare`] loads.
    pub fn spilled(keys: &'a Keys, composed: &'a Composed, spill: Spill, parts: Vec<Range<usize>>) -> Self {
        Rows { keys, composed, spill: Some((spill, parts)), loaded: RwLock::default() }
    }

    /// Loads the parts that hold these batches, and lets go of those before them.
    pub fn prepare(&self, batches: Range<usize>) -> Result<()> {
        let Some((spill, parts)) = &self.spill else { return Ok(()) };
        let mut loaded = self.loaded.write().unwrap_or_else(|p| p.into_inner());
        loaded.retain(|part| part.keys.plan.batches.end > batches.start);
        for (k, part) in parts.iter().enumerate() {
            let needed = part.start < batches.end && part.end > batches.start;
            if needed && !loaded.iter().any(|l| l.keys.plan.batches == *part) {
                let keys = self.composed.part(self.keys, part.clone())?;
                loaded.push(Arc::new(LoadedPart::new(keys, spill.load(k)?)));
            }
        }
        Ok(())
    }

    /// The part that holds these batches, of one row group.
    pub fn of(&self, batches: &Range<usize>) -> Result<Arc<LoadedPart<'a>>> {
        let loaded = self.loaded.read().unwrap_or_else(|p| p.into_inner());
        let holds = |part: &&Arc<LoadedPart<'_>>| {
            part.keys.plan.batches.start <= batches.start && part.keys.plan.batches.end >= batches.end
        };
        loaded.iter().find(holds).cloned().ok_or_else(|| {
            Error::pipeline("output.row_group_rows", "a row group lies in no part of the spill", "report this as a bug")
        })
    }

    /// Bytes of payload that were spilled.
    pub fn spilled_bytes(&self) -> u64 {
        self.spill.as_ref().map_or(0, |(spill, _)| spill.bytes())
    }
}
