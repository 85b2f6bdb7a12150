//! What a batch's masks hide of its false negatives.

use super::batch::BatchMasks;
use super::batch_items::BatchItems;
use super::bits::Bits;
use super::positives::Positives;
use crate::stats::FalseNegatives;

/// Counts the false negatives of a batch by known positives, whatever the rules of the mask are. `codes` are its rows' identities,
/// `anchors` tells of each slot whether it is one. `None` where no item is mapped.
pub fn false_negatives(
    masks: &mut BatchMasks<'_>,
    positives: &Positives,
    codes: &[u32],
    anchors: &[bool],
) -> Option<FalseNegatives> {
    let items = BatchItems::new(positives, masks.items.clone()?);
    let mut found = FalseNegatives::default();
    let (mut of_user, mut known) = (Bits::zero(codes.len()), Bits::zero(codes.len()));
    for user in 0..masks.users.len() as u32 {
        let members: Vec<u32> = masks.users.members(user).to_vec();
        of_user.clear();
        items.exclude(codes[members[0] as usize], &mut of_user);
        for slot in members.into_iter().filter(|slot| anchors[*slot as usize]) {
            known.copy_from(&of_user);
            items.exclude_item(items.classes().of[slot as usize], &mut known);
            // The row itself has its own item, and is no candidate.
            let excluded = masks.row(slot).excluded;
            let hidden = known.overlap(excluded) - u64::from(excluded.get(slot));
            let known = u64::from(known.count() - 1);
            found.candidates += codes.len() as u64 - 1;
            found.known += known;
            found.unmasked += known - hidden;
        }
    }
    Some(found)
}
