//! Where shards and row groups end. Depends on the plan and the input's footers alone.

use std::ops::Range;

use crate::compose::Head;
use crate::pipeline::Pipeline;

/// A row group is cut shorter than `row_group_rows` where rows are so large that it would pass this: it is held whole while
/// it is encoded.
const ROW_GROUP_BYTES: u64 = 128 << 20;

/// A shard ends where its rows pass this.
const SHARD_BYTES: u64 = 2 << 30;

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
    pub fn new(p: &Pipeline, head: &Head, row_bytes: u64) -> Self {
        let per_shard = whole_batches(p, p.shard_rows.min(SHARD_BYTES / row_bytes.max(1)));
        let per_group = per_row_group(p, row_bytes);
        let short = head.short_batches();
        // A row group ends behind a short batch, so that readers may cut it every so many rows.
        let row_groups = |batches: Range<usize>| {
            let own =
                &short[short.partition_point(|k| *k < batches.start)..short.partition_point(|k| *k < batches.end)];
            let ends = own.iter().map(|batch| batch + 1).chain([batches.end]);
            let mut start = batches.start;
            let stretches = ends.map(move |end| std::mem::replace(&mut start, end)..end);
            stretches.flat_map(move |batches| pieces(batches, per_group)).collect()
        };
        let shards = pieces(0..head.batches(), per_shard)
            .map(|batches| ShardCut { row_groups: row_groups(batches.clone()), batches })
            .collect();
        Cuts { shards }
    }

    /// One shard, with row groups of so many batches.
    #[cfg(test)]
    pub fn whole(batches: usize, per_group: usize) -> Self {
        let row_groups = pieces(0..batches, per_group).collect();
        Cuts { shards: vec![ShardCut { batches: 0..batches, row_groups }] }
    }

    /// Uncompressed bytes of a row group of all ranks.
    pub fn row_group_bytes(p: &Pipeline, row_bytes: u64) -> u64 {
        (per_row_group(p, row_bytes) as u64).saturating_mul(p.batch_size as u64).saturating_mul(row_bytes)
    }

    /// Cuts all batches into about `parts` ranges of whole row groups.
    pub fn parts(&self, parts: usize) -> Vec<Range<usize>> {
        let groups: Vec<&Range<usize>> = self.shards.iter().flat_map(|s| &s.row_groups).collect();
        let size = groups.len().div_ceil(parts.max(1)).max(1);
        groups.chunks(size).map(|some| some[0].start..some[some.len() - 1].end).collect()
    }

    /// `part-00000.parquet`, with five digits or as many as the last part needs.
    pub fn name(&self, part: usize) -> String {
        let digits = (self.shards.len().max(1) - 1).to_string().len().max(5);
        format!("part-{part:0digits$}.parquet")
    }
}

/// Number of whole batches (of a rank's slices of them) in so many rows; one at least.
fn whole_batches(p: &Pipeline, rows: u64) -> usize {
    usize::try_from((rows / p.slice() as u64).max(1)).unwrap_or(usize::MAX)
}

fn per_row_group(p: &Pipeline, row_bytes: u64) -> usize {
    whole_batches(p, p.row_group_rows.min(ROW_GROUP_BYTES / row_bytes.max(1)))
}

fn pieces(range: Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> {
    range.clone().step_by(size).map(move |start| start..start.saturating_add(size).min(range.end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::Pool;
    use crate::pipeline::load;

    #[test]
    fn shards_end_at_two_gibibytes_of_each_rank_but_hold_a_batch() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("p.toml");
        let text = "input.shards = [\"in\"]\ncolumns.identity = \"user\"\ncompose = { batch_size = 100, remainder = \"drop\" }\noutput.path = \"out\"";
        crate::store::write(&file, text.as_bytes()).unwrap();
        let batches = |ranks: &str, row_bytes: u64| {
            let p = load(&file, &[("output.ranks".into(), ranks.into())]).unwrap();
            let mut head = Head::new(100);
            head.pools = vec![Pool { first_batch: 0, batches: 50, first_position: 0, rows: 5_000 }];
            let cuts = Cuts::new(&p, &head, row_bytes);
            cuts.shards.iter().map(|shard| shard.batches.len()).collect::<Vec<_>>()
        };
        assert_eq!(batches("1", 1_000), [50]);
        // 2,147 rows of a million bytes.
        assert_eq!(batches("1", 1_000_000), [21, 21, 8]);
        assert_eq!(batches("2", 1_000_000), [42, 8]);
        assert_eq!(batches("1", 100 << 20), [1; 50]);
    }
}
