//! Random key planes of awkward shapes.

use std::borrow::Cow;
use std::ops::Range;

use batchwright::compose::{self, Composed, Head, Plan, Pool};
use batchwright::error::Result;
use batchwright::keys::{Codes, KeyView, Keys, Labels};
use batchwright::pipeline::{self, Pipeline};
use batchwright::spill::Room;
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

fn codes(values: impl Iterator<Item = u32> + Clone) -> Codes<'static> {
    let mut distinct: Vec<u32> = values.clone().collect();
    distinct.sort_unstable();
    distinct.dedup();
    Codes::new(
        values.map(|v| distinct.binary_search(&v).expect("it is there") as u32).collect(),
        distinct.iter().map(|v| u128::from(*v) << 64 | u128::from(*v)).collect(),
    )
}

/// The plane of a shape; requests belong to one identity.
pub fn plane(shape: &Shape) -> KeyView<'static> {
    let rows = &shape.rows;
    KeyView {
        input_row: (0..rows.len() as u32).collect::<Vec<u32>>().into(),
        identity: codes(rows.iter().map(|r| u32::from(r.0))),
        request: Some(codes(rows.iter().map(|r| u32::from(r.0) * 256 + u32::from(r.1)))),
        item: Some(codes(rows.iter().map(|r| u32::from(r.2)))),
        label: Some(Labels {
            rows: rows.iter().map(|r| u32::from(r.3)).collect::<Vec<u32>>().into(),
            text: ["a", "b", "c"].map(|t| Some(t.to_owned())).to_vec().into(),
        }),
        time: Some(rows.iter().map(|r| i64::from(r.4)).collect::<Vec<i64>>().into()),
        time_unit_nanos: Some(1),
        time_is_float: false,
        time_is_local: false,
        positive: Some(rows.iter().map(|r| r.5).collect::<Vec<bool>>().into()),
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

/// A plan of all batches, whose examples are rows of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    pub head: Head,
    pub order: Vec<u32>,
    copy: Vec<u32>,
    /// Pools, and rows that do not occur.
    pub dropped: Vec<(u32, u32)>,
}

impl Whole {
    /// Of keys whose rows are those of the input.
    pub fn new(keys: &Keys, composed: &Composed) -> Result<Self> {
        let part = composed.part(keys, 0..composed.head().batches())?;
        let order: Vec<u32> = part.plan.order.iter().map(|row| part.view.input_row[*row as usize]).collect();
        let mut copy = part.plan.copy.to_vec();
        copy.resize(order.len(), 0);
        let mut dropped: Vec<(u32, u32)> =
            composed.dropped().read(0..composed.dropped().len())?.iter().map(|[pool, row]| (*pool, *row)).collect();
        dropped.sort_unstable();
        Ok(Whole { head: composed.head().clone(), order, copy, dropped })
    }

    pub fn plan(&self) -> Plan<'_> {
        let copy: &[u32] = if self.head.copies == 0 { &[] } else { &self.copy };
        Plan {
            head: &self.head,
            batches: 0..self.batches(),
            order: Cow::Borrowed(&self.order),
            copy: Cow::Borrowed(copy),
        }
    }

    pub fn pools(&self) -> &[Pool] {
        &self.head.pools
    }

    pub fn batches(&self) -> usize {
        self.head.batches()
    }

    /// The positions of a batch.
    pub fn positions(&self, batch: usize) -> Range<usize> {
        self.head.positions(&(batch..batch + 1))
    }

    pub fn batch(&self, batch: usize) -> &[u32] {
        &self.order[self.positions(batch)]
    }

    pub fn copy_at(&self, position: usize) -> u32 {
        self.copy[position]
    }

    pub fn is_padding(&self, position: usize) -> bool {
        self.head.is_padding(position)
    }

    pub fn group_slot(&self, batch: usize, slot: usize) -> i32 {
        self.head.group_slot(batch, slot)
    }

    pub fn copies(&self) -> usize {
        self.copy.iter().filter(|ordinal| **ordinal > 0).count()
    }
}

/// Two batches in each range.
pub fn in_twos(head: &Head) -> Vec<Range<usize>> {
    (0..head.batches()).step_by(2).map(|start| start..head.batches().min(start + 2)).collect()
}

/// The plan of keys, as a run makes it.
pub fn compose(view: &KeyView<'_>, p: &Pipeline) -> Result<Whole> {
    compose_in(view, p, &Room::unlimited())
}

/// The plan of keys, made in some room.
pub fn compose_in(view: &KeyView<'_>, p: &Pipeline, room: &Room) -> Result<Whole> {
    // Rows of the keys may have been left out of the input's.
    let view = KeyView { input_row: (0..view.len() as u32).collect::<Vec<u32>>().into(), ..view.borrowed() };
    let keys = Keys::of(&view, room)?;
    Whole::new(&keys, &compose::compose(&keys, p, room, in_twos)?)
}
