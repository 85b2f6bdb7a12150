//! user_spread: no batch holds more rows of an identity than counting forces on it, and identities are mixed.

use super::Mode;
use crate::reader::Dataset;
use crate::schema;
use crate::verify::Recomputed;
use crate::verify::finding::{Finding, Findings};

/// Identities should meet about as many others as in a random order; a stride lets the same ones meet again.
const MIXING: f64 = 0.6;

/// With fewer identities or batches, the ratio says little.
const USERS: u64 = 200;
const BATCHES: u64 = 10;

/// Without windows.
pub struct UserSpread;

impl Mode for UserSpread {
    fn finish(
        &self,
        dataset: &Dataset,
        recomputed: &Recomputed,
        per_user: &[(i64, u64, u64)],
        findings: &mut Findings,
    ) {
        caps(dataset, recomputed, per_user, findings);
        let counts = &recomputed.counts;
        let tells = counts.users >= USERS && counts.batches >= BATCHES;
        if let Some(ratio) = recomputed.metrics.co_user_ratio.filter(|ratio| tells && *ratio < MIXING) {
            let problem =
                format!("identities meet {ratio:.2} times as many others as in a random order: they are not mixed");
            findings.add(Finding::of(schema::BATCHES, problem).column(schema::USER));
        }
    }
}

/// No batch holds more than ⌈c/N⌉ rows of an identity.
fn caps(dataset: &Dataset, recomputed: &Recomputed, per_user: &[(i64, u64, u64)], findings: &mut Findings) {
    let padding = if dataset.setting("compose.remainder") == "pad" { dataset.count("copies") } else { 0 };
    let full = recomputed.counts.rows_out.saturating_sub(padding) / dataset.batch_size as u64;
    for (token, rows, most) in per_user.iter().filter(|_| full > 0) {
        if *most > rows.div_ceil(full) {
            let problem = format!(
                "identity {token} has {most} rows in one batch; of {rows} in {full} batches it may have {}",
                rows.div_ceil(full)
            );
            findings.add_of_kind("caps", Finding::of(schema::BATCHES, problem).column(schema::USER));
        }
    }
}
