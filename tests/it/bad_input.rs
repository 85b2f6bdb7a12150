//! Bad input: one line, exit 2, nothing at the output.

use std::sync::Arc;

use arrow::array::{Float64Array, Int64Array, RecordBatch, StringArray};

use crate::support::{Project, table, write_parquet};

const PIPELINE: &str = r#"
    [input]
    shards = ["data"]
    [columns]
    identity = "user"
    item = "item"
    label = "label"
    [compose]
    batch_size = 8
    [output]
    path = "out"
"#;

fn rows() -> RecordBatch {
    let n = 64;
    table(vec![
        ("user", Arc::new(StringArray::from_iter_values((0..n).map(|k| format!("user-{}", k % 9))))),
        ("item", Arc::new(Int64Array::from_iter_values(0..n))),
        ("label", Arc::new(StringArray::from_iter_values((0..n).map(|k| ["real", "fake"][(k % 2) as usize])))),
        ("score", Arc::new(Float64Array::from_iter_values((0..n).map(|k| k as f64 + 0.5)))),
    ])
}

fn project() -> Project {
    Project::new(PIPELINE).file("data/a.parquet", &rows()).file("data/b.parquet", &rows())
}

fn set(set: &str) -> Project {
    project().arg("--set").arg(set)
}

#[test]
fn what_the_pipeline_names_must_be_there_and_fit() {
    set("columns.identity=usr").fails(&["columns.identity", "`usr`", "did you mean `user`"]);
    set("columns.item=score").fails(&["a.parquet", "column `score`", "row 0 of", "no whole number"]);
    set("columns.time=user").fails(&["columns.time", "also an identity column"]);
    set("columns.item=user").fails(&["columns.item", "also an identity column"]);
    set("columns.time=label").fails(&["columns.time", "`label` is Utf8", "timestamp"]);
    set("input.drop=[\"nothing\"]").fails(&["input.drop", "`nothing`"]);
    set("mask.rules=[\"same:sesion\"]").fails(&["mask.rules", "`sesion`"]);
    set("mask.rules=[\"other:user\"]").fails(&["mask.rules", "`other:user`"]);
    set("dedup.key=[\"scor\"]").fails(&["dedup.key", "did you mean `score`"]);
}

#[test]
fn predicates_must_be_sql_about_rows_and_are_never_shown() {
    let bad = set("input.where=user = 'user-3' AND AND").fails(&["input.where"]);
    assert!(!bad.contains("user-3"));
    set("input.where=usr = 'x'").fails(&["input.where", "did you mean `user`"]);
    set("input.where=item > AVG(item)").fails(&["input.where", "aggregate"]);
    set("input.where=CORR(item, score) > 0").fails(&["input.where", "beyond the row"]);
    set("input.where=item + 1").fails(&["input.where", "true or false"]);
    let untyped = set("input.where=score > 'user-77'").fails(&["input.where"]);
    assert!(!untyped.contains("user-77"));
    set("input.where= ").fails(&["input.where", "empty"]);
    let nested = set("input.where=exists (select 1 where label = 'user-55')").fails(&["input.where"]);
    assert!(!nested.contains("user-55"));
    set("mask.positive=label").fails(&["mask.positive"]);
    set("input.where=item < 0").fails(&["no example is left of 128 rows", "128 fail input.where"]);
}

