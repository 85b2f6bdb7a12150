//! Numbers, and small records of them, as little-endian bytes.

/// A record of a fixed number of bytes.
pub trait Number: Copy + Send + Sync + 'static {
    const BYTES: usize;
    /// Writes it into as many bytes.
    fn put(self, into: &mut [u8]);
    fn get(bytes: &[u8]) -> Self;
}

macro_rules! number {
    ($number:ty) => {
        impl Number for $number {
            const BYTES: usize = size_of::<$number>();

            fn put(self, into: &mut [u8]) {
                if let Some(into) = into.first_chunk_mut() {
                    *into = self.to_le_bytes();
                }
            }

            fn get(bytes: &[u8]) -> Self {
                bytes.try_into().map_or(<$number>::default(), <$number>::from_le_bytes)
            }
        }
    };
}

number!(u32);
number!(u64);
number!(u128);
number!(i64);
number!(f32);

impl Number for bool {
    const BYTES: usize = 1;

    fn put(self, into: &mut [u8]) {
        into.fill(self.into());
    }

    fn get(bytes: &[u8]) -> Self {
        bytes.first().is_some_and(|byte| *byte != 0)
    }
}

impl<const N: usize> Number for [u32; N] {
    const BYTES: usize = 4 * N;

    fn put(self, into: &mut [u8]) {
        self.into_iter().zip(into.chunks_exact_mut(4)).for_each(|(word, into)| word.put(into));
    }

    fn get(bytes: &[u8]) -> Self {
        std::array::from_fn(|k| bytes.get(4 * k..4 * k + 4).map_or(0, u32::get))
    }
}

/// As bytes, one behind the other.
pub(super) fn bytes_of<T: Number>(numbers: &[T]) -> Vec<u8> {
    let mut bytes = vec![0; numbers.len() * T::BYTES];
    bytes.chunks_exact_mut(T::BYTES).zip(numbers).for_each(|(bytes, number)| number.put(bytes));
    bytes
}
