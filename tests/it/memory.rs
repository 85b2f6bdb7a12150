//! What does not fit the memory limit goes through scratch files; row groups stay small enough to be held.

use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, FixedSizeBinaryArray, Int32Array, Int64Array, RecordBatch, StringArray};

use batchwright::compose::{Head, Pool};
use batchwright::dataset::Cuts;

use crate::determinism::files;
use crate::support::{Project, Shape, pipeline, write_parquet};

#[test]
fn keys_that_are_all_different_spill_too_in_any_mode() {
    let rows = 40_000i64;
    let project = Project::new(
        r#"
        input.shards = ["in.parquet"]
        columns = { identity = "user", request = "request", item = "item", time = "ts", label = "kind" }
        compose.batch_size = 256
        mask.rules = ["same:identity", "same:device"]
        output.path = "out"
        "#,
    );
    let batch = |start: i64| {
        let ids = start..start + rows / 4;
        RecordBatch::try_from_iter([
            ("user", Arc::new(ids.clone().map(|k| Some(format!("u{}", k / 2))).collect::<StringArray>()) as ArrayRef),
            ("request", Arc::new(ids.clone().map(|k| k * 7).collect::<Int64Array>()) as ArrayRef),
            ("item", Arc::new(ids.clone().map(|k| k * k).collect::<Int64Array>()) as ArrayRef),
            ("ts", Arc::new(ids.clone().map(|k| k * 7919 % rows).collect::<Int64Array>()) as ArrayRef),
            (
                "kind",
                Arc::new(ids.clone().map(|k| Some(["a", "b"][k as usize % 2])).collect::<StringArray>()) as ArrayRef,
            ),
            ("device", Arc::new(ids.map(|k| k % 900).collect::<Int64Array>()) as ArrayRef),
        ])
        .unwrap()
    };
    write_parquet(&project.path("in.parquet"), &[0, 1, 2, 3].map(|k| batch(k * rows / 4)));
    let grouped = ["compose.mode=identity_grouped", "compose.group.classes={ a = 1, b = 1 }"];
    for mode in
        [&["compose.window=9000"] as &[_], &["compose.mode=user_spread"], &["compose.mode=request_packed"], &grouped]
    {
        let run = |memory: &str| {
            let sets = mode.iter().flat_map(|set| ["--set", set]);
            let args = ["--overwrite", "--memory", memory, "--format", "json"].into_iter().chain(sets);
            let json = project.succeed(&args.collect::<Vec<_>>()).stdout;
            let json: serde_json::Value = serde_json::from_str(&json).unwrap();
            assert_eq!(json["counts"]["items"], rows);
            (json["spilled_bytes"].as_u64().unwrap(), files(&project.path("out")))
        };
        let (ample, expected) = run("4GiB");
        assert_eq!(ample, 0);
        let (spilled, found) = run("1MiB");
        // Token and place of each request and item, and of every other identity; then times, and rows in the input, that wait
        // for codes, and both with items while rows are composed. The payload alone takes less.
        assert!(spilled > rows as u64 * (24 * 5 / 2 + 12 + 16), "{spilled} bytes");
        assert!(found == expected, "{mode:?}");
        let left = std::fs::read_dir(project.path("")).unwrap().count();
        assert_eq!(left, 3, "scratch files were left");
    }
}

