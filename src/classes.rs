//! The slots of a batch by a value: which are equal, numbered by first appearance.

/// A partition of a batch's slots into classes of equal values.
#[derive(Debug, Clone, Default)]
pub struct Classes {
    /// The class of each slot, by first appearance.
    pub of: Vec<u32>,
    starts: Vec<u32>,
    slots: Vec<u32>,
    /// (value, class), ascending by value.
    values: Vec<(u64, u32)>,
}

impl Classes {
    pub fn new(values: impl Iterator<Item = u64>) -> Self {
        let mut keyed: Vec<(u64, u32)> = values.zip(0..).collect();
        keyed.sort_unstable();
        let mut runs: Vec<&[(u64, u32)]> = keyed.chunk_by(|a, b| a.0 == b.0).collect();
        runs.sort_unstable_by_key(|run| run[0].1);
        let mut classes = Classes {
            of: vec![0; keyed.len()],
            starts: Vec::with_capacity(runs.len() + 1),
            slots: Vec::with_capacity(keyed.len()),
            values: Vec::with_capacity(runs.len()),
        };
        classes.starts.push(0);
        for (class, run) in runs.iter().enumerate() {
            classes.values.push((run[0].0, class as u32));
            for (_, slot) in *run {
                classes.of[*slot as usize] = class as u32;
                classes.slots.push(*slot);
            }
            classes.starts.push(classes.slots.len() as u32);
        }
        classes.values.sort_unstable();
        classes
    }

    /// Number of classes.
    pub fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The slots of a class, ascending.
    pub fn members(&self, class: u32) -> &[u32] {
        &self.slots[self.starts[class as usize] as usize..self.starts[class as usize + 1] as usize]
    }

    /// (value, class), ascending by value.
    pub fn values(&self) -> &[(u64, u32)] {
        &self.values
    }

    /// Slots that agree in `self` and in `other`.
    pub fn and(&self, other: &Classes) -> Classes {
        Classes::new(self.of.iter().zip(&other.of).map(|(a, b)| u64::from(*a) << 32 | u64::from(*b)))
    }

    /// Σ c(c−1) over the classes: ordered pairs of equal slots.
    pub fn pairs(&self) -> u64 {
        self.starts.windows(2).map(|w| u64::from(w[1] - w[0])).map(|c| c * (c - 1)).sum()
    }

    /// Size of the largest class.
    pub fn largest(&self) -> u32 {
        self.starts.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(0)
    }
}
