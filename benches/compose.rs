//! The composer alone, the generated columns alone and the masks' encoding alone, on the key plane of a real input: prints a JSON line with seconds of
//! one thread. Driven by `benches/samplers.py` and `benches/pipeline.py`.
//!
//! usage: cargo bench --bench compose -- PIPELINE.toml [KEY=VALUE …] [memory=SIZE]
//!
//! With `memory=64MiB` keys of a large input are composed on file.
#![allow(clippy::disallowed_methods, clippy::expect_used)]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::ArrayRef;
use arrow::datatypes::{Field, Schema};
use parquet::arrow::ArrowSchemaConverter;

use batchwright::compose::compose;
use batchwright::dataset::{ColumnHints, encode_bitmaps, writer_properties};
use batchwright::job::{Settings, prepare};
use batchwright::negatives::{BatchColumns, Columns, LogQ, MaskRules};
use batchwright::pipeline::load;
use batchwright::progress::Progress;
use batchwright::schema::{NEGATIVES, SAME_USER};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let Some((file, sets)) = args.split_first() else {
        // `cargo bench` and `cargo test --benches` call every bench without arguments.
        return println!("usage: cargo bench --bench compose -- PIPELINE.toml [KEY=VALUE ...] [memory=SIZE]");
    };
    let set = |s: &String| s.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())).expect("KEY=VALUE");
    let mut sets: Vec<(String, String)> = sets.iter().map(set).collect();
    // More room for keys than there are, unless told otherwise: they are in memory.
    let memory = sets.iter().position(|(key, _)| key == "memory").map(|at| sets.remove(at).1);
    let memory = memory.map_or(1 << 40, |size| size.parse::<bytesize::ByteSize>().expect("a size").as_u64());
    let pipeline = load(Path::new(file), &sets).expect("a pipeline");
    let settings = Settings { memory: Some(memory), ..Settings::default() };
    let prepared = prepare(&pipeline, &settings, &Progress::new()).expect("an input");
    let keys = &prepared.composition.keys;
    let start = Instant::now();
    // Parts of keys on file: about a hundred.
    let parts = |head: &batchwright::compose::Head| {
        let size = head.batches().div_ceil(100).max(1);
        (0..head.batches()).step_by(size).map(|start| start..head.batches().min(start + size)).collect()
    };
    let composed = compose(keys, &pipeline, &prepared.composition.room, parts).expect("a plan");
    let alone = start.elapsed().as_secs_f64();
    let part = composed.part(keys, 0..composed.head().batches()).expect("keys");
    let (plane, plan) = (&part.view, &part.plan);
    let positives = prepared.composition.positives.as_ref();
    let log_q = plane.item.as_ref().map(|items| {
        let mut counts = vec![0; items.len()];
        items.rows.iter().for_each(|item| counts[*item as usize] += 1);
        LogQ::of_one_pool(&counts)
    });
    let rules = MaskRules::of(&pipeline).expect("rules");
    let columns =
        Columns { pipeline: &pipeline, plane, plan, rules: &rules, positives, log_q: log_q.as_ref(), sampled: &[] };
    // As a run does.
    batchwright::allocator::keep_freed(None);
    let (generated, masks) = generate(&columns);
    println!(
        "{{\"rows\": {}, \"alone\": {alone:.4}, \"generated\": {generated:.4}, \"masks\": {masks:.4}}}",
        plan.order.len(),
    );
}

/// Seconds to make the generated columns, and to encode those of bitmaps: 16 batches a row group, as a run does.
fn generate(columns: &Columns<'_>) -> (f64, f64) {
    let p = columns.pipeline;
    let generated = p.generated();
    let fields: Vec<Field> = generated.iter().map(|g| g.field(p.batch_size)).collect();
    let schema = Schema::new(fields);
    let hints =
        ColumnHints { bitmaps: vec![(SAME_USER, usize::MAX), (NEGATIVES, usize::MAX)], ..ColumnHints::default() };
    let properties = Arc::new(writer_properties(&schema, p.compression, &hints).expect("properties"));
    let leaves = ArrowSchemaConverter::new().convert(&schema).expect("a Parquet schema");
    let all: Vec<usize> = columns.plan.batches.clone().collect();
    let (mut making, mut encoding) = (0.0, 0.0);
    for group in all.chunks(16) {
        let start = Instant::now();
        let batches: Vec<BatchColumns> = group.iter().map(|b| columns.batch(*b).expect("columns")).collect();
        making += start.elapsed().as_secs_f64();
        let start = Instant::now();
        for (k, column) in generated.iter().enumerate().filter(|(_, g)| [SAME_USER, NEGATIVES].contains(&g.name())) {
            let leaf = leaves.columns().iter().find(|leaf| leaf.name() == column.name()).expect("a leaf");
            let bitmaps: Vec<ArrayRef> = batches.iter().map(|b| Arc::clone(&b.arrays[k])).collect();
            encode_bitmaps(leaf, &properties, &bitmaps).expect("a chunk");
        }
        encoding += start.elapsed().as_secs_f64();
    }
    (making, encoding)
}
