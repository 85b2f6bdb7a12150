//! Keys and payload of the parts of the output: all in memory, or loaded part by part from scratch files.

use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

use super::origin::{Carriers, Origin};
use crate::compose::{Composed, Part};
use crate::error::{Error, Result};
use crate::keys::Keys;
use crate::payload::{Payload, Spill};

/// A part of the output.
pub struct LoadedPart<'a> {
    pub keys: Part<'a>,
    /// Values of its requests.
    pub carriers: Carriers,
    /// Input rows of its examples, and of its carriers.
    pub payload: Payload,
}

impl<'a> LoadedPart<'a> {
    /// `load` brings the payload, told how many rows it has of a column.
    ///
    /// # Errors
    /// What `load` says.
    pub fn new(keys: Part<'a>, load: impl FnOnce(&Part<'a>, &Carriers) -> Result<Payload>) -> Result<Self> {
        let carriers = Carriers::new(&keys.view);
        let payload = load(&keys, &carriers)?;
        Ok(LoadedPart { keys, carriers, payload })
    }
}

/// How many rows a part has of columns that come so.
pub fn rows_of(origins: &[Origin], part: &Part<'_>, carriers: &Carriers) -> Vec<usize> {
    let rows = |origin: &Origin| if *origin == Origin::Row { part.view.input_row.len() } else { carriers.rows.len() };
    origins.iter().map(rows).collect()
}

/// All parts.
pub struct Parts<'a> {
    keys: &'a Keys,
    composed: &'a Composed,
    origins: Vec<Origin>,
    /// With the batches of each part, behind which come the parts of the table of items.
    spill: Option<(Spill, Vec<Range<usize>>)>,
    loaded: RwLock<Vec<Arc<LoadedPart<'a>>>>,
    /// Values of items, where all is in memory.
    items: Payload,
}

impl<'a> Parts<'a> {
    /// All in memory, with the values of items.
    pub fn whole(keys: &'a Keys, composed: &'a Composed, all: LoadedPart<'a>, items: Payload) -> Self {
        Parts { keys, composed, origins: Vec::new(), spill: None, loaded: RwLock::new(vec![Arc::new(all)]), items }
    }

    /// In parts of so many batches, which [`Parts::prepare`] loads; `origins` are those of the payload's columns.
    pub fn spilled(
        keys: &'a Keys,
        composed: &'a Composed,
        origins: Vec<Origin>,
        spill: Spill,
        parts: Vec<Range<usize>>,
    ) -> Self {
        let spill = Some((spill, parts));
        Parts { keys, composed, origins, spill, loaded: RwLock::default(), items: Payload::default() }
    }

    /// Loads the parts that hold these batches, and lets go of those before them.
    ///
    /// # Errors
    /// A scratch file that can't be read.
    pub fn prepare(&self, batches: Range<usize>) -> Result<()> {
        let Some((spill, parts)) = &self.spill else { return Ok(()) };
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        loaded.retain(|part| part.keys.plan.batches.end > batches.start);
        for (k, part) in parts.iter().enumerate() {
            let needed = part.start < batches.end && part.end > batches.start;
            if needed && !loaded.iter().any(|l| l.keys.plan.batches == *part) {
                let keys = self.composed.part(self.keys, part.clone())?;
                // A column of items has no rows in these parts.
                let load = |part: &Part<'_>, carriers: &Carriers| {
                    let mut rows = rows_of(&self.origins, part, carriers);
                    rows.resize(spill.columns(), 0);
                    spill.load(k, &rows)
                };
                loaded.push(Arc::new(LoadedPart::new(keys, load)?));
            }
        }
        Ok(())
    }

    /// The part that holds these batches, of one row group.
    ///
    /// # Errors
    /// There is none, which is a bug.
    pub fn of(&self, batches: &Range<usize>) -> Result<Arc<LoadedPart<'a>>> {
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
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

    /// The batches are written: what is left are the values of items.
    pub fn into_items(self) -> ItemValues {
        let column = self.origins.len();
        match self.spill {
            None => ItemValues::Whole(Some(self.items)),
            Some((spill, parts)) => ItemValues::Spilled { spill, first: parts.len(), column },
        }
    }
}

/// The values of items, by parts of their table.
pub enum ItemValues {
    Whole(Option<Payload>),
    /// `first` is the first part of the spill that belongs to the table, `column` their column in it.
    Spilled {
        spill: Spill,
        first: usize,
        column: usize,
    },
}

impl ItemValues {
    /// A part's values, of `number` items; each part is asked for once.
    ///
    /// # Errors
    /// A scratch file that can't be read.
    pub fn load(&mut self, part: usize, number: usize) -> Result<Payload> {
        match self {
            ItemValues::Whole(payload) => Ok(payload.take().unwrap_or_default()),
            ItemValues::Spilled { spill, first, column } => {
                let mut rows = vec![0; spill.columns()];
                rows[*column] = number;
                Ok(spill.load(*first + part, &rows)?.split_off(*column))
            }
        }
    }
}
