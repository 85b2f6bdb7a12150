//! Which row brings the values of a payload column.

use std::sync::Arc;

use crate::keys::KeyView;
use crate::pipeline::{Layout, Pipeline};

/// The rows of a part that bring the columns of requests, each request's first example there: as the columns are proven constant within a
/// request, one value is kept for all its rows.
pub struct Carriers {
    /// Input rows, ascending.
    pub rows: Arc<Vec<u32>>,
    /// By request: the ordinal of its carrier among them.
    pub of: Vec<u32>,
}

impl Carriers {
    pub fn new(plane: &KeyView<'_>) -> Self {
        let (mut rows, mut of) = (Vec::new(), Vec::new());
        if let Some(request) = &plane.request {
            of = vec![u32::MAX; request.len()];
            for (code, input_row) in request.rows.iter().zip(plane.input_row.iter()) {
                let ordinal = &mut of[*code as usize];
                if *ordinal == u32::MAX {
                    *ordinal = rows.len() as u32;
                    rows.push(*input_row);
                }
            }
        }
        Carriers { rows: Arc::new(rows), of }
    }
}

/// What a payload column's values are taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Each row brings its own.
    Row,
    /// The request's carrier brings them.
    Request,
    /// The request's carrier brings them, on the request's first row only; the others have nulls.
    RequestFirst,
}

impl Origin {
    pub fn of(p: &Pipeline, column: &String) -> Self {
        match (p.request_columns.contains(column), p.layout) {
            (false, _) => Origin::Row,
            (true, Layout::Inline) => Origin::Request,
            (true, Layout::First) => Origin::RequestFirst,
        }
    }
}
