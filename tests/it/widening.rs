//! Shards that differ become one table without loss, or an error that names file, column and both types.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::OffsetBuffer;
use arrow::compute::{cast, concat};
use arrow::datatypes::*;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::{Project, read_dataset, table, write_parquet};

const PIPELINE: &str = "input.shards = [\"in\"]\ncolumns.identity = \"u\"\nidentity.keep_raw = true\ncompose.batch_size = 4\noutput.path = \"out\"";

fn ids(first: i64, n: usize) -> ArrayRef {
    Arc::new((first..first + n as i64).collect::<Int64Array>())
}

/// A pipeline over files `a`, `b`, … with rows numbered in `u` and these columns `x`.
fn project(columns: &[ArrayRef]) -> Project {
    let project = Project::new(PIPELINE);
    let mut first = 0;
    for (name, column) in ["a", "b", "c", "d", "e"].iter().zip(columns) {
        let rows = table(vec![("u", ids(first, column.len())), ("x", Arc::clone(column))]);
        write_parquet(&project.path(&format!("in/{name}.parquet")), &[rows]);
        first += column.len() as i64;
    }
    project
}

/// Composes, has the judge look at it, and gives the columns `x` by row number.
fn widened(project: &Project) -> (DataType, ArrayRef) {
    project.succeed(&[]);
    project.verified();
    let out = read_dataset(&project.path("out"));
    let order = arrow::compute::sort_to_indices(&out["u"], None, None).unwrap();
    (out["x"].data_type().clone(), arrow::compute::take(&out["x"], &order, None).unwrap())
}

fn text(n: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(n.to_vec()))
}

fn as_type(array: &ArrayRef, to: DataType) -> ArrayRef {
    cast(array, &to).unwrap()
}

fn dictionary(key: DataType, value: DataType) -> DataType {
    DataType::Dictionary(Box::new(key), Box::new(value))
}

#[test]
fn each_kind_becomes_the_type_that_holds_both() {
    use DataType::*;
    let texts = text(&[Some("a"), None, Some("b c"), Some("")]);
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(3), None, Some(-7), Some(100)]));
    let small: ArrayRef = Arc::new(Int64Array::from(vec![Some(3), None, Some(7), Some(100)]));
    let times: ArrayRef = Arc::new(Int64Array::from(vec![Some(1_700_000_000), None, Some(-5), Some(0)]));
    let bytes = as_type(&texts, Binary);
    let seconds = |t: &ArrayRef, unit: TimeUnit| {
        cast(&cast(t, &Timestamp(TimeUnit::Second, None)).unwrap(), &Timestamp(unit, None)).unwrap()
    };
    let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([
        Some(vec![Some(1), None]),
        None,
        Some(vec![]),
        Some(vec![Some(5)]),
    ]));
    let element = |t: DataType| Arc::new(Field::new("element", t, true));
    let decimal = |array: &ArrayRef, p, s| as_type(array, Decimal128(p, s));
    for (a, b, wanted) in [
        (texts.clone(), as_type(&texts, LargeUtf8), LargeUtf8),
        (as_type(&texts, Utf8View), texts.clone(), Utf8View),
        (texts.clone(), as_type(&texts, dictionary(Int8, Utf8)), Utf8),
        (as_type(&texts, dictionary(Int8, Utf8)), as_type(&texts, dictionary(Int16, Utf8)), dictionary(Int16, Utf8)),
        (texts.clone(), Arc::new(NullArray::new(3)), Utf8),
        (Arc::new(NullArray::new(3)), numbers.clone(), Int64),
        (bytes.clone(), as_type(&bytes, LargeBinary), LargeBinary),
        (as_type(&numbers, Int8), numbers.clone(), Int64),
        (as_type(&small, UInt16), as_type(&numbers, Int8), Int32),
        (as_type(&small, UInt64), as_type(&numbers, Int32), Int64),
        (numbers.clone(), as_type(&numbers, Float64), Float64),
        (as_type(&numbers, Float32), as_type(&numbers, Float64), Float64),
        (as_type(&numbers, Float32), as_type(&numbers, Int16), Float64),
        (decimal(&numbers, 10, 2), decimal(&numbers, 12, 4), Decimal128(12, 4)),
        (decimal(&numbers, 5, 0), numbers.clone(), Decimal128(19, 0)),
        (
            seconds(&times, TimeUnit::Millisecond),
            seconds(&times, TimeUnit::Nanosecond),
            Timestamp(TimeUnit::Nanosecond, None),
        ),
        (
            as_type(&numbers, Duration(TimeUnit::Millisecond)),
            as_type(&numbers, Duration(TimeUnit::Microsecond)),
            Duration(TimeUnit::Microsecond),
        ),
        (
            lists.clone(),
            as_type(&lists, LargeList(element(Int64))),
            LargeList(Arc::new(Field::new("item", Int64, true))),
        ),
    ] {
        let shards = project(&[Arc::clone(&a), Arc::clone(&b)]);
        let (found, values) = widened(&shards);
        assert_eq!(found, wanted, "{} and {}", a.data_type(), b.data_type());
        let expected = [&a, &b].map(|array| match array.data_type() {
            Null => new_null_array(&wanted, array.len()),
            _ => cast(array, &wanted).unwrap(),
        });
        let expected = concat(&[expected[0].as_ref(), expected[1].as_ref()]).unwrap();
        let plain = |array: &ArrayRef| {
            as_type(array, if let Dictionary(_, v) = &wanted { v.as_ref().clone() } else { wanted.clone() })
        };
        assert_eq!(&plain(&values), &plain(&expected), "{} and {}", a.data_type(), b.data_type());
    }
}

