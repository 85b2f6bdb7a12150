//! The Python package, against brute force over the log and with the binary's own datasets.

use std::path::Path;
use std::process::Command;

use crate::readers::python;

/// Runs a script of `tests/python`, which composes the samples.
fn passes(script: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let work = tempfile::tempdir().unwrap();
    let output = Command::new(python())
        .current_dir(work.path())
        .env("PYTHONPATH", root.join("src/python"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(root.join("tests/python").join(script))
        .args([root, Path::new(env!("CARGO_BIN_EXE_batchwright")), work.path()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "needs pyarrow and torch, of the interpreter BATCHWRIGHT_PYTHON"]
fn batches_are_whole_in_order_and_masked_as_brute_force_has_it() {
    passes("reader.py");
}

#[test]
#[ignore = "needs pyarrow and torch, of the interpreter BATCHWRIGHT_PYTHON"]
fn tensors_losses_and_processes_agree_with_loops_and_with_one_process() {
    passes("tensors.py");
}
