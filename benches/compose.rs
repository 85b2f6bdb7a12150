//! The composers alone, on the key plane of a real input: prints a JSON line with wall seconds for each. Driven by
//! `benches/samplers.py`.
//!
//! usage: cargo bench --bench compose -- PIPELINE.toml [KEY=VALUE …]
#![allow(clippy::disallowed_methods, clippy::expect_used)]

use std::path::Path;
use std::time::Instant;

use batchwright::compose::compose;
use batchwright::pipeline::load;
use batchwright::progress::Progress;
use batchwright::run::prepare;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let Some((file, sets)) = args.split_first() else {
        // `cargo bench` and `cargo test --benches` call every bench without arguments.
        return println!("usage: cargo bench --bench compose -- PIPELINE.toml [KEY=VALUE ...]");
    };
    let set = |s: &String| s.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())).expect("KEY=VALUE");
    let pipeline = load(Path::new(file), &sets.iter().map(set).collect::<Vec<_>>()).expect("a pipeline");
    let start = Instant::now();
    let prepared = prepare(&pipeline, &Progress::new()).expect("an input");
    let with_keys = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let plan = compose(&prepared.plane, &pipeline).expect("a plan");
    let alone = start.elapsed().as_secs_f64();
    assert_eq!(plan.order, prepared.plan.order);
    println!(
        "{{\"rows\": {}, \"alone\": {alone:.4}, \"with_keys\": {with_keys:.4}, \"batches\": {}, \"grouped\": {}}}",
        plan.order.len(),
        plan.batches(),
        plan.grouped.iter().map(|rows| u64::from(*rows)).sum::<u64>(),
    );
}
