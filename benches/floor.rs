//! The floor of a run: decode every input column, and encode the very rows of its output from memory with the same settings.
//! Prints CPU seconds as JSON. Driven by `benches/pipeline.py`.
//!
//! usage: cargo bench --bench floor -- INPUT_DIR DATASET
#![allow(clippy::disallowed_methods, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, Encoding};
use rayon::prelude::*;

use batchwright::dataset::{ColumnHints, LeafEncoding, LeafStorage, writer_properties};
use batchwright::schema::{NEGATIVES, SAME_USER};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let [input, dataset] = args.as_slice() else {
        // `cargo bench` and `cargo test --benches` call every bench without arguments.
        return println!("usage: cargo bench --bench floor -- INPUT_DIR DATASET");
    };
    // As a run does.
    batchwright::allocator::keep_freed(None);
    // On all cores, like a run: they share caches and memory, and a core that works alone is faster.
    let start = cpu();
    parquet_files(Path::new(input)).par_iter().for_each(|file| read(file, &mut |batch| assert!(batch.num_rows() > 0)));
    let decode = cpu() - start;

    let shards = parquet_files(&Path::new(dataset).join("batches"));
    let rows: Vec<(ColumnHints, Vec<RecordBatch>)> = shards
        .par_iter()
        .map(|file| {
            let mut batches = Vec::new();
            read(file, &mut |batch| batches.push(batch));
            (hints(file), batches)
        })
        .collect();
    let pieces: Vec<_> = rows.iter().flat_map(|(hints, rows)| rows.chunks(64).map(move |rows| (hints, rows))).collect();
    let start = cpu();
    pieces.par_iter().for_each(|(hints, rows)| encode(rows, hints));
    let encode = cpu() - start;
    println!("{{\"decode\": {decode:.2}, \"encode\": {encode:.2}}}");
}

/// Encodes the batches, 16 of 4,096 rows a row group.
fn encode(batches: &[RecordBatch], hints: &ColumnHints) {
    let schema = batches[0].schema();
    let properties = writer_properties(&schema, "zstd(1)".parse::<Compression>().expect("a codec"), hints);
    let mut sink = Vec::new();
    let mut writer =
        ArrowWriter::try_new(&mut sink, Arc::clone(&schema), Some(properties.expect("properties"))).expect("a writer");
    for group in batches.chunks(16) {
        group.iter().for_each(|batch| writer.write(batch).expect("rows"));
        writer.flush().expect("a row group");
    }
    writer.close().expect("a footer");
}

/// How a shard's columns are stored.
fn hints(file: &Path) -> ColumnHints {
    let file = std::fs::File::open(file).expect("a file");
    let footer = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).expect("a footer");
    let mut hints = ColumnHints::default();
    for column in footer.metadata().row_group(0).columns() {
        let name = column.column_path().parts()[0].clone();
        let has = |encoding: Encoding| column.encodings().any(|e| e == encoding);
        let encoding = match column.dictionary_page_offset() {
            Some(_) => LeafEncoding::Dictionary,
            None if has(Encoding::BYTE_STREAM_SPLIT) => LeafEncoding::Split,
            None if has(Encoding::DELTA_BINARY_PACKED) => LeafEncoding::Delta,
            None => LeafEncoding::Plain,
        };
        for bitmaps in [SAME_USER, NEGATIVES] {
            if name == bitmaps && encoding == LeafEncoding::Dictionary {
                // Other row groups may have more distinct ones.
                hints.bitmaps.push((bitmaps, usize::MAX));
            }
        }
        let compressed = column.compression() != Compression::UNCOMPRESSED;
        hints.leaves.entry(name).or_default().push(LeafStorage { encoding, compressed });
    }
    hints
}

fn parquet_files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).expect("a folder");
    let mut files: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "parquet"));
    files.sort();
    files
}

fn read(path: &Path, each: &mut dyn FnMut(RecordBatch)) {
    let file = std::fs::File::open(path).expect("a file");
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet").with_batch_size(4096);
    builder.build().expect("a reader").for_each(|batch| each(batch.expect("rows")));
}

/// CPU seconds of the process so far, all threads (user and system; the kernel counts in hundredths).
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    (fields[11].parse::<f64>().unwrap_or(0.0) + fields[12].parse::<f64>().unwrap_or(0.0)) / 100.0
}
