//! The pipeline file: as typed (`file`), changed by `--set` (`load`), and with everything decided (`resolve`).
//!
//! Takes a path and overrides; gives a [`Pipeline`] in which every default is written out and every
//! contradiction that can be seen without the data has been refused.

mod file;
mod generated;
mod load;
mod location;
mod names;
mod near;
mod params;
mod record;
mod resolve;
mod window;

pub use file::{
    Encoding, Hash, Keep, Layout, Mode, Nulls, PipelineFile, Remainder, Scarce, SchemaMode, TimeUnit, Types, WindowEnds,
};
pub use load::{load, load_with};
pub use location::percent_decoded;
pub use near::nearest;
pub use resolve::{Field, Group, MAX_RANKS, Pipeline, RuleText};
pub use window::{Unit, Window, Zone};
