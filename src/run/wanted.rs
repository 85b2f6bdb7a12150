//! Which input rows each part of the output wants, told by row group.

use std::borrow::Cow;
use std::ops::Range;

use super::prepare::Prepared;
use super::sources::Carriers;
use crate::error::Result;
use crate::payload::{PartRows, Wanted};
use crate::source::Source;
use crate::spill::Exchange;

pub struct WantedByGroup {
    /// For each row group: parts and input rows, by part.
    examples: Exchange<[u32; 2]>,
    /// For each row group: parts and input rows of requests' carriers, by part.
    carriers: Exchange<[u32; 2]>,
    /// For each column, whether carriers bring it.
    carried: Vec<bool>,
}

impl WantedByGroup {
    /// `carried` tells of each column whether carriers bring it; `ranges` are the batches of each part.
    pub fn new(prepared: &Prepared, carried: Vec<bool>, ranges: &[Range<usize>]) -> Result<Self> {
        let Prepared { source, keys, composed, .. } = prepared;
        let by_group = || Exchange::new(source.row_groups.len(), 1, &prepared.room);
        let mut wanted = WantedByGroup { examples: by_group(), carriers: by_group(), carried };
        for (part, batches) in ranges.iter().enumerate() {
            let keys = composed.part(keys, batches.clone())?;
            push(&mut wanted.examples, source, part, &keys.view.input_row)?;
            if wanted.carried.contains(&true) {
                push(&mut wanted.carriers, source, part, &Carriers::new(&keys.view).rows)?;
            }
        }
        wanted.examples.file_rest()?;
        wanted.carriers.file_rest()?;
        Ok(wanted)
    }
}

/// Appends a part's rows, which are ascending, to the lists of their row groups.
fn push(lists: &mut Exchange<[u32; 2]>, source: &Source, part: usize, rows: &[u32]) -> Result<()> {
    let mut group = 0;
    for row in rows {
        while u64::from(*row)
            >= u64::from(source.row_groups[group].first_row) + u64::from(source.row_groups[group].rows)
        {
            group += 1;
        }
        lists.push(group, [part as u32, *row])?;
    }
    Ok(())
}

impl Wanted for WantedByGroup {
    fn of(&self, column: usize, row_group: usize) -> Result<Vec<PartRows<'_>>> {
        let pairs = if self.carried[column] { &self.carriers } else { &self.examples }.read(row_group)?;
        let of = |own: &[[u32; 2]]| PartRows {
            part: own[0][0] as usize,
            rows: Cow::Owned(own.iter().map(|[_, row]| *row).collect()),
        };
        Ok(pairs.chunk_by(|[a, _], [b, _]| a == b).map(of).collect())
    }
}
