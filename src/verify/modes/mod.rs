//! What each mode promises, checked: one file each, which share nothing with the writer's.

mod identity_grouped;
mod request_packed;
mod user_spread;

use super::Recomputed;
use super::finding::Findings;
use super::rows::BatchRows;
use super::view::View;
use crate::reader::Dataset;

/// The promises of a mode. Batches are shown in reading order.
pub trait Mode {
    /// Looks at the next batch.
    fn see(&mut self, _: &Dataset, _: &BatchRows, _: &View, _: &mut Findings) {}

    /// Looks at all batches together.
    fn finish(&mut self, _: &Dataset, _: &Recomputed, _: &mut Findings) {}
}

/// The mode by which a dataset was composed, of which all batches are seen if it is `whole`.
pub fn mode(dataset: &Dataset, whole: bool) -> Box<dyn Mode> {
    match dataset.setting("compose.mode") {
        "identity_grouped" => Box::new(identity_grouped::IdentityGrouped),
        // What the end of a window cuts in two is two requests, and a dataset does not show where windows end.
        "request_packed" if whole && !dataset.has_exact_windows() => Box::<request_packed::RequestPacked>::default(),
        "user_spread" if whole => Box::new(user_spread::UserSpread::new(dataset)),
        _ => Box::new(Unknown),
    }
}

/// A mode, or windows, of which a dataset does not show what is promised.
struct Unknown;

impl Mode for Unknown {}
