//! Where the lists of a page begin, by its levels: hybrids of runs and packed bits, as Parquet has them.

/// Levels of up to 8 bits: equal ones, or packed ones, the first in the lowest bits.
enum Run<'a> {
    Equal(u8, usize),
    Packed(&'a [u8], usize),
}

/// The runs of `left` levels. It ends early where the bytes do, and at a level that has more bits.
struct Runs<'a> {
    bytes: &'a [u8],
    width: usize,
    left: usize,
}

impl<'a> Runs<'a> {
    fn take_bytes(&mut self, number: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(number)?;
        self.bytes = rest;
        Some(taken)
    }

    /// Seven bits a byte, the lowest first.
    fn header(&mut self) -> Option<u64> {
        let mut header = 0;
        for shift in (0..35).step_by(7) {
            let byte = self.take_bytes(1)?[0];
            header |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(header);
            }
        }
        None
    }

    /// One level after the other.
    fn levels(self) -> impl Iterator<Item = u8> + use<'a> {
        let width = self.width;
        self.flat_map(move |run| {
            let (bytes, number, equal) = match run {
                Run::Equal(level, number) => (&[][..], number, level),
                Run::Packed(bytes, number) => (bytes, number, 0),
            };
            (0..number).map(move |k| if bytes.is_empty() { equal } else { packed(bytes, width, k) })
        })
    }
}

impl<'a> Iterator for Runs<'a> {
    type Item = Run<'a>;

    fn next(&mut self) -> Option<Run<'a>> {
        if self.left == 0 {
            return None;
        }
        let header = self.header()?;
        let number = usize::try_from(header >> 1).ok()?;
        let run = match header & 1 {
            0 => {
                let level = self.take_bytes(1)?[0];
                Run::Equal(Some(level).filter(|level| u16::from(*level) < 1 << self.width)?, number.min(self.left))
            }
            // Groups of eight levels.
            _ => Run::Packed(self.take_bytes(number.checked_mul(self.width)?)?, (8 * number).min(self.left)),
        };
        let (Run::Equal(_, number) | Run::Packed(_, number)) = run;
        self.left -= number;
        Some(run)
    }
}

fn packed(bytes: &[u8], width: usize, k: usize) -> u8 {
    let (byte, bit) = (k * width / 8, k * width % 8);
    let two = u16::from_le_bytes([bytes[byte], bytes.get(byte + 1).copied().unwrap_or(0)]);
    (two >> bit) as u8 & ((1u16 << width) - 1) as u8
}

/// The definition levels of a column of lists.
#[derive(Clone, Copy)]
pub struct Definitions {
    /// The level of a number.
    pub number: u8,
    /// The level of an empty list; below it the list is null.
    pub empty: u8,
}

/// The levels of a page, each of so many.
pub struct PageLevels<'a> {
    pub number: usize,
    /// 0 where a list begins, else 1.
    pub repetitions: &'a [u8],
    pub definitions: &'a [u8],
}

/// The lists that begin in a page.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PageLists {
    /// Ordinals among the page's numbers.
    pub starts: Vec<usize>,
    /// Whether the list is not null.
    pub valid: Vec<bool>,
    /// How many numbers the page holds; the first ones may be those of a list that began before.
    pub numbers: usize,
}

impl PageLevels<'_> {
    /// Takes `most` lists at most. `None` where a number is null, or the levels are damaged.
    pub fn lists(&self, of: Definitions, most: usize) -> Option<PageLists> {
        let width = (u8::BITS - of.number.leading_zeros()) as usize;
        let definitions = || Runs { bytes: self.definitions, width, left: self.number };
        let repetitions = Runs { bytes: self.repetitions, width: 1, left: self.number };
        let mut runs = definitions();
        let full = runs.all(|run| match run {
            Run::Equal(level, _) => level == of.number,
            Run::Packed(bytes, number) => (0..number).all(|k| packed(bytes, width, k) == of.number),
        });
        match full && runs.left == 0 {
            true => starts(repetitions, most).map(|starts| PageLists {
                valid: vec![true; starts.len()],
                numbers: self.number,
                starts,
            }),
            false => self.of_any_length(of, definitions().levels(), repetitions.levels(), most),
        }
    }

    fn of_any_length(
        &self,
        of: Definitions,
        definitions: impl Iterator<Item = u8>,
        repetitions: impl Iterator<Item = u8>,
        most: usize,
    ) -> Option<PageLists> {
        let (mut lists, mut seen, mut goes_on) = (PageLists::default(), 0, true);
        for (definition, repetition) in definitions.zip(repetitions) {
            let is_number = definition == of.number;
            let beyond = repetition > 0 && !goes_on;
            if beyond || !is_number && (definition > of.empty || repetition > 0) {
                return None;
            }
            goes_on = is_number;
            if repetition == 0 && lists.starts.len() < most {
                lists.starts.push(lists.numbers);
                lists.valid.push(definition >= of.empty);
            }
            lists.numbers += usize::from(is_number);
            seen += 1;
        }
        (seen == self.number).then_some(lists)
    }
}

