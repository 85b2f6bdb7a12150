//! request_packed: the rows of a request are consecutive in reading order.

use std::collections::HashSet;

use super::Mode;
use crate::reader::Dataset;
use crate::verify::finding::Findings;
use crate::verify::rows::BatchRows;
use crate::verify::view::View;

#[derive(Default)]
pub struct RequestPacked {
    /// The request of the row read last.
    current: Option<u128>,
    /// Requests behind whose rows another's stood.
    ended: HashSet<u128>,
}

impl Mode for RequestPacked {
    fn see(&mut self, _: &Dataset, batch: &BatchRows, view: &View, findings: &mut Findings) {
        for (slot, request) in view.request.iter().enumerate() {
            let is_copy = view.copy.get(slot).is_some_and(|copy| *copy > 0);
            if is_copy || self.current == *request {
                continue;
            }
            self.ended.extend(self.current);
            self.current = *request;
            if request.is_some_and(|request| self.ended.contains(&request)) {
                let problem = "rows of one request are not consecutive";
                findings.add_of_kind("requests torn", batch.finding(Some(slot), "", problem));
            }
        }
    }
}
