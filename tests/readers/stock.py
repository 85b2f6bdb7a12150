"""Stock readers on a dataset of one rank: each must give whole batches, in order, with the masks that the identities say.

usage: stock.py DATASET
"""
import sys
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

dataset = Path(sys.argv[1])
shards = [str(p) for p in sorted((dataset / "batches").glob("*.parquet"))]
size = int(pq.ParquetFile(shards[0]).metadata.metadata[b"batchwright.batch_size"])


def bits(column, rows):
    """The mask as rows × batch size booleans; sliced arrays have an offset."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    width = column.type.byte_width
    data = np.frombuffer(column.buffers()[1], np.uint8)
    data = data[column.offset * width : (column.offset + rows) * width].reshape(rows, width)
    return np.unpackbits(data, axis=1, bitorder="little")[:, :size].astype(bool)


def check(batch):
    """One batch, as an Arrow table or record batch."""
    rows = batch.num_rows
    column = lambda name: np.asarray(batch.column(name).to_numpy(zero_copy_only=False) if isinstance(batch, pa.RecordBatch) else batch[name].to_numpy())
    assert len(set(column("bw_batch"))) == 1
    assert (column("bw_slot") == np.arange(rows)).all(), "not a whole batch in order"
    user = column("bw_user")
    same = user[:, None] == user[None, :]
    mask = bits(batch.column("bw_same_user"), rows)
    assert (mask[:, :rows] == same).all() and not mask[:, rows:].any()
    negatives = bits(batch.column("bw_negatives"), rows)
    assert not (negatives[:, :rows] & same).any()
    assert (negatives.sum(1) == column("bw_valid_negatives")).all()
    return int(column("bw_batch")[0]), rows


def cut(table):
    """A table at the changes of bw_batch."""
    ends = np.flatnonzero(np.diff(table["bw_batch"].to_numpy())) + 1
    for start, end in zip([0, *ends], [*ends, table.num_rows]):
        yield table.slice(start, end - start)


def whole(found, what):
    batches = [b for b, _ in found]
    assert batches == list(range(len(batches))), what
    assert all(rows == size for _, rows in found[:-1]), what
    print(f"{what}: {len(found)} batches")
    return found


# pyarrow, file by file, cut every B rows.
expected = whole([check(b) for s in shards for b in pq.ParquetFile(s).iter_batches(size)], "pyarrow ParquetFile.iter_batches")

# pyarrow datasets keep the order of files and rows; batches that cross row groups do not exist, so cut what comes.
scanned = pa.Table.from_batches(list(ds.dataset(shards).to_batches(batch_size=size)))
assert whole([check(t) for t in cut(scanned)], "pyarrow dataset.to_batches") == expected
sliced = [check(t) for t in cut(scanned.slice(size))]
assert sliced == expected[1:], "sliced buffers"

# Polars, in the order of the files.
frame = pl.scan_parquet(shards).collect().to_arrow()
wide = lambda t, name: t.set_column(t.schema.get_field_index(name), name, t[name].cast(pa.binary()).cast(pa.binary(-(-size // 8))))
frame = wide(wide(frame, "bw_same_user"), "bw_negatives")
assert whole([check(t) for t in cut(frame)], "Polars scan_parquet") == expected

# DuckDB hands out row groups to threads: without an ORDER BY, or with preserve_insertion_order off, batches may be torn.
connection = duckdb.connect()
files = ", ".join(f"'{s}'" for s in shards)
table = connection.execute(f"select * from read_parquet([{files}]) order by bw_batch, bw_slot").to_arrow_table()
table = wide(wide(table, "bw_same_user"), "bw_negatives")
assert whole([check(t) for t in cut(table)], "DuckDB order by bw_batch, bw_slot") == expected

# Hugging Face datasets, streaming.
from datasets import load_dataset

stream = load_dataset("parquet", data_files={"train": shards}, split="train", streaming=True)
found = []
for batch in stream.select_columns(["bw_batch", "bw_slot", "bw_user", "bw_same_user"]).iter(batch_size=size):
    slots, users = np.array(batch["bw_slot"]), np.array(batch["bw_user"])
    assert (slots == np.arange(len(slots))).all()
    mask = np.stack([np.unpackbits(np.frombuffer(m, np.uint8), bitorder="little")[: len(slots)] for m in batch["bw_same_user"]])
    assert (mask.astype(bool) == (users[:, None] == users[None, :])).all()
    found.append((batch["bw_batch"][0], len(slots)))
assert whole(found, "Hugging Face datasets streaming .iter") == expected
