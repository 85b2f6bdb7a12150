//! What a composition is shown beside: other orders of the same examples.

use std::borrow::Cow;
use std::ops::Range;

use rayon::prelude::*;

use super::composition::Composition;
use super::measured::met_ratio;
use crate::error::Result;
use crate::keys::{Key, KeyExchange, KeyView, Keys};
use crate::pipeline::{Field, Pipeline};
use crate::stats::{Baseline, Baselines, BatchStats, Chances, Counts, Metrics, Users, even_ends, random_order};

/// The two baselines: a uniformly random order in closed form, and the input's own order, measured.
///
/// # Errors
/// A scratch file that can't be read or written.
pub fn baselines(p: &Pipeline, composition: &Composition) -> Result<Baselines> {
    let (keys, facts) = (&composition.keys, &composition.facts);
    let (input_order, match_rate) =
        rayon::join(|| input_order(p, keys, &facts.identities), || match_rate(p, composition));
    let random_order = random_order(&facts.identities, facts.requests.as_deref(), match_rate?, p.batch_size);
    Ok(Baselines { random_order, input_order: input_order? })
}

/// Rows that are looked at at a time, about.
const PIECE: usize = 1 << 18;

fn input_order(p: &Pipeline, keys: &Keys, examples: &[u32]) -> Result<Baseline> {
    let b = p.batch_size;
    let mut stats: Vec<BatchStats> = Vec::with_capacity(keys.len().div_ceil(b));
    let size = PIECE.next_multiple_of(b);
    for start in (0..keys.len()).step_by(size) {
        let rows = start..keys.len().min(start + size);
        let view = keys.view(rows, &[Field::Identity, Field::Request, Field::Label].map(Key::Code))?;
        let starts: Vec<u32> = (0..view.len() as u32).step_by(b).collect();
        let alone = |start: &u32| {
            let rows: Vec<u32> = (*start..(view.len() as u32).min(start.saturating_add(b as u32))).collect();
            BatchStats::without_masks(p, &view, 0, &rows)
        };
        stats.par_extend(starts.par_iter().map(alone));
    }
    let counts = Counts { batches: stats.len() as u64, rows_out: keys.len() as u64, ..Counts::default() };
    let ends = even_ends(keys.len(), b);
    let met = met_ratio(p, keys.shape(), (&InputOrder(keys), &ends), examples)?;
    let metrics = Metrics::new(&stats, &counts, b, (0, met));
    Ok(Baseline {
        same_user_rate: Some(metrics.same_user_rate),
        match_rate: metrics.match_rate,
        users_per_batch: Some(metrics.users_per_batch.mean),
        co_user_ratio: metrics.co_user_ratio,
        request_reuse: metrics.request_reuse,
    })
}

/// The match rate of a random order.
fn match_rate(p: &Pipeline, composition: &Composition) -> Result<Option<f64>> {
    let keys = &composition.keys;
    let Some(labels) = &keys.shape().label else { return Ok(None) };
    let mut chances = Chances::new(p, &labels.text);
    let label = [Key::IDENTITY, Key::Code(Field::Label)];
    let mut add = |view: &KeyView<'_>| chances.add(&view.identity.rows, view.codes(&Field::Label).unwrap_or_default());
    let number = composition.room.partitions(keys.len());
    if number == 1 {
        add(&keys.view(0..keys.len(), &label)?);
        return Ok(chances.match_rate());
    }
    let mut parted: Option<KeyExchange> = None;
    keys.each_piece(&label, |_, view| {
        let identities = view.identity.len() as u64;
        let part = |identity: &u32| (u64::from(*identity) * number as u64 / identities) as u32;
        let rows = view.identity.rows.iter().zip(0..).map(|(identity, row)| (part(identity), row, row));
        parted
            .get_or_insert_with(|| KeyExchange::new(view, number, 1, &composition.room))
            .extend(&rows.collect::<Vec<_>>(), view)
    })?;
    for part in 0..number {
        parted.iter().try_for_each(|parted| parted.read(part).map(|(_, view)| add(&view)))?;
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
