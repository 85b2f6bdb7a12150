//! Columns of types that the judge's own reader does not know: composed, judged by value, and an alteration is seen.

use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::ScalarBuffer;
use arrow::compute::cast;
use arrow::datatypes::*;

use crate::kept::rewrite;
use crate::support::{Project, table, write_parquet};

const PIPELINE: &str = "input.shards = [\"in\"]\ncolumns.identity = \"u\"\nidentity.keep_raw = true\ncompose.batch_size = 2\noutput.path = \"out\"";

fn project(columns: &[ArrayRef], sets: &[&str]) -> Project {
    let project = Project::new(PIPELINE);
    for (k, column) in columns.iter().enumerate() {
        let ids: Int64Array = (0..column.len() as i64).map(|n| n + 10 * k as i64).collect();
        let rows = table(vec![("u", Arc::new(ids) as ArrayRef), ("x", Arc::clone(column))]);
        write_parquet(&project.path(&format!("in/{k}.parquet")), &[rows]);
    }
    sets.iter().fold(project, |project, set| project.arg("--set").arg(set))
}

fn halves(values: &[f32]) -> ArrayRef {
    cast(&Float32Array::from(values.to_vec()), &DataType::Float16).unwrap()
}

fn seconds(values: &[i32]) -> ArrayRef {
    Arc::new(Time32SecondArray::from(values.to_vec()))
}

fn offset(values: &[i64]) -> ArrayRef {
    Arc::new(TimestampSecondArray::from(values.to_vec()).with_timezone("+02:00"))
}

fn views(values: &[i64]) -> ArrayRef {
    let n = values.len() as i32;
    let items: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
    let field = Arc::new(Field::new("item", DataType::Int64, true));
    let (at, sizes) = (ScalarBuffer::from((0..n).collect::<Vec<_>>()), ScalarBuffer::from(vec![1; n as usize]));
    Arc::new(ListViewArray::new(field, at, sizes, items, None))
}

fn digits(values: &[i64]) -> ArrayRef {
    cast(&Int64Array::from(values.to_vec()), &DataType::Decimal256(60, 3)).unwrap()
}

fn in_struct(column: ArrayRef) -> ArrayRef {
    Arc::new(StructArray::from(vec![(Arc::new(Field::new("x", column.data_type().clone(), true)), column)]))
}

#[test]
fn values_that_changed_are_seen() {
    for (before, after) in [
        (halves(&[0.5, 1.0, -2.0]), halves(&[0.5, 1.5, -2.0])),
        (seconds(&[1, 2, 3]), seconds(&[1, 2, 4])),
        (offset(&[1, 2, 3]), offset(&[1, 2, 4])),
        (views(&[1, 2, 3]), views(&[1, 2, 4])),
        (digits(&[1, 2, 3]), digits(&[1, 2, 4])),
        (in_struct(halves(&[1.0, 2.0, 3.0])), in_struct(halves(&[1.0, 2.0, 4.0]))),
    ] {
        let project = project(&[before], &["compose.batch_size=3"]);
        project.succeed(&[]);
        project.verified();
        rewrite(&project, |rows| {
            let at = rows.schema().index_of("x").unwrap();
            let by = rows.column_by_name("u").unwrap().as_primitive::<Int64Type>();
            let mut columns = rows.columns().to_vec();
            columns[at] = arrow::compute::take(&after, by, None).unwrap();
            RecordBatch::try_new(rows.schema(), columns).unwrap()
        });
        let judged = project.against(&[]);
        assert_eq!(judged.code, 1, "{}: {}", after.data_type(), judged.stdout);
        assert!(judged.stdout.contains("no example of the input has this payload"), "{}", judged.stdout);
    }
}

#[test]
fn they_are_widened_and_play_roles() {
    let singles: ArrayRef = Arc::new(Float32Array::from(vec![0.1, 2.0]));
    let micros: ArrayRef = Arc::new(Time64MicrosecondArray::from(vec![1, 2]));
    let large: ArrayRef = Arc::new(LargeListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(7)]), None]));
    for columns in [[halves(&[0.5, 1.0]), singles], [seconds(&[5, 6]), micros], [views(&[1, 2]), large]] {
        let project = project(&columns, &[]);
        project.succeed(&[]);
        project.verified();
    }
    for set in ["columns.item=x", "columns.label=x", "columns.request=x", "columns.identity=x"] {
        for column in [halves(&[1.0, 1.0, 3.0]), offset(&[5, 5, 7])] {
            let project = project(&[column], &[set]);
            project.succeed(&[]);
            project.verified();
        }
    }
    for column in [halves(&[3.0, 1.0, 2.0]), offset(&[7, 5, 6])] {
        let project = project(&[column], &["columns.time=x", "input.where=u >= 0"]);
        project.succeed(&[]);
        project.verified();
    }
}

#[test]
fn a_struct_whose_only_field_is_the_identity_is_left_out() {
    let one = in_struct(Arc::new(Int64Array::from(vec![5, 5, 6])));
    let project = project(&[in_struct(one)], &["columns.identity=x.x.x", "identity.keep_raw=false"]);
    project.succeed(&[]);
    project.verified();
    assert!(crate::support::read_dataset(&project.path("out")).column_by_name("x").is_none());
}

#[test]
fn portable_types_hold_the_same_values() {
    let n = 40i64;
    let bytes = FixedSizeBinaryArray::try_from_iter((0..n).map(|k| [k as u8; 16])).unwrap();
    let item = Arc::new(Field::new("item", DataType::Float32, true));
    let floats: ArrayRef = Arc::new((0..2 * n).map(|k| Some(k as f32)).collect::<Float32Array>());
    let vectors: ArrayRef = Arc::new(FixedSizeListArray::new(item, 2, floats, None));
    let uuid = Field::new("id", DataType::FixedSizeBinary(16), false)
        .with_metadata(std::collections::HashMap::from([("ARROW:extension:name".to_owned(), "arrow.uuid".to_owned())]));
    let nested = in_struct(Arc::clone(&vectors));
    let fields = vec![
        Arc::new(Field::new("u", DataType::Int64, false)),
        Arc::new(uuid),
        Arc::new(Field::new("v", vectors.data_type().clone(), true)),
        Arc::new(Field::new("s", nested.data_type().clone(), true)),
    ];
    let columns: Vec<ArrayRef> =
        vec![Arc::new((0..n).map(|k| k % 7).collect::<Int64Array>()), Arc::new(bytes), vectors, nested];
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    let project = Project::new(PIPELINE).file("in/0.parquet", &rows).arg("--set").arg("compose.batch_size=8");
    let exact = project.run();
    project.verified();
    std::fs::remove_dir_all(project.path("out")).unwrap();
    let project = project.arg("--set").arg("output.types=portable");
    let portable = project.run();
    project.verified();
    for name in ["id", "v", "s", "bw_negatives", "bw_same_user"] {
        let (before, after) = (&exact[name], &portable[name]);
        assert!(!format!("{:?}", after.data_type()).contains("FixedSize"), "{name}: {}", after.data_type());
        assert_eq!(&cast(before, after.data_type()).unwrap(), after, "{name}");
    }
    assert!(portable.schema().field_with_name("id").unwrap().metadata().get("ARROW:extension:name").is_none());
}
