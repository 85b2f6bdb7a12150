//! Which files are input: what is read is said, what is not read is said too, and dead files of tables are not read.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;

use crate::support::{Project, read_dataset, table, write_parquet};

const PIPELINE: &str =
    "input.shards = [\"in\"]\ncolumns.identity = \"u\"\ncompose.batch_size = 4\noutput.path = \"out\"";

fn rows(first: i64) -> RecordBatch {
    table(vec![
        ("u", Arc::new((first..first + 3).collect::<Int64Array>()) as ArrayRef),
        ("n", Arc::new((first..first + 3).collect::<Int64Array>())),
    ])
}

fn counted(project: &Project) -> u64 {
    project.manifest()["counts"]["rows_in"].as_u64().unwrap()
}

#[test]
fn tables_whose_folders_hold_dead_files_are_refused_and_their_live_files_taken() {
    for (marker, format) in [
        ("in/t/_delta_log/00000000000000000000.json", "Delta"),
        ("in/t/.hoodie/hoodie.properties", "Hudi"),
        ("in/t/metadata/v1.metadata.json", "Iceberg"),
    ] {
        let project = Project::new(PIPELINE);
        write_parquet(&project.path("in/t/day=1/dead.parquet"), &[rows(0)]);
        write_parquet(&project.path("in/t/day=1/live.parquet"), &[rows(10)]);
        let marker = project.path(marker);
        std::fs::create_dir_all(marker.parent().unwrap()).unwrap();
        std::fs::write(marker, "{}").unwrap();
        // However the folder is named: from above, itself, from within, by a pattern.
        for shards in ["in", "in/t", "in/t/day=1", "in/t/day=1/*.parquet", "in/**/*.parquet"] {
            let words = [format, "deleted rows", "--input @FILE"];
            let named = format!("input.shards=[\"{shards}\"]");
            let again = Project::new(&PIPELINE.replace("\"in\"", &format!("\"{}\"", project.path(shards).display())));
            again.fails(&words);
            assert_eq!(project.command("plan", &["--set", &named]).code, 2, "{shards}");
        }
        // Whoever names a file means it.
        project.succeed(&["--input", "in/t/day=1/live.parquet"]);
        assert_eq!(counted(&project), 3);
    }
}

