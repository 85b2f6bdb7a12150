//! Where shards and row groups end. Depends on the plan and the input's footers alone.

use std::ops::Range;

use crate::pipeline::Pipeline;

/// A row group is cut shorter than `row_group_rows` where rows are so large that it would pass this.
const ROW_GROUP_BYTES: u64 = 1 << 30;

/// A shard (of each rank): its batches, and those of its row groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardCut {
    pub batches: Range<usize>,
    pub row_groups: Vec<Range<usize>>,
}

/// All shards, in reading order; the same for every rank.
#[derive(Debug, Clone)]
pub struct Cuts {
    pub shards: Vec<ShardCut>,
}

impl Cuts {
    /// `row_bytes`: what a row takes on average, uncompressed, by the input's footers.
    pub fn new(p: &Pipeline, batches: usize, row_bytes: u64) -> Self {
        let slice = p.slice() as u64;
        let whole = |rows: u64| usize::try_from((rows / slice).max(1)).unwrap_or(usize::MAX);
        let per_shard = whole(p.shard_rows);
        let per_group = whole(p.row_group_rows.min(ROW_GROUP_BYTES / row_bytes.max(1)));
        let shards = pieces(0..batches, per_shard)
            .map(|batches| ShardCut { row_groups: pieces(batches.clone(), per_group).collect(), batches })
            .collect();
        Cuts { shards }
    }

    /// Cuts all batches into about `parts` ranges of whole row groups.
    pub fn parts(&self, parts: usize) -> Vec<Range<usize>> {
        let groups: Vec<&Range<usize>> = self.shards.iter().flat_map(|s| &s.row_groups).collect();
        let size = groups.len().div_ceil(parts.max(1)).max(1);
        groups.chunks(size).map(|some| some[0].start..some[some.len() - 1].end).collect()
    }

    /// The batches of the first row group.
    pub fn first_row_group(&self) -> Range<usize> {
        self.shards.first().and_then(|s| s.row_groups.first()).cloned().unwrap_or(0..0)
    }

    /// `part-00000.parquet`, with five digits or as many as the last part needs.
    pub fn name(&self, part: usize) -> String {
        let digits = (self.shards.len().max(1) - 1).to_string().len().max(5);
        format!("part-{part:0digits$}.parquet")
    }
}

fn pieces(range: Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> {
    range.clone().step_by(size).map(move |start| start..start.saturating_add(size).min(range.end))
}
