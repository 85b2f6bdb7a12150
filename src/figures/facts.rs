//! What is counted of the examples before they are composed, value by value.

use crate::error::Result;
use crate::keys::{Key, KeyView, Keys};
use crate::pipeline::Field;

/// Counts by code.
#[derive(Default)]
pub struct Facts {
    /// By identity: examples.
    pub identities: Vec<u32>,
    /// Where items are mapped.
    pub items: ItemFacts,
    /// By request: examples, where requests are mapped.
    pub requests: Option<Vec<u32>>,
    /// Requests with examples of several identities.
    pub mixed_requests: u64,
    /// By label: examples.
    pub labels: Vec<u64>,
}

/// By item code.
#[derive(Default)]
pub struct ItemFacts {
    pub rows_before_dedup: Vec<u32>,
    /// An input row that shows it.
    pub shown_by: Vec<u32>,
    /// Examples.
    pub rows: Vec<u32>,
    pub positives: Vec<u32>,
}

impl Facts {
    /// What is known before dedup.
    ///
    /// # Errors
    /// A scratch file that can't be read.
    pub fn before_dedup(keys: &Keys) -> Result<Self> {
        let number = keys.shape().item.as_ref().map_or(0, |item| item.len());
        let (mut rows, mut shown_by) = (vec![0; number], vec![u32::MAX; number]);
        keys.each_piece(&[Key::InputRow, Key::Code(Field::Item)], |_, plane| {
            for (code, input_row) in item_codes(plane).iter().zip(plane.input_row.iter()) {
                rows[*code as usize] += 1;
                shown_by[*code as usize] = shown_by[*code as usize].min(*input_row);
            }
            Ok(())
        })?;
        let items = ItemFacts { rows_before_dedup: rows, shown_by, ..ItemFacts::default() };
        Ok(Facts { items, ..Facts::default() })
    }

    /// Adds what is known of the examples.
    ///
    /// # Errors
    /// A scratch file that can't be read.
    pub fn add_examples(&mut self, keys: &Keys) -> Result<()> {
        let shape = keys.shape();
        let number = shape.item.as_ref().map_or(0, |item| item.len());
        self.identities = vec![0; shape.identity.len()];
        (self.items.rows, self.items.positives) = (vec![0; number], vec![0; number]);
        self.labels = vec![0; shape.label.as_ref().map_or(0, |labels| labels.text.len())];
        self.requests = shape.request.as_ref().map(|request| vec![0; request.len()]);
        let mut owners = Owners::new(shape.request.as_ref().map_or(0, |request| request.len()));
        let codes = [Field::Identity, Field::Request, Field::Item, Field::Label].map(Key::Code);
        keys.each_piece(&[&codes[..], &[Key::Positive]].concat(), |_, plane| {
            plane.identity.rows.iter().for_each(|code| self.identities[*code as usize] += 1);
            for (code, row) in item_codes(plane).iter().zip(0..) {
                self.items.rows[*code as usize] += 1;
                self.items.positives[*code as usize] += u32::from(plane.is_positive(row));
            }
            if let Some(labels) = &plane.label {
                labels.rows.iter().for_each(|code| self.labels[*code as usize] += 1);
            }
            if let (Some(requests), Some(codes)) = (&mut self.requests, &plane.request) {
                codes.rows.iter().for_each(|code| requests[*code as usize] += 1);
                codes
                    .rows
                    .iter()
                    .zip(plane.identity.rows.iter())
                    .for_each(|(code, identity)| owners.add(*code, *identity));
            }
            Ok(())
        })?;
        self.mixed_requests = owners.mixed();
        Ok(())
    }

    /// Number of requests that have examples.
    pub fn number_of_requests(&self) -> Option<usize> {
        self.requests.as_ref().map(|requests| requests.iter().filter(|examples| **examples > 0).count())
    }
}

/// By request: its identity, or that there are several.
struct Owners(Vec<u32>);

const NOBODY: u32 = u32::MAX;
const SEVERAL: u32 = u32::MAX - 1;

impl Owners {
    fn new(requests: usize) -> Self {
        Owners(vec![NOBODY; requests])
    }

    fn add(&mut self, request: u32, identity: u32) {
        let owner = &mut self.0[request as usize];
        *owner = if *owner == NOBODY || *owner == identity { identity } else { SEVERAL };
    }

    fn mixed(&self) -> u64 {
        self.0.iter().filter(|owner| **owner == SEVERAL).count() as u64
    }
}

fn item_codes<'a>(view: &'a KeyView<'_>) -> &'a [u32] {
    view.codes(&Field::Item).unwrap_or_default()
}