/// The ordinals of the first `most` levels that are 0; `None` if levels are missing.
fn starts(mut repetitions: Runs<'_>, most: usize) -> Option<Vec<usize>> {
    let (mut starts, mut at) = (Vec::new(), 0);
    for run in &mut repetitions {
        match run {
            Run::Equal(level, number) => {
                let begin = if level == 0 { number.min(most - starts.len()) } else { 0 };
                starts.extend(at..at + begin);
                at += number;
            }
            Run::Packed(bytes, number) => {
                // Nearly all bits are ones, in runs of a byte or two.
                for (byte, first) in bytes.iter().zip((at..at + number).step_by(8)) {
                    let mut zeros = !byte;
                    while zeros != 0 && starts.len() < most {
                        starts.push(first + zeros.trailing_zeros() as usize);
                        zeros &= zeros - 1;
                    }
                }
                at += number;
                // Bits behind the last level.
                while starts.last().is_some_and(|start| *start >= at) {
                    starts.pop();
                }
            }
        }
    }
    (repetitions.left == 0).then_some(starts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OF: Definitions = Definitions { number: 3, empty: 1 };

    fn lists(definitions: &[u8], repetitions: &[u8], number: usize) -> Option<PageLists> {
        PageLevels { number, repetitions, definitions }.lists(OF, 100)
    }

    #[test]
    fn runs_and_packed_bits_are_one() {
        // Lists of 3, 0 and 5 numbers, then a null: 3 3 3 1 3 3 3 3 3 0 and 0 1 1 0 0 1 1 1 1 0.
        let packed = [0b101, 0b0111_1111, 0b1111_1111, 0b11, 0];
        let runs = [6, 3, 2, 1, 10, 3, 2, 0];
        let bits = [0b101, 0b1110_0110, 0b01];
        let of_runs = [2, 0, 4, 1, 4, 0, 8, 1, 2, 0];
        let wanted = PageLists { starts: vec![0, 3, 3, 8], valid: vec![true, true, true, false], numbers: 8 };
        for definitions in [&packed[..], &runs] {
            for repetitions in [&bits[..], &of_runs] {
                assert_eq!(lists(definitions, repetitions, 10).as_ref(), Some(&wanted));
            }
        }
        // As many numbers as there are levels: the other way to find where lists begin.
        for repetitions in [&bits[..], &of_runs] {
            let full = lists(&[20, 3], repetitions, 10).unwrap();
            assert_eq!((full.starts, full.numbers), (vec![0, 3, 4, 9], 10));
            let cut = PageLevels { number: 10, repetitions, definitions: &[20, 3] };
            assert_eq!(cut.lists(OF, 2).unwrap().starts, [0, 3]);
        }
    }

    #[test]
    fn what_is_cut_or_has_null_numbers_is_given_up() {
        assert_eq!(lists(&[20, 3], &[0b101, 0b1110_0110], 10), None);
        assert_eq!(lists(&[18, 3], &[20, 1], 10), None);
        assert_eq!(lists(&[20, 2], &[2, 0, 18, 1], 10), None);
        assert_eq!(lists(&[20], &[20, 1], 10), None);
        assert_eq!(lists(&[20, 3], &[20, 2], 10), None);
        assert_eq!(lists(&[20, 4], &[20, 1], 10), None);
        // An empty list, and behind it a number that begins none.
        assert_eq!(lists(&[2, 1, 18, 3], &[2, 0, 18, 1], 10), None);
    }

    proptest! {
        /// Whatever the bytes: an answer, no larger than it was asked for.
        #[test]
        fn any_bytes_are_read(
            (definitions, repetitions) in any::<(Vec<u8>, Vec<u8>)>(), number in 0usize..200, most in 0usize..50,
        ) {
            let levels = PageLevels { number, repetitions: &repetitions, definitions: &definitions };
            if let Some(lists) = levels.lists(OF, most) {
                prop_assert!(lists.starts.len() <= most && lists.starts.len() == lists.valid.len());
                prop_assert!(lists.starts.is_sorted() && lists.starts.iter().all(|start| *start <= lists.numbers));
                prop_assert!(lists.numbers <= number);
            }
        }
    }
}
