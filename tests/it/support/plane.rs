//! Random key planes of awkward shapes.

use batchwright::compose::{self, Plan};
use batchwright::error::Result;
use batchwright::keys::{Codes, KeyPlane, Labels};
use batchwright::pipeline::{self, Pipeline};
use proptest::prelude::*;

/// What a plane is made from; small on purpose, and skewed.
#[derive(Debug, Clone)]
pub struct Shape {
    /// For each row: identity, request within the identity, item, label, time, positive.
    pub rows: Vec<(u8, u8, u8, u8, u8, bool)>,
    pub batch_size: u32,
    pub seed: u64,
}

impl Shape {
    /// Up to `rows` rows; identities are skewed towards a few heavy ones.
    pub fn any(rows: usize) -> impl Strategy<Value = Shape> {
        let identity = prop_oneof![3 => 0u8..3, 2 => 0u8..12, 1 => 0u8..=255];
        let row = (identity, 0u8..4, 0u8..20, 0u8..3, 0u8..40, any::<bool>());
        (prop::collection::vec(row, 1..=rows), 1u32..24, any::<u64>()).prop_map(|(rows, batch_size, seed)| Shape {
            rows,
            batch_size,
            seed,
        })
    }
}

fn codes(values: impl Iterator<Item = u32> + Clone) -> Codes {
    let mut distinct: Vec<u32> = values.clone().collect();
    distinct.sort_unstable();
    distinct.dedup();
    Codes::new(
        values.map(|v| distinct.binary_search(&v).expect("it is there") as u32).collect(),
        distinct.iter().map(|v| u128::from(*v) << 64 | u128::from(*v)).collect(),
    )
}

/// The plane of a shape; requests belong to one identity.
pub fn plane(shape: &Shape) -> KeyPlane {
    let rows = &shape.rows;
    KeyPlane {
        input_row: (0..rows.len() as u32).collect(),
        identity: codes(rows.iter().map(|r| u32::from(r.0))),
        request: Some(codes(rows.iter().map(|r| u32::from(r.0) * 256 + u32::from(r.1)))),
        item: Some(codes(rows.iter().map(|r| u32::from(r.2)))),
        label: Some(Labels {
            rows: rows.iter().map(|r| u32::from(r.3)).collect(),
            text: ["a", "b", "c"].map(|t| Some(t.to_owned())).to_vec().into(),
        }),
        time: Some(rows.iter().map(|r| i64::from(r.4)).collect()),
        time_unit_nanos: Some(1),
        time_is_float: false,
        positive: Some(rows.iter().map(|r| r.5).collect()),
        columns: Vec::new(),
    }
}

/// A pipeline with all roles mapped; `more` sets further keys.
pub fn pipeline(shape: &Shape, more: &[(&str, &str)]) -> Pipeline {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("p.toml");
    let text = r#"
        input.shards = ["in"]
        columns = { identity = "user", request = "request", item = "item", label = "label", time = "time" }
        output.path = "out"
    "#;
    std::fs::write(&path, text).expect("a file");
    let mut sets = vec![
        ("compose.batch_size".to_owned(), shape.batch_size.to_string()),
        ("compose.seed".to_owned(), (shape.seed >> 1).to_string()),
    ];
    sets.extend(more.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
    pipeline::load(&path, &sets).unwrap_or_else(|e| panic!("{e}"))
}

/// The plan of a plane, as a run makes it.
pub fn compose(plane: &KeyPlane, p: &Pipeline) -> Result<Plan> {
    compose::compose(plane, compose::windows(plane, p)?, p)
}
