//! The modes: how rows become units, which are dealt over batches. One file each.

mod identity_grouped;
mod request_packed;
mod user_spread;

use super::composer::Composer;
use crate::error::{Error, Result};
use crate::pipeline::{self, Field, Pipeline};

/// A mode of composition.
pub trait Mode: Sync {
    /// Whether it can compose by this pipeline, as far as the pipeline tells.
    ///
    /// # Errors
    /// What the mode lacks, or has no use for.
    fn check(&self, p: &Pipeline) -> Result<()> {
        without_groups(p)
    }

    /// The key that it decides by beside identities.
    fn deciding(&self) -> Option<Field> {
        None
    }

    /// The key whose rows stand side by side: a pool's last rows keep their order, and copies that pad them are sorted by it.
    /// Without one, slots are shuffled.
    fn together(&self) -> Option<Field> {
        None
    }

    /// Whether no batch has more rows of an identity than counting forces on it.
    fn spreads_rows(&self) -> bool {
        false
    }

    /// Composes all pools: places rows in batches, and closes each pool.
    ///
    /// # Errors
    /// Keys that it can't compose, or a scratch file that can't be read or written.
    fn compose(&self, composer: &mut Composer<'_>) -> Result<()>;
}

/// The mode of a pipeline.
pub fn mode(p: &Pipeline) -> &'static dyn Mode {
    match p.mode {
        pipeline::Mode::UserSpread => &user_spread::UserSpread,
        pipeline::Mode::IdentityGrouped => &identity_grouped::IdentityGrouped,
        pipeline::Mode::RequestPacked => &request_packed::RequestPacked,
    }
}

/// Refuses groups that nobody forms.
fn without_groups(p: &Pipeline) -> Result<()> {
    if p.group.is_none() {
        return Ok(());
    }
    Err(Error::pipeline("compose.group", "only identity_grouped has groups", "set compose.mode = \"identity_grouped\""))
}