#[test]
fn payload_spills_where_keys_do_not() {
    let rows = 2_000i64;
    let project = Project::new(
        r#"
        input.shards = ["in.parquet"]
        columns = { identity = "user", request = "request", label = "kind" }
        requests.columns = ["request_text"]
        compose.batch_size = 64
        output = { path = "out", row_group_rows = 64 }
        "#,
    );
    let text = |seed: i64| -> String {
        (0..500).map(|k| format!("{:016x}", (seed * 500 + k).wrapping_mul(0x1e37_79b9_7f4a_7c15))).collect()
    };
    let numbers = |of: fn(i64) -> i64| Arc::new((0..rows).map(of).collect::<Int64Array>()) as ArrayRef;
    let texts =
        |of: fn(i64) -> i64| Arc::new(StringArray::from_iter_values((0..rows).map(|row| text(of(row))))) as ArrayRef;
    let batch = RecordBatch::try_from_iter([
        ("user", numbers(|row| row / 7 % 90)),
        ("request", numbers(|row| row / 4)),
        ("kind", numbers(|row| row % 2)),
        ("clip", texts(|row| row)),
        ("request_text", texts(|row| row / 4)),
    ])
    .unwrap();
    write_parquet(&project.path("in.parquet"), &[batch]);
    let grouped = ["compose.mode=identity_grouped", "compose.group.classes={ 0 = 1, 1 = 1 }", "compose.remainder=pad"];
    let first = ["compose.mode=request_packed", "requests.layout=first"];
    for sets in [&["compose.remainder=pad"] as &[_], &first, &grouped] {
        let run = |memory: &str| {
            let sets = sets.iter().flat_map(|set| ["--set", set]);
            let args = ["--overwrite", "--memory", memory, "--format", "json"].into_iter().chain(sets);
            let json = project.succeed(&args.collect::<Vec<_>>()).stdout;
            let json: serde_json::Value = serde_json::from_str(&json).unwrap();
            (json["spilled_bytes"].as_u64().unwrap(), files(&project.path("out")))
        };
        let (ample, expected) = run("4GiB");
        assert_eq!(ample, 0);
        // The keys fit an eighth of this.
        let (spilled, found) = run("2MiB");
        assert!(spilled > rows as u64 * 4_000, "{spilled} bytes");
        assert!(found == expected, "{sets:?}");
    }
}

#[test]
fn row_groups_of_large_rows_end_early() {
    let p = pipeline(&Shape { rows: Vec::new(), batch_size: 64, seed: 0 }, &[]);
    let rows = 3_000 * p.batch_size;
    let pools = vec![Pool { first_batch: 0, batches: 3_000, first_position: 0, rows }];
    let head = Head { pools, ..Head::new(p.batch_size) };
    let batches_in = |row_bytes| Cuts::new(&p, &head, row_bytes).shards[0].row_groups[0].len();
    assert_eq!(batches_in(500), 65_536 / 64);
    assert_eq!(batches_in(100_000), (128 << 20) / 100_000 / 64);
    // One batch at least.
    assert_eq!(batches_in(50_000_000), 1);
}

