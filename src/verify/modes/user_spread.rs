//! user_spread: in each pool, no batch holds more rows of an identity than counting forces on it; pools follow one another in time,
//! and identities are mixed.

use std::collections::HashMap;

use super::Mode;
use crate::reader::{Dataset, stats_column};
use crate::schema;
use crate::verify::Recomputed;
use crate::verify::finding::{Finding, Findings};
use crate::verify::rows::BatchRows;
use crate::verify::view::View;

/// Identities should meet about as many others as in a random order; a stride lets the same ones meet again.
const MIXING: f64 = 0.6;

/// With fewer identities or batches, the ratio says little.
const USERS: u64 = 200;
const BATCHES: u64 = 10;

pub struct UserSpread {
    /// By batch; empty where the dataset does not tell.
    pools: Vec<i64>,
    pool: i64,
    /// Rows of the pool that are no padding.
    rows: u64,
    /// By identity: its rows in the pool that are no padding, and the most of all in one batch.
    own: HashMap<i64, (u64, u64)>,
    /// The last time of the pool, and of those before.
    last: Option<i64>,
    before: Option<i64>,
}

impl UserSpread {
    pub fn new(dataset: &Dataset) -> Self {
        let whole = || vec![0; dataset.count("batches").min(i32::MAX as u64) as usize];
        let pools = match dataset.value("compose.window").is_null() {
            true => whole(),
            false => stats_column(dataset, "pool")
                .unwrap_or_default()
                .into_iter()
                .map(|p| p.unwrap_or(-1.0) as i64)
                .collect(),
        };
        UserSpread { pools, pool: 0, rows: 0, own: HashMap::new(), last: None, before: None }
    }

    /// No batch of the pool that ends holds more than ⌈c/N⌉ rows of an identity.
    fn close(&mut self, batch_size: u64, findings: &mut Findings) {
        let full = std::mem::take(&mut self.rows) / batch_size;
        let mut own: Vec<(i64, (u64, u64))> = self.own.drain().collect();
        own.sort_unstable();
        for (token, (rows, most)) in own.into_iter().filter(|_| full > 0) {
            if most > rows.div_ceil(full) {
                let problem = format!(
                    "identity {token} has {most} rows in one batch; of {rows} in {full} batches it may have {}",
                    rows.div_ceil(full)
                );
                findings.add_of_kind("caps", Finding::of(schema::BATCHES, problem).column(schema::USER));
            }
        }
        self.before = self.before.max(self.last.take());
    }
}

impl Mode for UserSpread {
    fn see(&mut self, dataset: &Dataset, batch: &BatchRows, view: &View, findings: &mut Findings) {
        let pool = usize::try_from(batch.number).ok().and_then(|batch| self.pools.get(batch)).copied();
        let Some(pool) = pool else { return };
        if pool != self.pool {
            self.close(dataset.batch_size as u64, findings);
            self.pool = pool;
        }
        let mut here: HashMap<i64, u64> = HashMap::new();
        for (slot, user) in view.user.iter().enumerate() {
            *here.entry(*user).or_default() += 1;
            // All copies are padding.
            let is_own = view.copy.get(slot).is_none_or(|copy| *copy <= 0);
            self.rows += u64::from(is_own);
            self.own.entry(*user).or_default().0 += u64::from(is_own);
        }
        for (user, rows) in here {
            let most = &mut self.own.entry(user).or_default().1;
            *most = rows.max(*most);
        }
        self.last = self.last.max(view.time.iter().max().copied());
        if let (Some(first), Some(before)) = (view.time.iter().min(), self.before)
            && *first < before
        {
            let problem = "its pool holds times before those of the pool before";
            findings.add_of_kind("pools", batch.finding(None, "", problem));
        }
    }

    fn finish(&mut self, dataset: &Dataset, recomputed: &Recomputed, findings: &mut Findings) {
        self.close(dataset.batch_size as u64, findings);
        let counts = &recomputed.counts;
        let tells = dataset.value("compose.window").is_null() && counts.users >= USERS && counts.batches >= BATCHES;
        if let Some(ratio) = recomputed.metrics.co_user_ratio.filter(|ratio| tells && *ratio < MIXING) {
            let problem =
                format!("identities meet {ratio:.2} times as many others as in a random order: they are not mixed");
            findings.add(Finding::of(schema::BATCHES, problem).column(schema::USER));
        }
    }
}
