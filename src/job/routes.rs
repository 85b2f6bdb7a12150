//! Routes: which input rows each part of the output wants, told by row group.

use std::borrow::Cow;
use std::ops::Range;

use super::items::ItemOrder;
use super::origin::Carriers;
use super::prepare::Prepared;
use crate::compose::Part;
use crate::error::Result;
use crate::figures::Composition;
use crate::payload::{PartRows, Wanted};
use crate::source::Source;
use crate::spill::Exchange;

/// What a column's rows are wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Each row of the output brings its own.
    Examples,
    /// One row a request and part.
    Carriers,
    /// One row an item, for the table of items.
    Items,
}

/// For each row group: parts and input rows, by part.
pub struct Routes {
    examples: Exchange<[u32; 2]>,
    carriers: Exchange<[u32; 2]>,
    items: Exchange<[u32; 2]>,
    /// One for each column.
    purposes: Vec<Purpose>,
}

impl Routes {
    /// `purposes` are those of the columns, `ranges` the batches of each part; parts of the table of items come behind them.
    /// `each` sees the keys of each part, which are read but once.
    ///
    /// # Errors
    /// A scratch file that can't be read or written.
    pub fn new(
        prepared: &Prepared,
        purposes: Vec<Purpose>,
        ranges: &[Range<usize>],
        items: Option<(&ItemOrder<'_>, &[Range<usize>])>,
        mut each: impl FnMut(&Part<'_>) -> Result<()>,
    ) -> Result<Self> {
        let Prepared { source, composition, .. } = prepared;
        let Composition { keys, composed, .. } = composition;
        let by_group = || Exchange::new(source.row_groups.len(), 1, &prepared.composition.room);
        let mut routes = Routes { examples: by_group(), carriers: by_group(), items: by_group(), purposes };
        for (part, batches) in ranges.iter().enumerate() {
            let keys = composed.part(keys, batches.clone())?;
            each(&keys)?;
            push(&mut routes.examples, source, part, &keys.view.input_row)?;
            if routes.purposes.contains(&Purpose::Carriers) {
                push(&mut routes.carriers, source, part, &Carriers::new(&keys.view).rows)?;
            }
        }
        for (part, places) in items.iter().flat_map(|(_, parts)| parts.iter()).enumerate() {
            let rows = items.iter().flat_map(|(order, _)| order.rows(places.clone())).collect::<Vec<u32>>();
            push(&mut routes.items, source, ranges.len() + part, &rows)?;
        }
        routes.examples.file_rest()?;
        routes.carriers.file_rest()?;
        routes.items.file_rest()?;
        Ok(routes)
    }

    /// The parts and rows of a row group that are wanted for something.
    ///
    /// # Errors
    /// A scratch file that can't be read.
    pub fn pairs(&self, purpose: Purpose, row_group: usize) -> Result<Vec<[u32; 2]>> {
        match purpose {
            Purpose::Examples => &self.examples,
            Purpose::Carriers => &self.carriers,
            Purpose::Items => &self.items,
        }
        .read(row_group)
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

/// From (part, row) pairs in order of parts to each part's rows.
pub fn by_part(pairs: &[[u32; 2]]) -> Vec<PartRows<'static>> {
    let of = |own: &[[u32; 2]]| PartRows {
        part: own[0][0] as usize,
        rows: Cow::Owned(own.iter().map(|[_, row]| *row).collect()),
    };
    pairs.chunk_by(|[a, _], [b, _]| a == b).map(of).collect()
}

impl Wanted for Routes {
    fn of(&self, column: usize, row_group: usize) -> Result<Vec<PartRows<'_>>> {
        Ok(by_part(&self.pairs(self.purposes[column], row_group)?))
    }
}
