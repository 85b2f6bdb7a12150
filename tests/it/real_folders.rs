//! Folders as pandas, DuckDB, Polars and pyarrow write them; with the interpreter that `BATCHWRIGHT_PYTHON` names.

use std::path::Path;
use std::process::Command;

use crate::readers::python;

#[test]
#[ignore = "needs pyarrow, pandas, polars and duckdb, of the interpreter BATCHWRIGHT_PYTHON"]
fn what_common_writers_leave_in_a_folder_comes_out_value_for_value() {
    let python = python();
    let work = tempfile::tempdir().unwrap();
    let output = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers/real_folders.py"))
        .arg(env!("CARGO_BIN_EXE_batchwright"))
        .arg(work.path())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
}