#[test]
fn structs_have_the_fields_of_all_and_columns_any_order() {
    let project = Project::new(PIPELINE);
    let of = |fields: Vec<(&str, ArrayRef)>| -> ArrayRef {
        let named = fields.into_iter().map(|(n, a)| (Arc::new(Field::new(n, a.data_type().clone(), true)), a));
        Arc::new(StructArray::from(named.collect::<Vec<_>>()))
    };
    let (a, b) = (text(&[Some("p"), Some("q")]), Arc::new(Int32Array::from(vec![1, 2])) as ArrayRef);
    let first = of(vec![("a", Arc::clone(&a)), ("b", Arc::clone(&b))]);
    let other = of(vec![("c", Arc::clone(&a)), ("b", as_type(&b, DataType::Int64))]);
    write_parquet(&project.path("in/1.parquet"), &[table(vec![("u", ids(0, 2)), ("x", first), ("y", Arc::clone(&b))])]);
    write_parquet(&project.path("in/2.parquet"), &[table(vec![("z", Arc::clone(&a)), ("x", other), ("u", ids(2, 2))])]);
    let (found, values) = widened(&project);
    let names: Vec<String> =
        read_dataset(&project.path("out")).schema().fields().iter().take(4).map(|f| f.name().clone()).collect();
    assert_eq!(names, ["u", "x", "y", "z"]);
    let DataType::Struct(fields) = &found else { panic!("{found}") };
    assert_eq!(fields.iter().map(|f| f.name().as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    let values = values.as_struct();
    assert_eq!(values["b"].as_primitive::<Int64Type>().values(), &[1, 2, 1, 2]);
    assert_eq!(values["a"].as_string::<i32>().iter().collect::<Vec<_>>(), [Some("p"), Some("q"), None, None]);
    assert_eq!(values["c"].as_string::<i32>().iter().collect::<Vec<_>>(), [None, None, Some("p"), Some("q")]);
}

#[test]
fn what_would_lose_or_guess_is_an_error_that_names_both() {
    use DataType::*;
    let texts = text(&[Some("a"), Some("b")]);
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let naive = as_type(&numbers, Timestamp(TimeUnit::Second, None));
    let zoned = as_type(&numbers, Timestamp(TimeUnit::Second, Some("Europe/Zurich".into())));
    for (a, b, words) in [
        (&texts, &numbers, ["Int64", "Utf8"]),
        (&texts, &as_type(&texts, Binary), ["Binary", "Utf8"]),
        (&naive, &zoned, ["Europe/Zurich", "time zone"]),
        (&zoned, &as_type(&numbers, Timestamp(TimeUnit::Second, Some("UTC".into()))), ["UTC", "zone would be lost"]),
        (&as_type(&numbers, Boolean), &numbers, ["Boolean", "Int64"]),
    ] {
        let shards = project(&[Arc::clone(a), Arc::clone(b)]);
        shards.fails(&["b.parquet, column `x`", "a.parquet", words[0], words[1], "input.drop"]);
        // What is dropped need not agree.
        shards.arg("--set").arg("input.drop=[\"x\"]").succeed(&[]);
    }
}

#[test]
fn a_value_that_does_not_fit_is_an_error_with_its_row_for_examples_only() {
    let large: ArrayRef = Arc::new(UInt64Array::from(vec![1, u64::MAX, 3]));
    let signed: ArrayRef = Arc::new(Int64Array::from(vec![-1]));
    let shards = || project(&[Arc::clone(&large), Arc::clone(&signed)]);
    shards().fails(&["a.parquet, row group 0, column `x`", "row 1 ", "Int64", "input.where"]);
    shards().arg("--memory").arg("1").fails(&["row 1 "]);
    let without = shards().arg("--set").arg("input.where=u <> 1");
    without.succeed(&[]);
    assert_eq!(without.manifest()["counts"]["rows_out"], 3);
    let odd: ArrayRef = Arc::new(Int64Array::from(vec![(1 << 53) + 1]));
    project(&[odd, Arc::new(Float64Array::from(vec![0.5]))]).fails(&["a.parquet", "row 0 ", "Float64"]);
    let far: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![253_402_300_799_000_000]));
    project(&[far, Arc::new(TimestampNanosecondArray::from(vec![5]))]).fails(&["a.parquet", "row 0 ", "ns"]);
}

