#!/usr/bin/env python3
"""Rows that the Python reader gives a CPU second, beside what trainers write without it; jobs take turns, in one process each.

usage: benches/reader.py GEN_DIR WORK_DIR [--rows 2000000] [--batch 4096] [--repeat 3]

GEN_DIR holds gen_feed.py (the workload). Needs numpy and pyarrow.
"""
import argparse, os, resource, statistics, subprocess, sys
from pathlib import Path

root = Path(__file__).resolve().parents[1]
binary = Path(os.environ.get("CARGO_TARGET_DIR", root / "target")) / "release/batchwright"

ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("gen"); ap.add_argument("work"); ap.add_argument("--rows", type=int, default=2_000_000)
ap.add_argument("--batch", type=int, default=4096); ap.add_argument("--repeat", type=int, default=3)


def package(dataset, columns):
    """Item, logQ and masks, as the package gives them."""
    sys.path.insert(0, str(root / "src/python"))
    from batchwright import Batches

    rows = 0
    for batch in Batches(dataset, columns=columns):
        rows += len(batch.table)
        batch.negatives(), batch.anchors
    return rows


def by_hand(dataset, _):
    """The loop of the guide's page on reading without the package: all columns, and bitmaps unpacked."""
    import numpy as np, pyarrow.parquet as pq

    rows = 0
    for shard in sorted((Path(dataset) / "batches").glob("*.parquet")):
        file = pq.ParquetFile(shard)
        for group in range(file.num_row_groups):
            table = file.read_row_group(group).combine_chunks()
            number = table["bw_batch"].to_numpy()
            cuts = [0, *np.flatnonzero(np.diff(number)) + 1, len(table)]
            for start, end in zip(cuts, cuts[1:]):
                batch = table.slice(start, end - start)
                column = batch["bw_negatives"].combine_chunks()
                width, size = column.type.byte_width, int(batch.schema.metadata[b"batchwright.batch_size"])
                raw = np.frombuffer(column.buffers()[1], np.uint8)[column.offset * width:(column.offset + len(batch)) * width]
                np.unpackbits(raw.reshape(-1, width), axis=1, bitorder="little")[:, :size].astype(bool)
                rows += len(batch)
    return rows


def in_memory(log, _):
    """A table held whole, rows taken at random, and a mask of users made on the way; B as below."""
    import numpy as np, pyarrow.parquet as pq

    table = pq.read_table(log, columns=["user_id", "item_id"])
    users = np.unique(table["user_id"].to_numpy(zero_copy_only=False), return_inverse=True)[1]
    order, size, rows = np.random.default_rng(0).permutation(len(table)), int(os.environ["B"]), 0
    for start in range(0, len(order), size):
        own = order[start:start + size]
        table.take(own)
        mask = users[own][:, None] != users[own][None, :]
        rows += len(mask)
    return rows


JOBS = {
    "package, item and logQ": (package, "same", ["item_id", "bw_log_q"]),
    "package, known positives": (package, "known", ["item_id", "bw_log_q"]),
    "package, all columns": (package, "same", None),
    "the guide's loop": (by_hand, "same", None),
    "a table in memory": (in_memory, "log", None),
}

if len(sys.argv) > 2 and sys.argv[1] == "--job":
    job, where, columns = JOBS[sys.argv[2]]
    rows = job(Path(sys.argv[3]) / where, columns)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(rows / (used.ru_utime + used.ru_stime))
    sys.exit()

args = ap.parse_args()
work = Path(args.work)
if not (work / "log").exists():
    subprocess.run([sys.executable, Path(args.gen) / "gen_feed.py", str(args.rows), str(work / "log")], check=True)
for name, rules in (("same", "['same:identity', 'same:item']"), ("known", "['known_positive']")):
    (work / f"{name}.toml").write_text(
        f'input.shards = ["{work}/log"]\ncolumns = {{ identity = "user_id", request = "request_id", item = "item_id", time = "ts" }}\n'
        f'compose.batch_size = {args.batch}\nmask.rules = {rules}\noutput.path = "{work}/{name}"\n'
    )
    subprocess.run([binary, "run", work / f"{name}.toml", "--overwrite"], check=True, stdout=subprocess.DEVNULL)
found = {name: [] for name in JOBS}
for _ in range(args.repeat):
    for name in JOBS:
        run = [sys.executable, __file__, "--job", name, work]
        out = subprocess.run(run, check=True, capture_output=True, text=True, env=os.environ | {"B": str(args.batch)})
        found[name].append(float(out.stdout))
hand = statistics.median(found["the guide's loop"])
print("| reader | rows a CPU second | of the guide's loop |\n|---|---|---|")
for name, all_turns in found.items():
    print(f"| {name} | {statistics.median(all_turns):,.0f} | {statistics.median(all_turns) / hand:.2f} |")
