//! The slots of a batch by a value: which are equal, numbered by first appearance.

/// No class.
const EMPTY: u32 = u32::MAX;

/// A partition of a batch's slots into classes of equal values.
#[derive(Debug, Clone, Default)]
pub struct Classes {
    /// The class of each slot, by first appearance.
    pub of: Vec<u32>,
    starts: Vec<u32>,
    slots: Vec<u32>,
    /// The value of each class.
    values: Vec<u64>,
}

impl Classes {
    pub fn new(values: impl ExactSizeIterator<Item = u64>) -> Self {
        // Open addressing: cheaper than sorting, and classes come out by first appearance.
        let bits = (values.len() * 2).next_power_of_two().trailing_zeros().max(1);
        let home = |value: u64| ((value ^ value >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - bits)) as usize;
        let mut table = vec![EMPTY; 1 << bits];
        let mut classes = Classes { of: Vec::with_capacity(values.len()), starts: vec![0], ..Classes::default() };
        for value in values {
            let mut at = home(value);
            while table[at] != EMPTY && classes.values[table[at] as usize] != value {
                at = (at + 1) & (table.len() - 1);
            }
            if table[at] == EMPTY {
                table[at] = classes.values.len() as u32;
                classes.values.push(value);
                classes.starts.push(0);
            }
            classes.of.push(table[at]);
            classes.starts[table[at] as usize + 1] += 1;
        }
        (1..classes.starts.len()).for_each(|k| classes.starts[k] += classes.starts[k - 1]);
        let mut next = classes.starts.clone();
        classes.slots = vec![0; classes.of.len()];
        for (class, slot) in classes.of.iter().zip(0..) {
            let place = &mut next[*class as usize];
            classes.slots[*place as usize] = slot;
            *place += 1;
        }
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

    /// The value of each class.
    pub fn values(&self) -> &[u64] {
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
