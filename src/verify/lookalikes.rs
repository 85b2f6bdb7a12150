//! What no single batch shows and the checks of each one need: which examples look alike, and which positives the dataset's
//! own rows tell of.

use std::collections::{HashMap, HashSet};

use super::example_keys::example_keys;
use super::files::Readable;
use super::finding::Findings;
use super::rows::{Wanted, each_batch};
use super::view::View;
use crate::reader::Dataset;

/// Known beforehand.
#[derive(Default)]
pub struct Prior {
    /// Keys that several examples share: whose copy a row with one of them is can't be told.
    pub alike: HashSet<u128>,
    /// By `bw_user`, the `bw_item` of its positives; without those of rows that dedup dropped.
    pub positives: HashMap<i64, HashSet<i64>>,
}

impl Prior {
    /// Reads the dataset once, if there is anything to know. `witnessed`: the input tells of positives.
    pub fn read(dataset: &Dataset, readable: &[Readable], witnessed: bool) -> Self {
        let copies = dataset.count("copies") > 0;
        let positives = !witnessed && dataset.list("mask.rules").iter().any(|rule| rule == "known_positive");
        let mut prior = Prior::default();
        if !copies && !positives {
            return prior;
        }
        let wanted = if copies { Wanted::all_but_masks() } else { Wanted::without_masks(&[]) };
        let mut seen: HashSet<u128> = HashSet::new();
        each_batch(dataset, readable, &wanted, &mut Findings::default(), |batch, _| {
            let view = View::new(dataset, &batch);
            let original = |slot: usize| view.copy.get(slot) == Some(&0);
            if copies {
                let keys = example_keys(dataset, &batch).into_iter().enumerate();
                prior
                    .alike
                    .extend(keys.filter(|(slot, key)| original(*slot) && !seen.insert(*key)).map(|(_, key)| key));
            }
            if positives {
                let rows = view.user.iter().zip(&view.item).enumerate();
                for (_, (user, item)) in
                    rows.filter(|(slot, _)| original(*slot) && view.anchor.get(*slot) == Some(&true))
                {
                    prior.positives.entry(*user).or_default().insert(*item);
                }
            }
        });
        prior
    }
}