#[test]
fn a_list_of_files_gives_the_bytes_of_the_files_named() {
    let project = Project::new(PIPELINE);
    for (name, first) in [("a", 0), ("b [1]", 10), ("c d", 20)] {
        write_parquet(&project.path(&format!("in/{name}.parquet")), &[rows(first)]);
    }
    let names = ["in/c d.parquet", "in/a.parquet", "in/b [1].parquet"];
    let inputs: Vec<&str> = names.iter().flat_map(|name| ["--input", name]).collect();
    project.succeed(&[&inputs[..], &["--output", "named"]].concat());
    let manifest = |folder: &str| std::fs::read(project.path(folder).join("_batchwright/manifest.json")).unwrap();
    let uri = format!("file://{}", project.path("in/b%20%5B1%5D.parquet").display());
    std::fs::write(project.path("files.txt"), format!("{}\r\n\n{}\n{uri}", names[0], names[1])).unwrap();
    project.succeed(&["--input", "@files.txt", "--output", "listed"]);
    assert_eq!(manifest("listed"), manifest("named"));
    let mut piped = Command::new(env!("CARGO_BIN_EXE_batchwright"))
        .current_dir(project.path(""))
        .args(["run", "pipeline.toml", "--input", "-", "--output", "piped"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    piped.stdin.take().unwrap().write_all(names.join("\n").as_bytes()).unwrap();
    assert!(piped.wait().unwrap().success());
    assert_eq!(manifest("piped"), manifest("named"));
    let judged = project.binary(&["verify", "listed", "--against", "pipeline.toml", "--input", "@files.txt"]);
    assert_eq!(judged.code, 0, "{}{}", judged.stdout, judged.stderr);
    std::fs::write(project.path("none.txt"), "\n \n").unwrap();
    project.arg("--input").arg("@none.txt").fails(&["@none.txt", "names no location"]);
}

#[test]
fn files_of_other_names_are_read_or_counted_aloud() {
    let project = Project::new(PIPELINE);
    for (k, name) in
        ["a.parquet", "b.parq", "c.pq", "d.PARQUET", "e.Pq", "part-0", "f.csv", "_g.parquet"].iter().enumerate()
    {
        write_parquet(&project.path(&format!("in/{name}")), &[rows(10 * k as i64)]);
    }
    let outcome = project.succeed(&[]);
    assert_eq!(counted(&project), 15);
    assert!(outcome.stderr.contains("warning: 2 files beside the shards are not read"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("in/f.csv") && outcome.stderr.contains("in/part-0"), "{}", outcome.stderr);
    let plan = project.command("plan", &["--input", "in/*"]);
    assert!(plan.stdout.contains("2 files beside"), "{}", plan.stdout);
    // A file without a name's end is read where it is named.
    project.succeed(&["--input", "in/part-0", "--overwrite"]);
    assert_eq!(counted(&project), 3);
}

#[test]
fn folders_with_brackets_are_folders() {
    let project = Project::new(PIPELINE);
    write_parquet(&project.path("in/[2024] x/a.parquet"), &[rows(0)]);
    for input in ["in/[2024] x", "in/[2024] x/*.parquet", "in/[2024] x/a.parquet"] {
        project.succeed(&["--input", input, "--overwrite"]);
        assert_eq!(counted(&project), 3);
    }
}

#[test]
fn what_is_no_parquet_is_called_what_it_is() {
    for (bytes, words) in [
        (&b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n"[..], "git lfs pull"),
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", "gzip"),
        (b"u,n\n1,2\n", "CSV"),
        (b"", "empty"),
        (b"PAR1 and then the writer died", "cut off"),
    ] {
        let project = Project::new(PIPELINE);
        std::fs::create_dir(project.path("in")).unwrap();
        std::fs::write(project.path("in/a.parquet"), bytes).unwrap();
        project.fails(&["in/a.parquet", words]);
    }
}

#[test]
fn an_output_inside_the_input_is_refused_at_the_first_run() {
    let project = || Project::new(PIPELINE).file("in/a.parquet", &rows(0));
    project().arg("--output").arg("in/out").fails(&["in/out", "lies inside the input in"]);
    project().arg("--output").arg("in/deep/er/out").fails(&["lies inside the input"]);
    project().arg("--output").arg("none/../in/out").fails(&["lies inside the input"]);
    project().arg("--input").arg("in/**/*.parquet").arg("--output").arg("in/out").fails(&["lies inside the input"]);
    project().arg("--input").arg("in/*.parquet").arg("--output").arg("in/out").succeed(&[]);
}

#[test]
fn a_location_with_a_scheme_is_refused_not_made_a_folder() {
    let project = || Project::new(PIPELINE).file("in/a.parquet", &rows(0));
    project().arg("--output").arg("s3://bucket/out").fails(&["output.path", "s3://"]);
    project().arg("--input").arg("gs://bucket/in").fails(&["input.shards", "gs://"]);
    project().arg("--input").arg("hdfs://name/in").fails(&["input.shards", "hdfs://"]);
    let local = project();
    let (input, output) =
        (format!("file://{}", local.path("in").display()), format!("file://{}", local.path("out").display()));
    local.succeed(&["--input", &input, "--output", &output]);
    assert_eq!(counted(&local), 3);
}

#[test]
fn folders_are_percent_decoded_and_play_every_role() {
    let text = "input = { shards = [\"in\"], hive = true }\ncolumns = { identity = \"the person\", item = \"n\", label = \"class\", time = \"ds\" }\n\
                identity.keep_raw = true\ncompose.batch_size = 4\noutput.path = \"out\"";
    let project = Project::new(text);
    let mut flat: Vec<(String, i64)> = Vec::new();
    for (k, (person, day, class)) in [
        ("ann%20lee%2Fjr", "2024-01-02", "real"),
        ("b%C3%B6=x", "2024-01-01", "fa%25ke"),
        ("100%", "2023-12-31", "real"),
    ]
    .iter()
    .enumerate()
    {
        let own = table(vec![("n", Arc::new((10 * k as i64..10 * k as i64 + 3).collect::<Int64Array>()) as ArrayRef)]);
        write_parquet(&project.path(&format!("in/the%20person={person}/ds={day}/class={class}/a.parquet")), &[own]);
    }
    project.succeed(&["--set", "compose.window=1day", "--set", "compose.batch_size=3"]);
    let judged = project.against(&["--set", "compose.window=1day", "--set", "compose.batch_size=3"]);
    assert_eq!(judged.code, 0, "{}", judged.stdout);
    let out = read_dataset(&project.path("out"));
    let (people, users) = (out["the person"].as_string::<i32>(), out["bw_user"].as_primitive::<Int64Type>());
    let items = out["n"].as_primitive::<Int64Type>();
    // Windows follow one another in time.
    assert_eq!((items.value(0) / 10, items.value(3) / 10, items.value(6) / 10), (2, 1, 0));
    for row in 0..out.num_rows() {
        flat.push((people.value(row).to_owned(), users.value(row)));
    }
    let names: std::collections::BTreeSet<&str> = flat.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["100%", "ann lee/jr", "bö=x"]);
    // The tokens of the same people in a flat file.
    let people: ArrayRef = Arc::new(StringArray::from(vec!["ann lee/jr", "bö=x", "100%"]));
    let other = Project::new(
        "input.shards = [\"in\"]\ncolumns.identity = \"p\"\nidentity.keep_raw = true\noutput.path = \"out\"",
    );
    let other = other.file("in/a.parquet", &table(vec![("p", people)]));
    let plain = other.run();
    for row in 0..3 {
        let (name, user) =
            (plain["p"].as_string::<i32>().value(row), plain["bw_user"].as_primitive::<Int64Type>().value(row));
        assert!(flat.iter().filter(|(n, _)| n == name).all(|(_, u)| *u == user), "{name}");
    }
    project.succeed(&["--overwrite", "--set", "input.where=\"the person\" = 'ann lee/jr' AND class = 'real'"]);
    assert_eq!(project.manifest()["counts"]["rows_out"], 3);
    let stats = crate::support::rows_of(&project.path("out/_batchwright/stats.parquet"));
    assert_eq!(stats["time_min"].data_type(), &arrow::datatypes::DataType::Date32);
}

#[test]
fn a_folder_that_is_no_date_is_no_time() {
    let text = "input = { shards = [\"in\"], hive = true }\ncolumns = { identity = \"u\", time = \"ds\" }\noutput.path = \"out\"";
    Project::new(text).file("in/ds=soon/a.parquet", &rows(0)).fails(&[
        "in/ds=soon/a.parquet",
        "column `ds`",
        "2024-01-31",
    ]);
}

#[test]
fn patterns_skip_and_find_what_folders_do() {
    let project = Project::new(PIPELINE);
    for (k, name) in
        ["a.parquet", "day=1/b.parquet", "_temporary/c.parquet", ".hidden/d.parquet", "spark.parquet/part-0.parquet"]
            .iter()
            .enumerate()
    {
        write_parquet(&project.path(&format!("in/{name}")), &[rows(10 * k as i64)]);
    }
    std::os::unix::fs::symlink(project.path("in"), project.path("in/day=1/loop")).unwrap();
    for input in ["in", "./in", "in/**/*.parquet", "./in/**/*.parquet", "in/**", "./in/**", "in/*", "./in/./*"] {
        project.succeed(&["--input", input, "--overwrite"]);
        assert_eq!(counted(&project), 9, "{input}");
    }
}

#[test]
fn pipes_are_never_opened() {
    let project = Project::new(PIPELINE);
    write_parquet(&project.path("in/a.parquet"), &[rows(0)]);
    let made = Command::new("mkfifo").arg(project.path("in/b.parquet")).status();
    if !made.is_ok_and(|status| status.success()) {
        return eprintln!("skipped: mkfifo is not there");
    }
    for input in ["in", "in/*.parquet"] {
        let outcome = project.succeed(&["--input", input, "--overwrite"]);
        assert!(outcome.stderr.contains("1 file beside the shards is not read"), "{}", outcome.stderr);
    }
    project.arg("--input").arg("in/b.parquet").arg("--output").arg("other").fails(&["in/b.parquet", "a pipe"]);
}
