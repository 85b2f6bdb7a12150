//! identity_grouped: a group is exactly the rows that the classes ask for, of one identity, in order.

use super::Mode;
use crate::reader::{Dataset, ints};
use crate::schema;
use crate::verify::finding::Findings;
use crate::verify::rows::BatchRows;
use crate::verify::view::View;

pub struct IdentityGrouped;

impl Mode for IdentityGrouped {
    fn see(&mut self, dataset: &Dataset, batch: &BatchRows, view: &View, findings: &mut Findings) {
        let classes = dataset.classes();
        let Ok(slots) = batch.frame.column(schema::GROUP_SLOT).map(ints) else { return };
        let wanted: Vec<&str> = classes.iter().flat_map(|(c, n)| std::iter::repeat_n(c.as_str(), *n)).collect();
        let size = wanted.len().max(1);
        let mut wrong = |slot: usize, problem: String| {
            findings.add_of_kind("groups", batch.finding(Some(slot), schema::GROUP_SLOT, problem));
        };
        let grouped = slots.iter().take_while(|s| **s >= 0).count();
        if let Some(later) = slots[grouped..].iter().position(|s| *s >= 0) {
            wrong(grouped + later, "a group stands behind rows outside groups".into());
        }
        for (k, start) in (0..grouped).step_by(size).enumerate() {
            let range = start..(start + size).min(grouped);
            if range.len() < size {
                wrong(start, format!("the group has {} rows, not {size}", range.len()));
                continue;
            }
            if slots[range.clone()].iter().any(|s| *s != k as i64) {
                wrong(start, format!("the slots of group {k} are {:?}", &slots[range.clone()]));
            }
            if view.user.get(range.clone()).is_some_and(|own| own.iter().any(|u| *u != own[0])) {
                wrong(start, "the group holds rows of several identities".into());
            }
            let labels = view.label.get(range.clone()).unwrap_or_default();
            if !labels.is_empty() && labels.iter().zip(&wanted).any(|(l, w)| l.as_deref() != Some(*w)) {
                wrong(start, "the group's classes are not those of compose.group.classes, in order".into());
            }
        }
    }
}