#[test]
fn shapes_that_cannot_be_are_refused_with_one_that_can() {
    set("compose.batch_size=0").fails(&["compose.batch_size", "0"]);
    set("compose.batch_size=129").arg("--set").arg("compose.remainder=drop").fails(&["128 rows fill no batch of 129"]);
    set("output.ranks=3").arg("--set").arg("compose.remainder=pad").fails(&["not a multiple", "use 9"]);
    set("output.ranks=2").fails(&["compose.remainder", "\"drop\" or \"pad\""]);
    let grouped = || set("compose.mode=identity_grouped");
    grouped().fails(&["compose.group.classes"]);
    grouped()
        .arg("--set")
        .arg("compose.group.classes={ real = 1, fake = 2 }")
        .fails(&["groups of 3 rows", "batch_size = 9"]);
    grouped()
        .arg("--set")
        .arg("compose.group.classes={ real = 1, synthetic = 1 }")
        .fails(&["no row has the label `synthetic`", "fake, real"]);
    set("compose.batch_size=20000").fails(&["mask.encoding", "16384", "slots"]);
    set("compose.window=1h").fails(&["compose.window", "columns.time"]);
    set("compose.window=1h").arg("--set").arg("columns.time=item").fails(&["compose.window", "unknown unit"]);
    set("output.compression=zip").fails(&["output.compression", "`zip`"]);
    set("output.compression=lzo").fails(&["output.compression", "`lzo`", "zstd(1)"]);
    set("compose.batch_size=2147483648")
        .arg("--set")
        .arg("mask.encoding=slots")
        .fails(&["compose.batch_size", "31 bits"]);
    set("output.ranks=100000").fails(&["output.ranks", "65536"]);
    grouped()
        .arg("--set")
        .arg("compose.group={ classes = { real = 100, fake = 100 }, scarce = \"drop\" }")
        .arg("--set")
        .arg("compose.batch_size=200")
        .fails(&["compose.group", "fill no group", "smaller quotas"]);
}

#[test]
fn damaged_files_are_errors_that_name_them() {
    let good = project();
    let bytes = std::fs::read(good.path("data/a.parquet")).unwrap();
    let with = |bytes: &[u8]| {
        let project = project();
        std::fs::write(project.path("data/b.parquet"), bytes).unwrap();
        project
    };
    with(&bytes[..bytes.len() / 2]).fails(&["b.parquet", "not readable as Parquet"]);
    with(&vec![0; bytes.len()]).fails(&["b.parquet", "not readable as Parquet"]);
    with(b"").fails(&["b.parquet"]);
    with(b"PAR1").fails(&["b.parquet"]);
    // Zeroed pages below an intact footer.
    let mut zeroed = bytes.clone();
    zeroed[4..400].fill(0);
    with(&zeroed).fails(&["b.parquet"]);
    // Any single byte may be wrong: an error or a success, never a panic, never a half-made dataset.
    for at in (0..bytes.len()).step_by(97) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x55;
        let project = with(&flipped);
        let outcome = project.command("run", &[]);
        assert!([0, 2].contains(&outcome.code), "byte {at}: {}", outcome.stderr);
        assert!(!outcome.stderr.contains("panicked"), "byte {at}: {}", outcome.stderr);
        assert_eq!(project.path("out").exists(), outcome.code == 0);
    }
}

#[test]
fn empty_inputs_are_errors() {
    let empty = Project::new(PIPELINE);
    std::fs::create_dir(empty.path("data")).unwrap();
    empty.fails(&["data", "no Parquet files"]);
    Project::new(PIPELINE).fails(&["data", "no such file"]);
    set("input.shards=[\"data/*.pq\"]").fails(&["data/*.pq"]);
    set("input.shards=[]").fails(&["input.shards"]);
    let none = Project::new(PIPELINE);
    write_parquet(&none.path("data/a.parquet"), &[rows().slice(0, 0)]);
    none.fails(&["no example is left of 0 rows"]);
}

#[test]
fn an_output_that_is_not_ours_is_never_replaced() {
    let project = project();
    std::fs::create_dir(project.path("out")).unwrap();
    std::fs::write(project.path("out/thesis.txt"), "years of work").unwrap();
    project.fails(&["output out", "--overwrite"]);
    let project = project.arg("--overwrite");
    project.fails(&["output out", "holds no batchwright dataset"]);
    assert_eq!(std::fs::read_to_string(project.path("out/thesis.txt")).unwrap(), "years of work");
}

