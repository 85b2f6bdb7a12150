//! Tokens, keys and nulls.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
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

#[test]
fn shares_of_identities_have_none_in_common_and_all_together() {
    let pipeline = r#"
        input.shards = ["in.parquet"]
        input.where = "x < 900"
        columns = { identity = "user", item = "item" }
        identity.nulls = "drop"
        identity.keep_raw = true
        compose.batch_size = 16
        mask.rules = ["same:identity", "known_positive"]
        output.path = "out"
    "#;
    let users: StringArray = (0..1_000).map(|k| (k % 11 != 0).then(|| format!("u{}", k * k % 307))).collect();
    let rows = table(vec![
        ("user", Arc::new(users) as ArrayRef),
        ("item", Arc::new((0..1_000).map(|k| k % 83).collect::<Int64Array>())),
        ("x", Arc::new((0..1_000).collect::<Int64Array>())),
    ]);
    let mut seen: Vec<std::collections::BTreeSet<i64>> = Vec::new();
    let mut total = 0;
    for share in ["[0.0, 0.3]", "[0.3, 0.9]", "[0.9, 1.0]"] {
        let project =
            Project::new(pipeline).file("in.parquet", &rows).arg("--set").arg(&format!("identity.share={share}"));
        let out = project.run();
        project.verified();
        let tokens: std::collections::BTreeSet<i64> = column::<Int64Type>(&out, "bw_user").into_iter().collect();
        assert!(seen.iter().all(|others| others.is_disjoint(&tokens)) && tokens.len() > 5);
        let counts = project.manifest()["counts"].clone();
        let filtered = counts["filtered"].as_u64().unwrap();
        assert_eq!(filtered + counts["null_identity"].as_u64().unwrap() + out.num_rows() as u64, 1_000);
        seen.push(tokens);
        total += out.num_rows();
        // A manifest that claims another share does not pass.
        let manifest = project.path("out/_batchwright/manifest.json");
        let text = std::fs::read_to_string(&manifest).unwrap();
        let other = text.replace("\"share\": [", "\"share\": [0.30000001, 0.3000001], \"was\": [");
        assert_ne!(other, text);
        std::fs::write(&manifest, other).unwrap();
        let verdict = project.verify(&[]);
        assert!(verdict.code == 1 && verdict.stdout.contains("outside of identity.share"), "{}", verdict.stdout);
    }
    assert_eq!(total, (0..900).filter(|k| k % 11 != 0).count());
    for share in ["[0.5, 0.5]", "[-0.1, 0.5]", "[0.2, 1.5]"] {
        let project =
            Project::new(pipeline).file("in.parquet", &rows).arg("--set").arg(&format!("identity.share={share}"));
        project.fails(&["identity.share"]);
    }
}
