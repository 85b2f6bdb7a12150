//! logQ: each item's share of the examples of the pool that a batch was drawn from.

use batchwright::compose;
use batchwright::keys::Keys;
use batchwright::negatives::LogQOfBatches;
use batchwright::spill::Room;
use proptest::prelude::*;

use crate::support::{Shape, Whole, in_twos, pipeline, plane};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// By its definition, whatever becomes of groups and last batches, in memory and on file.
    #[test]
    fn log_q_is_the_share_of_the_pool(
        shape in Shape::any(200),
        mode in prop::sample::select(vec!["user_spread", "identity_grouped", "request_packed"]),
        scarce in prop::sample::select(vec!["repeat", "rest", "drop"]),
        remainder in prop::sample::select(vec!["short", "drop", "pad"]),
        window in prop::sample::select(vec!["none", "40", "\"9ns\""]),
        exact in any::<bool>(),
        filed in any::<bool>(),
    ) {
        let shape = Shape { batch_size: shape.batch_size.next_multiple_of(2), ..shape };
        let mut more = vec![("compose.mode", mode), ("compose.remainder", remainder)];
        if mode == "identity_grouped" {
            more.extend([("compose.group.classes", "{ a = 1, b = 1 }"), ("compose.group.scarce", scarce)]);
        }
        if window != "none" {
            more.push(("compose.window", window));
            more.extend(exact.then_some(("compose.window_ends", "exact")));
        }
        let p = pipeline(&shape, &more);
        let dir = tempfile::tempdir().unwrap();
        let room = if filed { Room::filed(100, dir.path().into(), 30) } else { Room::unlimited() };
        let view = plane(&shape);
        let keys = Keys::of(&view, &room).unwrap();
        let Ok(composed) = compose::compose(&keys, &p, &room, in_twos) else { return Ok(()) };
        let whole = Whole::new(&keys, &composed).unwrap();
        let items = &view.item.as_ref().expect("items").rows;
        let mut counts = vec![0; view.item.as_ref().expect("items").len()];
        items.iter().for_each(|item| counts[*item as usize] += 1);
        let found = LogQOfBatches::new(&keys, &composed, &counts, &room).unwrap();
        for (k, pool) in whole.pools().iter().enumerate() {
            let places = pool.first_position..pool.first_position + pool.rows;
            let placed = places.clone().filter(|at| whole.copy_at(*at) == 0).map(|at| whole.order[at]);
            let gone = whole.dropped.iter().filter(|(of, _)| *of as usize == k).map(|(_, row)| *row);
            let own: Vec<u32> = placed.chain(gone).map(|row| items[row as usize]).collect();
            for batch in pool.first_batch..pool.first_batch + pool.batches {
                let log_q = found.of(&whole.head, &(batch..batch + 1)).unwrap();
                for at in whole.positions(batch) {
                    let item = items[whole.order[at] as usize];
                    let count = own.iter().filter(|other| **other == item).count();
                    // The original of a copy may stand in an earlier pool.
                    let share = count.max(1) as f64 / own.len().max(1) as f64;
                    prop_assert_eq!(log_q.at(at, item), share.ln() as f32);
                }
            }
        }
    }
}
