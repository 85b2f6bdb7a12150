//! What a composition is shown beside: other orders of the same examples.

use std::borrow::Cow;
use std::ops::Range;

use rayon::prelude::*;

use super::figures::met_ratio;
use super::prepare::Prepared;
use crate::compose::Plan;
use crate::error::Result;
use crate::keys::{Key, KeyPlane, Keys, PartedKeys};
use crate::pipeline::{Field, Pipeline};
use crate::stats::{Baseline, Baselines, BatchStats, Chances, Counts, Metrics, Users, random_order};
use crate::store::MOST_PARTS;

/// The two baselines: a uniformly random order in closed form, and the input's own order, measured.
pub fn baselines(p: &Pipeline, prepared: &Prepared) -> Result<Baselines> {
    let (keys, facts) = (&prepared.keys, &prepared.facts);
    let (input_order, match_rate) = rayon::join(|| input_order(p, keys, &facts.identities), || match_rate(p, prepared));
    let random_order = random_order(&facts.identities, facts.requests.as_deref(), match_rate?, p.batch_size);
    Ok(Baselines { random_order, input_order: input_order? })
}

/// Rows that are looked at at a time, about.
const PIECE: usize = 1 << 18;

fn input_order(p: &Pipeline, keys: &Keys, examples: &[u32]) -> Result<Baseline> {
    let b = p.batch_size;
    let mut stats: Vec<BatchStats> = Vec::with_capacity(keys.len().div_ceil(b));
    let mut measure = |plane: &KeyPlane| {
        let starts: Vec<u32> = (0..plane.len() as u32).step_by(b).collect();
        // Batch by batch: a plan of all rows would take as much as another key.
        let alone = |start: &u32| {
            let rows = *start..(plane.len() as u32).min(start.saturating_add(b as u32));
            let plan = Plan { order: rows.collect(), ..Plan::new(b) };
            BatchStats::without_masks(p, plane, &plan, 0)
        };
        stats.par_extend(starts.par_iter().map(alone));
    };
    match keys {
        Keys::Held(plane) => measure(plane),
        Keys::Filed(filed) => {
            for start in (0..filed.len()).step_by(PIECE.next_multiple_of(b)) {
                let rows = start..filed.len().min(start + PIECE.next_multiple_of(b));
                measure(&filed.read(rows, &[Field::Request, Field::Label].map(Key::Code))?);
            }
        }
    }
    let counts = Counts { batches: stats.len() as u64, rows_out: keys.len() as u64, ..Counts::default() };
    let met = met_ratio(p, keys.shape(), &InputOrder(keys), examples)?;
    let metrics = Metrics::new(&stats, &counts, b, met);
    Ok(Baseline {
        same_user_rate: Some(metrics.same_user_rate),
        match_rate: metrics.match_rate,
        users_per_batch: Some(metrics.users_per_batch.mean),
        co_user_ratio: metrics.co_user_ratio,
        request_reuse: metrics.request_reuse,
    })
}

/// Of a random order.
fn match_rate(p: &Pipeline, prepared: &Prepared) -> Result<Option<f64>> {
    let keys = &prepared.keys;
    let Some(labels) = &keys.shape().label else { return Ok(None) };
    let mut chances = Chances::new(p, &labels.text);
    let mut add = |plane: &KeyPlane| {
        let labels = plane.label.as_ref().map_or(&[][..], |labels| &labels.rows);
        chances.add(&plane.identity.rows, labels);
    };
    match keys {
        Keys::Held(plane) => add(plane),
        Keys::Filed(_) => {
            let mut parted: Option<PartedKeys> = None;
            keys.each_piece(&[Key::Code(Field::Label)], |_, plane| {
                let parted = match &mut parted {
                    Some(parted) => parted,
                    none => none.insert(prepared.parted(plane, MOST_PARTS)),
                };
                let number = plane.identity.len();
                let part = |identity: &u32| *identity as usize * MOST_PARTS / number;
                let mut identities = plane.identity.rows.iter().enumerate();
                identities.try_for_each(|(row, identity)| parted.push(part(identity), 0, plane, row))
            })?;
            for part in 0..parted.as_ref().map_or(0, PartedKeys::len) {
                if let Some(parted) = &parted {
                    add(&parted.take(part)?.1);
                }
            }
        }
    }
    Ok(chances.match_rate())
}

/// Identities in input order.
struct InputOrder<'a>(&'a Keys);

impl Users for InputOrder<'_> {
    fn rows(&self) -> usize {
        self.0.len()
    }

    fn of(&self, rows: Range<usize>) -> Result<Cow<'_, [u32]>> {
        self.0.identities(rows)
    }
}