#[test]
fn missing_columns_are_null_unless_the_pipeline_names_them() {
    let project = || {
        let project = Project::new(PIPELINE);
        let old = table(vec![("u", ids(0, 3)), ("v", ids(5, 3))]);
        let new = table(vec![("u", ids(3, 2)), ("v", ids(8, 2)), ("x", text(&[Some("new"), None]))]);
        write_parquet(&project.path("in/2024.parquet"), &[old]);
        write_parquet(&project.path("in/2025.parquet"), &[new]);
        project
    };
    let (found, values) = widened(&project());
    assert_eq!((found, values.null_count()), (DataType::Utf8, 4));
    for set in [
        "columns.item=x",
        "columns.label=x",
        "mask.rules=[\"same:x\"]",
        "dedup.key=[\"u\", \"x\"]",
        "mask.positive=x = 'new'",
    ] {
        let named = project().arg("--set").arg(set);
        named.fails(&["2024.parquet, column `x`", "2025.parquet has it", set.split('=').next().unwrap()]);
    }
    // A shard without rows may lack any column, and has every type.
    let empty = project();
    write_parquet(&empty.path("in/2024.parquet"), &[table(vec![("u", ids(0, 0)), ("v", text(&[]))])]);
    empty.arg("--set").arg("columns.item=x").succeed(&[]);
    project().arg("--set").arg("input.schema=strict").fails(&["2025.parquet, column `x`", "no such column"]);
}

#[test]
fn strict_is_any_difference() {
    let strict = |columns: &[ArrayRef]| project(columns).arg("--set").arg("input.schema=strict");
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    strict(&[Arc::clone(&numbers), Arc::clone(&numbers)]).succeed(&[]);
    strict(&[Arc::clone(&numbers), as_type(&numbers, DataType::Int32)]).fails(&[
        "b.parquet, column `x`",
        "Int32",
        "Int64",
        "a.parquet",
        "widen",
    ]);
}

