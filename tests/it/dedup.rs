//! Equal rows: which one survives.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::datatypes::Int64Type;
use batchwright::dedup::survivors;
use batchwright::pipeline::{Field, Keep};
use proptest::prelude::*;

use crate::support::{Project, Shape, column, plane, table};

proptest! {
    #[test]
    fn the_first_or_last_in_time_survives(shape in Shape::any(200), last in any::<bool>(), with_label in any::<bool>()) {
        let mut plane = plane(&shape);
        // A label that is null is in no key.
        if let Some(labels) = &mut plane.label {
            Arc::make_mut(&mut labels.text)[2] = None;
        }
        let mut key = vec![Field::Identity, Field::Item];
        if with_label {
            key.push(Field::Label);
        }
        let keep = if last { Keep::Last } else { Keep::First };
        let found = survivors(&plane, &key, keep);
        let value = |r: usize| (plane.identity.rows[r], plane.item.as_ref().unwrap().rows[r], if with_label { plane.label.as_ref().unwrap().rows[r] } else { 0 });
        let order = |r: usize| (plane.time.as_ref().unwrap()[r], r);
        let beaten = |r: usize, s: usize| r != s && value(r) == value(s) && (order(s) < order(r)) != last;
        let expected: Vec<bool> = (0..plane.len())
            .map(|r| (with_label && value(r).2 == 2) || !(0..plane.len()).any(|s| beaten(r, s)))
            .collect();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn a_row_with_a_null_in_the_key_is_no_duplicate() {
    let items: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(1), None, None]));
    let rows = table(vec![
        ("user", Arc::new(StringArray::from(vec!["a"; 4]))),
        ("request", Arc::new(Int64Array::from(vec![5; 4]))),
        ("item", items),
        ("row", Arc::new(Int64Array::from(vec![0, 1, 2, 3]))),
    ]);
    let project = Project::new(
        r#"
        input.shards = ["in.parquet"]
        columns = { identity = "user", request = "request", item = "item" }
        output.path = "out"
        "#,
    )
    .file("in.parquet", &rows);
    let out = project.run();
    let mut kept = column::<Int64Type>(&out, "row");
    kept.sort_unstable();
    assert_eq!(kept, [0, 2, 3]);
    assert_eq!(project.manifest()["counts"]["duplicates"], 1);
}
