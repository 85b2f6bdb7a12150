//! Collections that outgrow memory: whether something is held or on file is their private matter. They know no meaning.

mod column;
mod exchange;
mod file;
mod number;
mod room;

pub use column::Column;
pub use exchange::{Exchange, by_partition};
pub use file::ScratchFile;
pub use number::Number;
pub use room::{MOST_PARTITIONS, Room, half_of_free};