#[test]
fn an_empty_folder_is_taken_and_a_link_to_one_is_not() {
    let project = project();
    std::fs::create_dir(project.path("out")).unwrap();
    project.succeed(&[]);
    assert!(project.path("out/_batchwright/manifest.json").exists());
    std::fs::create_dir(project.path("empty")).unwrap();
    std::os::unix::fs::symlink(project.path("empty"), project.path("link")).unwrap();
    assert_eq!(project.command("run", &["--output", "link"]).code, 2);
    // What came into it meanwhile stays, and so does the folder where the run fails.
    std::fs::write(project.path("data/b.parquet"), "damage").unwrap();
    assert_eq!(project.command("run", &["--output", "empty"]).code, 2);
    assert_eq!(std::fs::read_dir(project.path("empty")).unwrap().count(), 0);
}

#[test]
fn an_overwrite_that_fails_leaves_the_old_dataset() {
    let project = project();
    project.succeed(&[]);
    let before = std::fs::read(project.path("out/_batchwright/manifest.json")).unwrap();
    std::fs::write(project.path("data/b.parquet"), "damage").unwrap();
    assert_eq!(project.command("run", &["--overwrite"]).code, 2);
    assert_eq!(std::fs::read(project.path("out/_batchwright/manifest.json")).unwrap(), before);
}

#[test]
fn an_overwrite_replaces_neither_its_input_nor_a_link() {
    let project = project();
    project.succeed(&[]);
    std::fs::create_dir(project.path("out/in")).unwrap();
    std::fs::copy(project.path("data/a.parquet"), project.path("out/in/a.parquet")).unwrap();
    std::os::unix::fs::symlink("out", project.path("link")).unwrap();
    let project = project.arg("--overwrite");
    let into_link = project.command("run", &["--output", "link"]);
    assert_eq!(into_link.code, 2);
    assert!(into_link.stderr.contains("symbolic link"), "{}", into_link.stderr);
    project.arg("--input").arg("out/in").fails(&["output out", "out/in/a.parquet is input of this run"]);
}

#[test]
fn a_plan_leaves_nothing() {
    let project = project();
    let plan = project.command("plan", &["--memory", "1", "--spill-dir", "scratch/deep"]);
    assert_eq!(plan.code, 0, "{}", plan.stderr);
    let left = std::fs::read_dir(project.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut left: Vec<_> = left.collect();
    left.sort();
    assert_eq!(left, ["data", "pipeline.toml"]);
}

#[test]
fn a_composed_dataset_is_no_input() {
    let project = project();
    project.succeed(&[]);
    project.arg("--input").arg("out").arg("--output").arg("again").fails(&["bw_batch", "reserved"]);
}

#[test]
fn a_full_disk_leaves_nothing() {
    // A file system of 300 KiB, where the kernel lets us mount one.
    let project = Project::new(&PIPELINE.replace("\"out\"", "\"disk/out\""));
    let n = 40_000;
    let rows = table(vec![
        ("user", Arc::new(StringArray::from_iter_values((0..n).map(|k| format!("user-{}", k % 900))))),
        ("item", Arc::new(Int64Array::from_iter_values((0..n).map(|k: i64| k.wrapping_mul(0x1e37_79b9_7f4a_7c15))))),
        ("label", Arc::new(StringArray::from_iter_values((0..n).map(|k| format!("{:x}", k * 7919))))),
    ]);
    let project = project.file("data/a.parquet", &rows);
    std::fs::create_dir(project.path("disk")).unwrap();
    std::fs::write(project.path("pipeline.toml"), PIPELINE.replace("\"out\"", "\"disk/out\"")).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=300k none disk || exit 77; '{}' run --quiet pipeline.toml; code=$?; ls -A disk; exit $code",
        env!("CARGO_BIN_EXE_batchwright")
    );
    let output =
        std::process::Command::new("unshare").args(["-rm", "sh", "-c", &script]).current_dir(project.path("")).output();
    let Ok(output) = output else { return eprintln!("skipped: unshare is not there") };
    let stderr = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(2) => {}
        Some(77) | Some(1) => return eprintln!("skipped: no file system can be mounted here: {stderr}"),
        code => panic!("{code:?}: {stderr}"),
    }
    assert_eq!(stderr.trim_end().lines().count(), 1, "{stderr}");
    assert!(stderr.contains("disk") && stderr.contains("space"), "{stderr}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "something was left behind");
}