#[test]
fn tokens_do_not_depend_on_the_type_that_holds_all() {
    let by_user = |columns: &[ArrayRef]| -> BTreeMap<String, i64> {
        let project = Project::new(&PIPELINE.replace("columns.identity = \"u\"", "columns.identity = \"x\""));
        for (k, column) in columns.iter().enumerate() {
            write_parquet(
                &project.path(&format!("in/{k}.parquet")),
                &[table(vec![("u", ids(0, column.len())), ("x", Arc::clone(column))])],
            );
        }
        project.succeed(&[]);
        project.verified();
        let out = read_dataset(&project.path("out"));
        let options = FormatOptions::default();
        let shown = ArrayFormatter::try_new(out["x"].as_ref(), &options).unwrap();
        let users = out["bw_user"].as_primitive::<Int64Type>();
        let shown = |row: usize| shown.value(row).to_string().trim_end_matches(".0").to_owned();
        (0..out.num_rows()).map(|row| (shown(row), users.value(row))).collect()
    };
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let alone = by_user(&[Arc::clone(&numbers)]);
    for other in [DataType::Int8, DataType::UInt32, DataType::Float64, DataType::Decimal128(20, 0)] {
        assert_eq!(by_user(&[Arc::clone(&numbers), as_type(&numbers, other.clone())]), alone, "{other}");
    }
}

