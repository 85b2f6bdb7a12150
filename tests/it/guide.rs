//! README and guide say what is so: each name that they give is there, and their commands run.

use std::path::{Path, PathBuf};
use std::process::Command;

use batchwright::schema::{Generated, ITEM_COLUMN, METRICS, TABLE_COLUMNS};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::support::Project;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap()
}

/// The fenced blocks of a language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn every_generated_column_is_described_as_in_its_files() {
    let (readme, format) = (page("README.md"), page("src/guide/format.md"));
    for column in Generated::ALL {
        assert!(readme.contains(&format!("`{}`", column.name())), "README.md: {}", column.name());
        let mut rows = format.lines().filter(|line| line.starts_with(&format!("| `{}` |", column.name())));
        assert!(rows.any(|row| row.contains(column.meaning())), "format.md: {}", column.name());
    }
}

#[test]
fn every_metric_is_defined_as_check_lists_it() {
    let format = page("src/guide/format.md");
    for metric in METRICS {
        let spread = if metric.names().len() > 1 { " (min, mean, max)" } else { "" };
        let row = format!("| `{}`{spread} | {} |", metric.name, metric.meaning);
        assert!(format.contains(&row), "format.md lacks: {row}");
    }
}

#[test]
fn every_column_of_a_table_is_described_and_there() {
    let format = page("src/guide/format.md");
    let project = Project::new(
        "input.shards = [\"in\"]\ncolumns = { identity = \"user_id\", request = \"request_id\", item = \"item_id\", time = \"ts\" }\n\
         compose.batch_size = 256\noutput = { path = \"out\", positives = true }",
    );
    std::fs::create_dir(project.path("in")).unwrap();
    std::fs::copy(root().join("data-samples/feed/part-00000.parquet"), project.path("in/a.parquet")).unwrap();
    project.succeed(&[]);
    for table in TABLE_COLUMNS {
        let file = std::fs::File::open(project.path("out").join(table.path)).unwrap();
        let schema = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().schema().clone();
        let written: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let named = |(name, _): &(&'static str, &str)| if *name == ITEM_COLUMN { "item_id" } else { *name };
        assert_eq!(written, table.columns.iter().map(named).collect::<Vec<_>>(), "{}", table.path);
        for (name, meaning) in table.columns {
            let row = format!("| `{name}` | {meaning} |");
            assert!(format.contains(&row), "format.md lacks: {row}");
        }
    }
}

/// All Rust files below a folder.
fn sources(folder: PathBuf) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push((path.clone(), std::fs::read_to_string(path).unwrap()));
        }
    }
    files
}

#[test]
fn every_guarantee_has_its_test() {
    let files: Vec<(PathBuf, String)> =
        ["src", "tests"].iter().flat_map(|folder| sources(root().join(folder))).collect();
    let guarantees = page("src/guide/guarantees.md");
    let mut found = 0;
    for name in guarantees.split('`').skip(1).step_by(2).filter(|name| name.contains("::")) {
        let parts: Vec<&str> = name.split("::").filter(|part| *part != "tests").collect();
        let (test, module) = (parts[parts.len() - 1], parts[parts.len() - 2]);
        let holds = |(path, text): &(PathBuf, String)| {
            path.file_stem().is_some_and(|stem| stem == module)
                && (test == "*" || text.contains(&format!("fn {test}(")))
        };
        assert!(files.iter().any(holds), "guarantees.md: there is no test {name}");
        found += 1;
    }
    assert!(found > 30, "{found}");
}

#[test]
fn every_question_is_answered_where_it_says() {
    let questions = page("src/guide/questions.md");
    let rows: Vec<&str> = questions.lines().filter(|line| line.starts_with("| ") && line.contains("](")).collect();
    assert_eq!(rows.len(), 10);
    for link in rows.iter().flat_map(|row| row.split("[").skip(1)) {
        let (text, rest) = link.split_once("](").unwrap();
        let file = root().join("src/guide").join(rest.split(')').next().unwrap());
        let heading = text.split('"').nth(1);
        let found = heading.is_none_or(|heading| {
            std::fs::read_to_string(&file)
                .unwrap()
                .lines()
                .any(|line| line.trim_start_matches('#') == format!(" {heading}"))
        });
        assert!(file.exists() && found, "{text}");
    }
}

#[test]
fn every_link_leads_to_a_file() {
    let pages = std::fs::read_dir(root().join("src/guide")).unwrap().map(|entry| entry.unwrap().path());
    for path in pages.filter(|path| path.extension().is_some_and(|e| e == "md")).chain([root().join("README.md")]) {
        let text = std::fs::read_to_string(&path).unwrap();
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            let there = link.starts_with("https://") || path.parent().unwrap().join(link).exists();
            assert!(there, "{}: {link}", path.display());
        }
    }
}

#[test]
fn the_readme_s_pipeline_and_commands_run() {
    let project = Project::new("");
    for name in ["data-samples", "pipelines"] {
        std::os::unix::fs::symlink(root().join(name), project.path(name)).unwrap();
    }
    let run = |line: &str| {
        let binaries = Path::new(env!("CARGO_BIN_EXE_batchwright")).parent().unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        let output = Command::new("bash")
            .args(["-euc", line])
            .current_dir(project.path(""))
            .env("PATH", format!("{}:{path}", binaries.display()))
            .output()
            .unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let readme = page("README.md");
    let [pipeline] = &blocks(&readme, "toml")[..] else { panic!("README.md has one pipeline") };
    std::fs::write(project.path("own.toml"), pipeline).unwrap();
    run("batchwright plan own.toml");
    run("batchwright run own.toml && batchwright verify out/feed --against own.toml");
    run("batchwright run pipelines/feed_user_spread.toml");
    let shell = blocks(&readme, "sh");
    let commands: Vec<&str> = shell.iter().flat_map(|block| block.lines()).collect();
    let commands: Vec<&str> = commands.into_iter().filter(|line| line.starts_with("batchwright ")).collect();
    assert_eq!(commands.len(), 6);
    commands.into_iter().for_each(run);
}
