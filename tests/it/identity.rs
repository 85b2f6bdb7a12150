//! Tokens, keys and nulls.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use arrow::array::{Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;

use crate::support::{Project, column, table};

fn rows() -> RecordBatch {
    let users: Vec<Option<String>> = (0..40).map(|k| (k % 10 > 1).then(|| format!("secret-{}", k % 5))).collect();
    table(vec![
        ("user", Arc::new(StringArray::from(users))),
        ("device", Arc::new(Int32Array::from((0..40).map(|k| k % 2).collect::<Vec<_>>()))),
        ("row", Arc::new(Int64Array::from((0..40).collect::<Vec<i64>>()))),
    ])
}

fn project(more: &str) -> Project {
    let text = format!("input.shards = [\"in.parquet\"]\noutput.path = \"out\"\ncolumns.identity = \"user\"\n{more}");
    Project::new(&text).file("in.parquet", &rows())
}

#[test]
fn a_null_identity_is_an_error_dropped_or_an_identity_of_its_own() {
    project("").fails(&[
        "in.parquet, row group 0, column `user`",
        "row 0 of this row group has no identity",
        "identity.nulls",
    ]);
    let dropped = project("identity.nulls = \"drop\"");
    assert_eq!(dropped.run().num_rows(), 32);
    assert_eq!(dropped.manifest()["counts"]["null_identity"], 8);
    let distinct = project("identity.nulls = \"distinct\"");
    let mut users = column::<Int64Type>(&distinct.run(), "bw_user");
    users.sort_unstable();
    users.dedup();
    // Five users, of which two (0 and 1) keep half of their rows, and eight nulls.
    assert_eq!(users.len(), 5 + 8);
    assert_eq!(distinct.manifest()["counts"]["users"], 13);
}

#[test]
fn raw_identities_stay_out_unless_asked_for() {
    let hidden = project("identity.nulls = \"drop\"").run();
    assert!(hidden.column_by_name("user").is_none());
    let shown = project("[identity]\nnulls = \"drop\"\nkeep_raw = true").run();
    assert!(shown.column_by_name("user").is_some());
}

#[test]
fn a_composite_identity_is_null_where_a_part_is() {
    let text = "input.shards = [\"in.parquet\"]\noutput.path = \"out\"\ncolumns.identity = [\"user\", \"device\"]\nidentity.nulls = \"drop\"";
    let project = Project::new(text).file("in.parquet", &rows());
    let out = project.run();
    assert_eq!(out.num_rows(), 32);
    assert!(out.column_by_name("device").is_none());
    // Of ten pairs, two only ever come with a null.
    assert_eq!(project.manifest()["counts"]["users"], 8);
}

#[test]
fn with_keyed_tokens_folders_of_identities_are_not_named() {
    let text = "input = { shards = [\"in\"], hive = true }\ncolumns.identity = \"speaker\"\n\
                identity = { hash = \"blake3\", key_file = \"key\" }\ncompose.batch_size = 20\noutput.path = \"out\"";
    let project =
        Project::new(text).file("in/speaker=alice/a.parquet", &rows()).file("in/speaker=bob/a.parquet", &rows());
    std::fs::write(project.path("key"), [1; 32]).unwrap();
    std::fs::set_permissions(project.path("key"), std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(project.run().num_rows(), 80);
    let manifest = project.manifest();
    assert_eq!(manifest["inputs"][0]["path"], "speaker=…/a.parquet");
    assert!(!manifest.to_string().contains("alice"));
    let error = project
        .arg("--set")
        .arg("mask.positive=LENGTH(row) > 1")
        .arg("--overwrite")
        .fails(&["mask.positive", "file 1"]);
    assert!(!error.contains("alice"), "{error}");
    // The same where the column is in the files too, and the folders only repeat it.
    let project = Project::new(&text.replace(", hive = true", "").replace("speaker", "user"));
    let project = project.file("in/user=alice/a.parquet", &rows()).file("in/user=bob/a.parquet", &rows());
    std::fs::write(project.path("key"), [1; 32]).unwrap();
    std::fs::set_permissions(project.path("key"), std::fs::Permissions::from_mode(0o600)).unwrap();
    project.succeed(&["--set", "identity.nulls=drop"]);
    assert_eq!(project.manifest()["inputs"][0]["path"], "user=…/a.parquet");
}

#[test]
fn a_keyed_hash_depends_on_the_key_and_shows_nothing() {
    let keyed = |key: &[u8]| {
        let text = "[input]\nshards = [\"in.parquet\"]\nwhere = '''\"user\" <> 'secret-9''''\n[columns]\nidentity = \"user\"\n\
                    [identity]\nhash = \"blake3\"\nkey_file = \"key\"\nnulls = \"drop\"\n[output]\npath = \"out\"";
        let project = Project::new(text).file("in.parquet", &rows());
        std::fs::write(project.path("key"), key).unwrap();
        std::fs::set_permissions(project.path("key"), std::fs::Permissions::from_mode(0o600)).unwrap();
        project
    };
    let (one, two) = (keyed(&[1; 32]), keyed(&[2; 32]));
    let users = |p: &Project| column::<Int64Type>(&p.run(), "bw_user");
    assert_ne!(users(&one), users(&two));
    let (a, b) = (one.manifest(), two.manifest());
    assert_ne!(a["key"]["key_check"], b["key"]["key_check"]);
    assert_ne!(a["key"]["key_id"], b["key"]["key_id"]);
    for text in [a.to_string(), one.succeed(&["--overwrite"]).stdout] {
        assert!(!text.contains("secret-"), "{text}");
    }
    // Nobody without the key can find the predicate by trying names.
    let digest = |manifest: &serde_json::Value| manifest["pipeline"]["input"]["where"]["blake3"].clone();
    assert!(digest(&a).is_string());
    assert_ne!(digest(&a), digest(&b));
    // What is no SQL, or no column, may be an identity.
    for bad in ["user <> 1 4711", "user = secret_1", "user = \"secret 1\"", "user = 4711 AND AND"] {
        let error = keyed(&[1; 32]).arg("--set").arg(&format!("input.where={bad}")).fails(&["input.where"]);
        assert!(!error.contains("4711") && !error.contains("secret"), "{error}");
    }
    keyed(&[1; 31]).fails(&["identity.key_file", "31 bytes"]);
    let open = keyed(&[1; 32]);
    std::fs::set_permissions(open.path("key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    open.fails(&["identity.key_file", "chmod 600"]);
}
