//! Writes `data-samples/`: a feed log and a media table, synthetic, the same bytes each time.
//!
//! usage: cargo run --release --example make_samples [DIR]

#![allow(clippy::disallowed_methods, clippy::expect_used)]

use std::path::Path;
use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::{DataType, Field, Float32Type, Int8Type, Int64Type, Schema};
use batchwright::compose::Rng;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

const USERS: usize = 400;
const ITEMS: usize = 2_000;
const REQUESTS: usize = 1_600;
const PEOPLE: usize = 160;

fn main() {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "data-samples".into());
    feed(&Path::new(&dir).join("feed"));
    media(&Path::new(&dir).join("media"));
}

/// Popular first: a draw from 0..n whose density falls as 1/(k+1).
fn skewed(rng: &mut Rng, n: usize) -> usize {
    let u = rng.below(1 << 24) as f64 / f64::from(1 << 24);
    ((n as f64 + 1.0).powf(u) - 1.0) as usize
}

fn unit(rng: &mut Rng) -> f32 {
    rng.below(1 << 20) as f32 / (1 << 20) as f32
}

/// Requests of a few items each, in time order, in two shards; one row in fifty is replayed.
fn feed(dir: &Path) {
    let mut rng = Rng::new(1, "feed", 0);
    for shard in 0..2 {
        let mut users = Vec::new();
        let (mut requests, mut items, mut times) = (Vec::new(), Vec::new(), Vec::new());
        let (mut clicked, mut surfaces, mut dwell) = (Vec::new(), Vec::new(), Vec::new());
        let (mut history, mut embedding) = (Vec::new(), Vec::new());
        for k in 0..REQUESTS / 2 {
            let request = shard * REQUESTS / 2 + k;
            let user = skewed(&mut rng, USERS);
            let time = 1_767_225_600_000 + request as i64 * 61_000;
            let surface = ["home", "search", "related"][rng.below(3)];
            let seen: Vec<Option<i64>> = (0..12).map(|_| Some(skewed(&mut rng, ITEMS) as i64)).collect();
            let vector: Vec<Option<f32>> = (0..8).map(|_| Some(unit(&mut rng))).collect();
            let start = items.len();
            for position in 0..2 + rng.below(9) {
                let replayed = position > 0 && rng.below(50) == 0;
                let from = if replayed { start + rng.below(position) } else { usize::MAX };
                users.push(format!("user-{user:05}"));
                requests.push(request as i64);
                items.push(if replayed { items[from] } else { skewed(&mut rng, ITEMS) as i64 });
                times.push(time + position as i64);
                clicked.push(rng.below(5) == 0);
                surfaces.push(surface);
                dwell.push((rng.below(4) > 0).then(|| unit(&mut rng) * 30.0));
                history.push(Some(seen.clone()));
                embedding.push(Some(vector.clone()));
            }
        }
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("user_id", Arc::new(StringArray::from(users))),
            ("request_id", Arc::new(Int64Array::from(requests))),
            ("item_id", Arc::new(Int64Array::from(items))),
            ("ts", Arc::new(TimestampMillisecondArray::from(times).with_timezone("UTC"))),
            ("clicked", Arc::new(BooleanArray::from(clicked))),
            ("surface", Arc::new(surfaces.into_iter().collect::<DictionaryArray<Int8Type>>())),
            ("dwell", Arc::new(Float32Array::from(dwell))),
            ("user_history", Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(history))),
            ("user_embedding", Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(embedding, 8))),
        ];
        write(&dir.join(format!("part-{shard:05}.parquet")), columns);
    }
}

/// Clips of people, sorted by person: few real ones, many fake ones, and some people with only one kind.
fn media(dir: &Path) {
    let mut rng = Rng::new(1, "media", 0);
    let (mut clips, mut people, mut labels, mut generators, mut seconds) = (vec![], vec![], vec![], vec![], vec![]);
    for person in 0..PEOPLE {
        let real = if person % 16 == 3 { 0 } else { 1 + rng.below(6) };
        let fake = if person % 16 == 7 { 0 } else { 3 + skewed(&mut rng, 60) };
        for k in 0..real + fake {
            clips.push(format!("clip-{person:03}-{k:03}"));
            people.push(format!("person-{person:03}"));
            labels.push(if k < real { "real" } else { "fake" });
            generators.push((k >= real).then(|| ["swap", "lipsync", "avatar"][rng.below(3)]));
            seconds.push(1.0 + unit(&mut rng) * 9.0);
        }
    }
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("clip", Arc::new(StringArray::from(clips))),
        ("person", Arc::new(StringArray::from(people))),
        ("label", Arc::new(StringArray::from(labels))),
        ("generator", Arc::new(generators.into_iter().collect::<DictionaryArray<Int8Type>>())),
        ("seconds", Arc::new(Float32Array::from(seconds))),
    ];
    write(&dir.join("clips.parquet"), columns);
}

fn write(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, DataType::clone(array.data_type()), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns.into_iter().map(|c| c.1).collect()).expect("columns");
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    let file = std::fs::File::create(path).expect("a file");
    let mut writer = ArrowWriter::try_new(file, schema, Some(properties)).expect("a writer");
    writer.write(&batch).expect("rows");
    writer.close().expect("a footer");
    println!("{}: {} rows", path.display(), batch.num_rows());
}
