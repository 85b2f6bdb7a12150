"""Datasets for the tests of the Python package, and what is true of them, found slowly from their raw columns."""

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROOT, BINARY, WORK = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])

SPREAD = "pipelines/feed_user_spread.toml"
PACKED = "pipelines/feed_ranks_packed.toml"
GROUPED = "pipelines/media_identity_grouped.toml"


def compose(name, pipeline, *sets):
    """Composes a ready pipeline with other settings; gives where the dataset is."""
    out = WORK / name
    sets = itertools.chain.from_iterable(("--set", one) for one in ("identity.keep_raw=true", *sets))
    run = [BINARY, "run", pipeline, "--output", out, *sets]
    ran = subprocess.run(run, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return out


def global_batches(dataset):
    """The rows of each batch, over all ranks, as dicts, in the order of slots."""
    shards = sorted((dataset / "batches").rglob("*.parquet"))
    names = [name for name in pq.read_schema(shards[0]).names if name not in ("bw_same_user", "bw_negatives", "bw_excluded", "bw_positives")]
    rows = pa.concat_tables([pq.read_table(shard, columns=names) for shard in shards]).to_pylist()
    rows.sort(key=lambda row: (row["bw_batch"], row["bw_slot"]))
    return [list(batch) for _, batch in itertools.groupby(rows, key=lambda row: row["bw_batch"])]


def log():
    """The rows of the sample's log."""
    return pa.concat_tables([pq.read_table(path) for path in sorted((ROOT / "data-samples/feed").glob("*.parquet"))]).to_pylist()


def liked(where=lambda row: True):
    """(user, item) pairs of the log that satisfy the predicate."""
    return {(row["user_id"], row["item_id"]) for row in log() if where(row)}


def mask(batch, excluded):
    """bool[rows, rows]: whether each slot is a valid negative, by what a pair of rows says; copies of an example never are."""
    example = [(row["user_id"], row["request_id"], row["item_id"]) for row in batch]
    fits = lambda i, j: example[i] != example[j] and not excluded(batch[i], batch[j])
    return np.array([[fits(i, j) for j in range(len(batch))] for i in range(len(batch))])


def same_user(a, b):
    return a["user_id"] == b["user_id"]


def same_item(a, b):
    return a["item_id"] == b["item_id"]
