//! The modes: how rows become units, which are dealt over batches.

pub mod identity_grouped;
pub mod request_packed;
pub mod user_spread;
