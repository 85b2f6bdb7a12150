"""Each generated column of a shard says in one line what it means.

usage: meanings.py DATASET
"""
import sys
from pathlib import Path

import pyarrow.parquet as pq

shards = sorted((Path(sys.argv[1]) / "batches").rglob("*.parquet"))
generated = [field for field in pq.read_schema(shards[0]) if field.name.startswith("bw_")]
assert generated
for field in generated:
    meaning = field.metadata[b"description"].decode()
    assert 0 < len(meaning) <= 120 and "\n" not in meaning, (field.name, meaning)
