//! The routes of a split, between `compose` and `scatter`: which of its rows go where, and which are of one request.

use std::ops::Range;
use std::path::Path;

use arrow::datatypes::UInt32Type;

use super::bundle::{self, Bundle};
use crate::error::Result;
use crate::job::routes::{Purpose, Routes, by_part};
use crate::keys::Keys;
use crate::payload::{Examples, PartRows, Wanted, WantedRows};
use crate::source::RowGroup;

const PURPOSES: [(Purpose, &str); 3] =
    [(Purpose::Examples, "example"), (Purpose::Carriers, "carrier"), (Purpose::Items, "item")];

/// Which requests have examples in several splits.
pub struct SharedRequests(Vec<bool>);

impl SharedRequests {
    /// Routes for splits that end before these input rows, ascending.
    ///
    /// # Errors
    /// A scratch file that can't be read.
    pub fn new(keys: &Keys, ends: &[u64]) -> Result<Self> {
        const NONE: u32 = u32::MAX;
        let mut first = vec![NONE; keys.number()];
        let mut shared = vec![false; keys.number()];
        let mut start = 0;
        for (end, split) in ends.iter().zip(0..) {
            for request in keys.within(start..*end)?.requests.iter() {
                let known = &mut first[*request as usize];
                shared[*request as usize] |= *known != NONE && *known != split;
                *known = split;
            }
            start = *end;
        }
        Ok(SharedRequests(shared))
    }
}

/// Writes the routes of some row groups, the `first`-th of the input and those behind it.
///
/// # Errors
/// A scratch file that can't be read, or a file that can't be written.
pub fn write(
    path: &Path,
    (first, groups): (usize, &[RowGroup]),
    routes: &Routes,
    keys: &Keys,
    shared: &SharedRequests,
) -> Result<()> {
    let group = |(k, group): (usize, &RowGroup)| {
        let start = u64::from(group.first_row);
        let WantedRows { input_rows, requests } = keys.within(start..start + u64::from(group.rows))?;
        let mut all = Bundle::default()
            .numbers::<UInt32Type>("input_row", input_rows.into_owned())
            .truths("shared", &requests.iter().map(|request| shared.0[*request as usize]).collect::<Vec<_>>())
            .numbers::<UInt32Type>("request", requests.into_owned());
        for (purpose, name) in PURPOSES {
            let pairs = routes.pairs(purpose, first + k)?;
            all = all
                .numbers::<UInt32Type>(&format!("{name}_part"), pairs.iter().map(|[part, _]| *part).collect())
                .numbers::<UInt32Type>(&format!("{name}_row"), pairs.iter().map(|[_, row]| *row).collect());
        }
        Ok(all)
    };
    bundle::write(path, groups.iter().enumerate().map(group))
}

/// The routes of a split as they are read.
pub struct SplitRoutes {
    first_group: usize,
    purposes: Vec<Purpose>,
    /// For each row group, by purpose: parts and input rows.
    groups: Vec<[Vec<[u32; 2]>; 3]>,
    input_rows: Vec<u32>,
    /// The row of each example, counted in the split.
    requests: Vec<u32>,
    /// The code of each request of the split in the whole input, and whether it has examples in other splits.
    pub codes: Vec<u32>,
    shared: Vec<bool>,
}

impl SplitRoutes {
    /// `purposes` are those of the columns; the split begins with the `first_group`-th row group.
    ///
    /// # Errors
    /// A file that can't be read.
    pub fn read(path: &Path, first_group: usize, purposes: Vec<Purpose>) -> Result<Self> {
        let (mut input_rows, mut requests, mut shared) = (Vec::new(), Vec::new(), Vec::new());
        let mut groups = Vec::new();
        for bundle in bundle::read(path)? {
            let bundle = bundle?;
            input_rows.extend(bundle.get::<UInt32Type>("input_row")?);
            requests.extend(bundle.get::<UInt32Type>("request")?);
            shared.extend(bundle.get_truths("shared")?);
            let mut group: [Vec<[u32; 2]>; 3] = Default::default();
            for ((_, name), pairs) in PURPOSES.iter().zip(&mut group) {
                let parts = bundle.get::<UInt32Type>(&format!("{name}_part"))?;
                let rows = bundle.get::<UInt32Type>(&format!("{name}_row"))?;
                *pairs = parts.into_iter().zip(rows).map(<[u32; 2]>::from).collect();
            }
            groups.push(group);
        }
        let (firsts, own) = crate::compose::distinct(&requests);
        let codes = firsts.iter().map(|at| requests[*at as usize]).collect();
        let shared = firsts.iter().map(|at| shared[*at as usize]).collect();
        Ok(SplitRoutes { first_group, purposes, groups, input_rows, requests: own, codes, shared })
    }

    /// Row groups of the split.
    pub fn groups(&self) -> Range<usize> {
        self.first_group..self.first_group + self.groups.len()
    }
}

impl Wanted for SplitRoutes {
    fn of(&self, column: usize, row_group: usize) -> Result<Vec<PartRows<'_>>> {
        let purpose = PURPOSES.iter().position(|(purpose, _)| *purpose == self.purposes[column]);
        let group = row_group.checked_sub(self.first_group).and_then(|group| self.groups.get(group));
        Ok(by_part(group.zip(purpose).map_or(&[], |(group, purpose)| &group[purpose])))
    }
}

impl Examples for SplitRoutes {
    fn number(&self) -> usize {
        self.codes.len()
    }

    fn each_piece(&self, each: &mut (dyn FnMut(&[u32]) + Send)) -> Result<()> {
        each(&self.requests);
        Ok(())
    }

    fn within(&self, input_rows: Range<u64>) -> Result<WantedRows<'_>> {
        let place = |row: u64| self.input_rows.partition_point(|own| u64::from(*own) < row);
        let places = place(input_rows.start)..place(input_rows.end);
        let requests = self.requests.get(places.clone()).unwrap_or_default();
        Ok(WantedRows { input_rows: self.input_rows[places].into(), requests: requests.into() })
    }

    fn lies_elsewhere(&self, request: u32) -> bool {
        self.shared[request as usize]
    }
}