/// Random tables in several random forms: what comes out is what pandas would concatenate, and the judge agrees.
#[test]
fn any_forms_of_one_table_come_out_alike() {
    let forms = || {
        use DataType::*;
        let of = |texts: bool| {
            let list: Vec<DataType> = if texts {
                vec![Utf8, LargeUtf8, Utf8View, dictionary(Int8, Utf8), dictionary(Int32, LargeUtf8)]
            } else {
                vec![Int8, Int16, Int64, UInt8, UInt32, Float32, Float64, Null]
            };
            prop::sample::select(list)
        };
        (prop::collection::vec(of(true), 1..5), prop::collection::vec(of(false), 1..5))
    };
    let mut runner = TestRunner::new(Config { cases: 24, ..Config::default() });
    let strategy = (forms(), prop::collection::vec((0i64..100, any::<bool>()), 1..30), any::<bool>());
    runner
        .run(&strategy, |((texts, numbers), rows, lists)| {
            let project = Project::new(PIPELINE);
            let shards = texts.len().max(numbers.len());
            let mut expected: Vec<(Option<String>, Option<String>)> = Vec::new();
            for shard in 0..shards {
                let (t, n) = (&texts[shard % texts.len()], &numbers[shard % numbers.len()]);
                let own: Vec<(i64, bool)> = rows.iter().map(|(v, null)| ((v + shard as i64) % 100, *null)).collect();
                let text: ArrayRef =
                    Arc::new(own.iter().map(|(v, null)| (!null).then(|| format!("w{v}"))).collect::<StringArray>());
                let number: ArrayRef =
                    Arc::new(own.iter().map(|(v, null)| (!null).then_some(*v)).collect::<Int64Array>());
                let number = if n.is_null() { new_null_array(n, own.len()) } else { cast(&number, n).unwrap() };
                let in_list = |array: ArrayRef| -> ArrayRef {
                    let field = Arc::new(Field::new("item", array.data_type().clone(), true));
                    let offsets = OffsetBuffer::from_lengths(vec![1; array.len()]);
                    if lists { Arc::new(ListArray::new(field, offsets, array, None)) } else { array }
                };
                let rows = table(vec![
                    ("u", ids((shard * own.len()) as i64, own.len())),
                    ("t", in_list(cast(&text, t).unwrap())),
                    ("n", in_list(number)),
                ]);
                write_parquet(&project.path(&format!("in/{shard}.parquet")), &[rows]);
                expected.extend(own.iter().map(|(v, null)| {
                    ((!null).then(|| format!("w{v}")), (!null && !n.is_null()).then(|| v.to_string()))
                }));
            }
            project.succeed(&[]);
            project.verified();
            let out = read_dataset(&project.path("out"));
            let plain = |name: &str| -> Vec<Option<String>> {
                let column = &out[name];
                let column = if lists { Arc::clone(column.as_list::<i32>().values()) } else { Arc::clone(column) };
                let column =
                    if column.data_type().is_floating() { cast(&column, &DataType::Int64).unwrap() } else { column };
                let text = cast(&column, &DataType::Utf8).unwrap();
                text.as_string::<i32>().iter().map(|v| v.map(str::to_owned)).collect()
            };
            let (t, n) = (plain("t"), plain("n"));
            let users = out["u"].as_primitive::<Int64Type>();
            for row in 0..out.num_rows() {
                prop_assert_eq!(&(t[row].clone(), n[row].clone()), &expected[users.value(row) as usize]);
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn maps_are_one_whatever_their_keys_are_called() {
    let map = |names: [&str; 3], k: i64| -> ArrayRef {
        let names = MapFieldNames { entry: names[0].into(), key: names[1].into(), value: names[2].into() };
        let mut map = MapBuilder::new(Some(names), StringBuilder::new(), Int64Builder::new());
        for row in 0..3 {
            map.keys().append_value(format!("k{row}"));
            map.values().append_value(k + row);
            map.append(row != 1).unwrap();
        }
        Arc::new(map.finish())
    };
    let shards = project(&[map(["key_value", "key", "value"], 0), map(["entries", "keys", "values"], 10)]);
    let (_, values) = widened(&shards);
    let values = values.as_map();
    let numbers: Vec<Option<i64>> = (0..6)
        .map(|row| values.is_valid(row).then(|| values.value(row).column(1).as_primitive::<Int64Type>().value(0)))
        .collect();
    assert_eq!(numbers, [Some(0), None, Some(2), Some(10), None, Some(12)]);
}

#[test]
fn a_dropped_struct_whose_field_is_time_is_one_all_the_same() {
    let of = |seconds: bool| -> ArrayRef {
        let ticks: ArrayRef = Arc::new(Int64Array::from(if seconds { vec![5, 6] } else { vec![5_000_001, 4_999_999] }));
        let unit = if seconds { TimeUnit::Millisecond } else { TimeUnit::Microsecond };
        let ticks = if seconds {
            cast(
                &arrow::compute::kernels::numeric::mul(&ticks, &Int64Array::new_scalar(1000)).unwrap(),
                &DataType::Int64,
            )
            .unwrap()
        } else {
            ticks
        };
        let times = cast(&ticks, &DataType::Timestamp(unit, None)).unwrap();
        Arc::new(StructArray::from(vec![(Arc::new(Field::new("ts", times.data_type().clone(), true)), times)]))
    };
    let shards = project(&[of(true), of(false)]);
    let sets = ["input.drop=[\"x\"]", "columns.time=x.ts", "compose.window=1", "compose.batch_size=1"];
    let shards = sets.iter().fold(shards, |project, set| project.arg("--set").arg(set));
    shards.succeed(&[]);
    shards.verified();
    let order = read_dataset(&shards.path("out"))["u"].as_primitive::<Int64Type>().values().to_vec();
    assert_eq!(order, [3, 0, 2, 1]);
}

#[test]
fn fields_of_one_name_are_refused() {
    let one: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let field = || Arc::new(Field::new("a", DataType::Int64, true));
    let twice: ArrayRef = Arc::new(StructArray::from(vec![(field(), Arc::clone(&one)), (field(), one)]));
    project(&[twice]).fails(&["a.parquet", "column `x`", "two fields of a struct are called `a`"]);
}

/// A file of rows whose column `x` has this extension type.
fn write_extension(project: &Project, name: &str, rows: i64, column: ArrayRef, pairs: &[(&str, &str)]) {
    let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let field = Field::new("x", column.data_type().clone(), true)
        .with_metadata(pairs.collect::<std::collections::HashMap<_, _>>());
    let schema = Schema::new(vec![Field::new("u", DataType::Int64, true), field]);
    let rows = RecordBatch::try_new(Arc::new(schema), vec![ids(rows, column.len()), column]).unwrap();
    write_parquet(&project.path(name), &[rows]);
}

#[test]
fn extension_types_are_one_or_an_error() {
    const NAME: &str = "ARROW:extension:name";
    const METADATA: &str = "ARROW:extension:metadata";
    let json = [(NAME, "arrow.json"), (METADATA, "{}"), ("team", "ads")];
    let large = |n| as_type(&text(n), DataType::LargeUtf8);
    let project = || {
        let project = Project::new(PIPELINE);
        // Without rows it tells of no extension type, and of all else that is no value.
        write_extension(&project, "in/a.parquet", 0, text(&[]), &[("team", "search")]);
        write_extension(&project, "in/b.parquet", 0, text(&[Some("{}"), Some("1")]), &json);
        project
    };
    let same = project();
    write_extension(&same, "in/c.parquet", 2, large(&[Some("2")]), &json[..2]);
    same.succeed(&[]);
    same.verified();
    let shards = std::fs::read_dir(same.path("out/batches")).unwrap();
    for shard in
        shards.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "parquet"))
    {
        let file = std::fs::File::open(shard).unwrap();
        let builder = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let field = builder.schema().field_with_name("x").unwrap().clone();
        let of = |key: &str| field.metadata().get(key).map(|text| text.as_str().to_owned());
        assert_eq!(field.data_type(), &DataType::LargeUtf8);
        assert_eq!([of(NAME), of(METADATA), of("team")].map(Option::unwrap), ["arrow.json", "{}", "search"]);
    }
    for (pairs, words) in [
        (&[(NAME, "arrow.uuid")][..], "`arrow.json` and extension type `arrow.uuid`"),
        (&[(NAME, "arrow.json"), (METADATA, "other")], "of different metadata"),
        (&[], "no extension type"),
    ] {
        let other = project();
        write_extension(&other, "in/c.parquet", 2, text(&[Some("2")]), pairs);
        other.fails(&["c.parquet, column `x`", "b.parquet", "arrow.json", words]);
    }
}

fn in_struct(name: &str, column: ArrayRef) -> ArrayRef {
    Arc::new(StructArray::from(vec![(Arc::new(Field::new(name, column.data_type().clone(), true)), column)]))
}

#[test]
fn a_dropped_field_need_not_agree() {
    let of = |id: i64, score: ArrayRef| -> ArrayRef {
        let field = |name: &str, of: &ArrayRef| Arc::new(Field::new(name, of.data_type().clone(), true));
        let id: ArrayRef = Arc::new(Int64Array::from(vec![id]));
        Arc::new(StructArray::from(vec![(field("id", &id), id), (field("score", &score), score)]))
    };
    let shards = || project(&[of(1, Arc::new(Int64Array::from(vec![5]))), of(2, text(&[Some("high")]))]);
    shards().fails(&["b.parquet, column `x`", "in `score`"]);
    let dropped = shards().arg("--set").arg("input.drop=[\"x.score\"]");
    let (found, _) = widened(&dropped);
    assert_eq!(found, DataType::Struct(vec![Field::new("id", DataType::Int64, true)].into()));
    shards().arg("--set").arg("input.drop=[\"x.score\", \"x.scores\"]").fails(&["input.drop", "x.scores"]);
    // A shard whose struct has nothing else is none the less there.
    let alone = project(&[of(1, text(&[Some("low")])), in_struct("score", text(&[Some("low"), None]))]);
    let alone = alone.arg("--set").arg("input.drop=[\"x.score\"]");
    let (_, values) = widened(&alone);
    assert_eq!((values.null_count(), values.as_struct().column(0).null_count()), (0, 2));
    let only = shards().arg("--set").arg("input.drop=[\"x.score\", \"x.id\"]");
    only.succeed(&[]);
    only.verified();
    shards()
        .arg("--set")
        .arg("input.drop=[\"x.score\"]")
        .arg("--set")
        .arg("columns.item=x.score")
        .fails(&["in `score`"]);
}
