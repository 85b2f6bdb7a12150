//! A mode of your own, in one file: batches in the order of time, as a model meets its users. Nothing of the pipeline file or of
//! `batchwright` knows it.
//!
//! `cargo run --release --example chronological` says how often users repeat in its batches, and in those of `user_spread`.

use std::path::Path;

use batchwright::compose::{Composed, Composer, Head, Mode, compose_by, mode};
use batchwright::error::Result;
use batchwright::job::{Prepared, Settings, prepare};
use batchwright::pipeline::{Pipeline, load};
use batchwright::progress::Progress;

struct Chronological;

impl Mode for Chronological {
    fn compose(&self, composer: &mut Composer<'_>) -> Result<()> {
        for pool in 0..composer.pools() {
            let (places, size) = (composer.places(pool), composer.batch_size());
            for start in places.clone().step_by(size) {
                let piece = composer.piece(start..places.end.min(start + size))?;
                let rows: Vec<u32> = (0..piece.len()).map(|at| piece.row(at)).collect();
                match rows.len() == size {
                    true => composer.place(&rows)?,
                    // What fills no batch becomes what the pipeline's `remainder` says.
                    false => return composer.close_pool(pool, rows),
                }
            }
            composer.close_pool(pool, Vec::new())?;
        }
        Ok(())
    }
}

/// A sample's keys, read and deduplicated.
fn sample() -> Result<(Pipeline, Prepared)> {
    let p = load(Path::new("pipelines/feed_user_spread.toml"), &[])?;
    let prepared = prepare(&p, &Settings::default(), &Progress::new())?;
    Ok((p, prepared))
}

fn compose(mode: &dyn Mode, p: &Pipeline, prepared: &Prepared) -> Result<Composed> {
    let one_part = |head: &Head| std::iter::once(0..head.batches()).collect();
    compose_by(mode, &prepared.composition.keys, p, &prepared.composition.room, one_part)
}

/// The share of ordered pairs of a batch's rows that are of one user.
fn same_user_rate(composed: &Composed, prepared: &Prepared) -> Result<f64> {
    let part = composed.part(&prepared.composition.keys, 0..composed.head().batches())?;
    let (mut same, mut all) = (0u64, 0u64);
    for batch in part.plan.batches.clone() {
        let rows = part.plan.batch(batch);
        let user = |row: &u32| part.view.identity.rows[*row as usize];
        same += rows.iter().map(|i| rows.iter().filter(|j| user(i) == user(j)).count() as u64 - 1).sum::<u64>();
        all += (rows.len() * (rows.len() - 1)) as u64;
    }
    Ok(same as f64 / all as f64)
}

fn main() -> Result<()> {
    let (p, prepared) = sample()?;
    for (name, mode) in [("chronological", &Chronological as &dyn Mode), ("user_spread", mode(&p))] {
        let composed = compose(mode, &p, &prepared)?;
        println!("{name}: {:.3} % of pairs are of one user", 100.0 * same_user_rate(&composed, &prepared)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_occurs_once_in_the_order_of_time() {
        let (p, prepared) = sample().unwrap();
        let composed = compose(&Chronological, &p, &prepared).unwrap();
        let keys = prepared.composition.keys.view_all(0..prepared.composition.keys.len()).unwrap();
        let time = keys.time.unwrap();
        let mut expected: Vec<u32> = (0..time.len() as u32).collect();
        expected.sort_by_key(|row| time[*row as usize]);
        let part = composed.part(&prepared.composition.keys, 0..composed.head().batches()).unwrap();
        let full = expected.len() / p.batch_size * p.batch_size;
        assert_eq!(part.plan.order[..full], expected[..full]);
        // The slots of the short batch are shuffled, as in every mode.
        let mut last = part.plan.order[full..].to_vec();
        last.sort_unstable();
        let mut rest = expected[full..].to_vec();
        rest.sort_unstable();
        assert_eq!(last, rest);
        let spread = compose(mode(&p), &p, &prepared).unwrap();
        assert!(same_user_rate(&spread, &prepared).unwrap() < same_user_rate(&composed, &prepared).unwrap());
    }
}
