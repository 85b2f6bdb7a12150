//! Ordered dictionaries: the same values in the same order in every row group, and those of the input.

use std::path::Path;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::files::Readable;
use super::finding::{Finding, Findings};
use super::input::InputFile;
use crate::reader::Dataset;
use crate::source::unless_panic;
use crate::store;

/// The ordered dictionaries of a schema, by name.
fn ordered(schema: &Schema) -> Vec<String> {
    let own = schema.fields().iter().filter(|field| field.dict_is_ordered() == Some(true));
    own.map(|field| field.name().clone()).collect()
}

/// A column's dictionary in one row group, through Arrow's reader, since Polars numbers values anew; `None` where it can't be
/// read.
fn dictionary(path: &Path, row_group: usize, column: &str) -> Option<Vec<Vec<u8>>> {
    let file = store::open(path).ok()?;
    unless_panic(|| {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).ok()?;
        let root = builder.schema().index_of(column).ok()?;
        let mask = ProjectionMask::roots(builder.parquet_schema(), [root]);
        let reader = builder.with_row_groups(vec![row_group]).with_projection(mask).with_batch_size(1);
        let Some(rows) = reader.build().ok()?.next() else { return Some(Vec::new()) };
        let rows = rows.ok()?;
        let values = cast(rows.column(0).as_any_dictionary_opt()?.values(), &DataType::LargeBinary).ok()?;
        Some(values.as_binary::<i64>().iter().flatten().map(<[u8]>::to_vec).collect())
    })?
}

/// Checks all row groups of the shards against one another; gives each column's values.
pub fn check(dataset: &Dataset, readable: &[Readable], findings: &mut Findings) -> Vec<(String, Vec<Vec<u8>>)> {
    let Some(first) = readable.first() else { return Vec::new() };
    let path = |shard: &Readable| dataset.root.join(&dataset.recorded.shards[shard.shard].path);
    let Some(schema) = crate::reader::schema_of(&path(first)) else { return Vec::new() };
    let mut orders = Vec::new();
    for column in ordered(&schema) {
        let mut known: Option<Vec<Vec<u8>>> = None;
        for shard in readable {
            for row_group in 0..shard.row_groups.len() {
                let found = dictionary(&path(shard), row_group, &column).unwrap_or_default();
                if known.get_or_insert_with(|| found.clone()) != &found {
                    let file = &dataset.recorded.shards[shard.shard].path;
                    let problem = "the ordered dictionary is not that of the first row group";
                    let finding = Finding { row_group: Some(row_group), ..Finding::of(file, problem).column(&column) };
                    findings.add_of_kind("orders", finding);
                }
            }
        }
        orders.extend(known.map(|known| (column, known)));
    }
    orders
}

/// Whether all of `some` come in `all`, in their order.
fn in_order(some: &[Vec<u8>], all: &[Vec<u8>]) -> bool {
    let mut at = 0;
    some.iter().all(|value| match all[at..].iter().position(|other| other == value) {
        Some(next) => {
            at += next + 1;
            true
        }
        None => false,
    })
}

/// Checks the shards' dictionaries against those of the input.
pub fn compare(orders: &[(String, Vec<Vec<u8>>)], inputs: &[InputFile], dataset: &Dataset, findings: &mut Findings) {
    let file = dataset.recorded.shards.first().map_or("", |shard| shard.path.as_str());
    for (column, found) in orders {
        let mut longest = 0;
        let mut wrong = false;
        // A file without rows may know values that no row has.
        let mut all_tell = true;
        for input in inputs.iter().filter(|input| input.told.schema.index_of(column).is_ok()) {
            all_tell &= input.told.has_rows;
            for row_group in 0..input.row_groups() {
                let own = dictionary(&input.path, row_group, column).unwrap_or_default();
                longest = longest.max(own.len());
                wrong |= !in_order(&own, found);
            }
        }
        if wrong || found.len() < longest || all_tell && found.len() > longest {
            let problem = "the ordered dictionary has not the input's values in their order";
            findings.add(Finding::of(file, problem).column(column));
        }
    }
}
