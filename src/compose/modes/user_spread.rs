//! user_spread: rows of one identity as far apart as they can be.

use crate::compose::by_identity::each_share;
use crate::compose::composer::Composer;
use crate::compose::deal::Deal;
use crate::compose::modes::Mode;
use crate::compose::spread::Spread;
use crate::error::Result;

pub struct UserSpread;

impl Mode for UserSpread {
    fn spreads_rows(&self) -> bool {
        true
    }

    fn compose(&self, composer: &mut Composer<'_>) -> Result<()> {
        for pool in 0..composer.pools() {
            let (places, b, seed) = (composer.places(pool), composer.p.batch_size, composer.p.seed);
            let (full, short) = (places.len() / b, places.len() % b);
            let deal = Deal::new(seed, "rows", pool as u64, places.len(), full, &[short]);
            let mut spread = Spread::new(deal, 1, composer.room)?;
            each_share(&composer.precedence, places, composer.identities(), composer.room, |mut share| {
                spread.count(&share.runs);
                let rows = std::mem::take(&mut share.rows);
                spread.take(rows, || share.owners())
            })?;
            let tail = spread.partial(0).into_iter().map(|[_, row]| row).collect();
            spread.place(seed, composer.batches(), &mut composer.order)?;
            composer.close_pool(pool, tail)?;
        }
        Ok(())
    }
}