/// The most memory that a run takes, in bytes; `None` where the system does not tell.
fn peak(project: &Project, memory: &str) -> Option<u64> {
    let mut run = std::process::Command::new(env!("CARGO_BIN_EXE_batchwright"))
        .args(["run", "pipeline.toml", "--overwrite", "--threads", "2", "--memory", memory])
        .current_dir(project.path(""))
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut most = None;
    loop {
        let status = std::fs::read_to_string(format!("/proc/{}/status", run.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib: Option<u64> = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        most = most.max(kib.map(|kib| kib << 10));
        if let Some(status) = run.try_wait().unwrap() {
            assert!(status.success());
            return most;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn a_run_takes_no_more_memory_than_it_is_given() {
    let project = Project::new(
        "input.shards = [\"in.parquet\"]\ncolumns = { identity = \"user\", item = \"item\" }\n\
         compose.batch_size = 1024\noutput.path = \"out\"",
    );
    let mut rng = batchwright::compose::Rng::new(0, "noise", 0);
    let mut batch = || {
        let rows = 250_000usize;
        let mut ids = |of: usize| Arc::new((0..rows).map(|_| rng.below(of) as i64).collect::<Int64Array>()) as ArrayRef;
        let (user, item) = (ids(400_000), ids(100_000));
        let noise: Vec<u8> = (0..rows * 15).flat_map(|_| rng.next_u64().to_le_bytes()).collect();
        let blob = FixedSizeBinaryArray::new(120, noise.into(), None);
        RecordBatch::try_from_iter([("user", user), ("item", item), ("blob", Arc::new(blob))]).unwrap()
    };
    write_parquet(&project.path("in.parquet"), &std::array::from_fn::<_, 10, _>(|_| batch()));
    // What a run says that it may take, if its limit is short. It writes the pipeline file, too.
    let short_of = |memory: &str| {
        let plan = project.command("plan", &["--threads", "2", "--memory", memory, "--format", "json"]).stdout;
        let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
        plan["memory"]["short_of"].as_u64()
    };
    let least = short_of("128MiB").unwrap();
    assert_eq!(short_of("384MiB"), None);
    let (Some(ample), Some(given), Some(scarce)) =
        (peak(&project, "8GiB"), peak(&project, "384MiB"), peak(&project, "128MiB"))
    else {
        return eprintln!("skipped: the system does not tell what a process takes");
    };
    assert!(ample > 384 << 20, "{ample}: it would fit anyway");
    assert!(given <= 384 << 20, "{given}");
    assert!(scarce <= least && least < ample, "{scarce} of {least}, and {ample}");
}

/// Files whose footers tell nothing of what texts take, as DuckDB and Polars leave them: dictionaries of long texts.
fn write_long_texts(path: &std::path::Path, rows: usize, width: usize) {
    let (u, n) = ((0..rows as i64).map(|k| k % 5000), 0..rows as i64);
    let keys: Int32Array = (0..rows as i32).map(|k| Some(k.wrapping_mul(31) % 100)).collect();
    let values = StringArray::from_iter_values((0..100).map(|k| format!("{k:0>width$}")));
    let texts = DictionaryArray::new(keys, Arc::new(values));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("u", Arc::new(u.collect::<Int64Array>())),
        ("n", Arc::new(n.collect::<Int64Array>())),
        ("t", Arc::new(texts)),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let properties = parquet::file::properties::WriterProperties::builder()
        .set_statistics_enabled(parquet::file::properties::EnabledStatistics::None)
        .set_max_row_group_row_count(Some(rows));
    // The type that other writers leave is that of the texts.
    let options = parquet::arrow::arrow_writer::ArrowWriterOptions::new().with_properties(properties.build());
    let options = options.with_skip_arrow_metadata(true);
    let file = std::fs::File::create(path).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new_with_options(file, batch.schema(), options).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn long_texts_of_dictionaries_stay_within_the_limit() {
    let project = Project::new("");
    let text =
        "input.shards = [\"in.parquet\"]\ncolumns.identity = \"u\"\ncompose.batch_size = 1024\noutput.path = \"out\"";
    std::fs::write(project.path("pipeline.toml"), text).unwrap();
    // 1.2 GB of texts in a file of a few megabytes.
    write_long_texts(&project.path("in.parquet"), 300_000, 4000);
    let Some(most) = peak(&project, "512MiB") else {
        return eprintln!("skipped: the system does not tell what a process takes");
    };
    assert!(most <= 512 << 20, "{most}");
}

#[test]
fn keys_may_pass_two_gibibytes_in_a_row_group() {
    let project = Project::new("");
    let text = "input.shards = [\"in.parquet\"]\ncolumns = { identity = \"t\", item = \"n\" }\n\
                compose.batch_size = 1024\noutput = { path = \"out\", compression = \"lz4_raw\" }";
    std::fs::write(project.path("pipeline.toml"), text).unwrap();
    write_long_texts(&project.path("in.parquet"), 280_000, 8000);
    let Some(most) = peak(&project, "1GiB") else {
        return eprintln!("skipped: the system does not tell what a process takes");
    };
    let text = std::fs::read_to_string(project.path("out/_batchwright/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (manifest["counts"]["users"].as_u64(), manifest["counts"]["rows_out"].as_u64()),
        (Some(100), Some(280_000))
    );
    // Each text is held once, however often it comes.
    assert!(most <= 1 << 30, "{most}");
}
