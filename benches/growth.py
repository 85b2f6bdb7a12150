#!/usr/bin/env python3
"""How inline user_spread grows: with rows, with batch size, with a heavy user, in little memory, with keys that are all
different, with rows of 100 kB.

usage: benches/growth.py GEN_DIR WORK_DIR [--repeat 1]

GEN_DIR holds gen_feed.py (the workload). Needs numpy and pyarrow, and 30 GB of disk. The run in 1 GiB must give the bytes of
the run in ample memory, and a limited run must stay within 1.15 times its limit; otherwise it is an error.
"""
import argparse, hashlib, os, shutil, statistics, subprocess, sys, time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("gen"); ap.add_argument("work"); ap.add_argument("--repeat", type=int, default=1)
a = ap.parse_args()
root = Path(__file__).resolve().parent.parent
work = Path(a.work); work.mkdir(parents=True, exist_ok=True)
subprocess.run(["cargo", "build", "--release", "--quiet", "--bins"], cwd=root, check=True)
binary = Path(os.environ.get("CARGO_TARGET_DIR", root / "target")) / "release/batchwright"
M = 1_000_000
# Rows, heavy user's share, batch size, memory.
jobs = [(1 * M, 0.0, 4096, None), (4 * M, 0.0, 4096, None), (16 * M, 0.0, 4096, "12GiB"), (16 * M, 0.0, 4096, "1GiB"),
        (2 * M, 0.0, 24, None), (2 * M, 0.0, 1024, None), (2 * M, 0.0, 4096, None), (2 * M, 0.0, 16384, None),
        (2 * M, 0.3, 4096, None)]


# Name, memory: tables that are unlike the feed.
shapes = [("unique", "1GiB"), ("blobs", "640MiB")]


def write_unique(folder):
    """8 M rows of 48 bytes; each has a request and an item of its own."""
    rng, rows = np.random.default_rng(0), M
    for part in range(8):
        ids = np.arange(part * rows, (part + 1) * rows)
        users = pa.array(np.char.add("u", rng.integers(0, 500_000, rows).astype(str)))
        table = pa.table({"user_id": users, "request_id": ids * 7919, "item_id": rng.permutation(ids) * 7919, "ts": ids,
                          "x": rng.random(rows)})
        pq.write_table(table, folder / f"part-{part}.parquet", row_group_size=131_072, compression="zstd")


def write_blobs(folder):
    """20 k rows of 100 kB that can't be compressed."""
    rng, rows = np.random.default_rng(0), 1000
    with pq.ParquetWriter(folder / "part-0.parquet", pa.schema([("user_id", pa.int64()), ("item_id", pa.int64()),
                                                               ("clip", pa.binary())])) as writer:
        for part in range(20):
            ids = np.arange(part * rows, (part + 1) * rows)
            clips = pa.array([rng.bytes(100_000) for _ in range(rows)], pa.binary())
            writer.write_table(pa.table({"user_id": rng.integers(0, 3000, rows), "item_id": ids, "clip": clips}))


def digest(folder):
    out = hashlib.blake2b()
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        out.update(str(file.relative_to(folder)).encode())
        with open(file, "rb") as f:
            while block := f.read(1 << 20):
                out.update(block)
    return out.hexdigest()


def run(rows, heavy, batch, memory):
    feed = work / f"feed-{rows}-64-{heavy}"
    if not feed.exists():
        subprocess.run([sys.executable, f"{a.gen}/gen_feed.py", str(rows), str(feed), "--heavy", str(heavy)], check=True)
    return compose(f"""
input.shards = ["{feed}"]
columns = {{ identity = "user_id", request = "request_id", item = "item_id", time = "ts" }}
requests.columns = ["user_history", "user_emb"]
compose.batch_size = {batch}
""", memory)


def run_shape(name, memory):
    folder = work / f"shape-{name}"
    if not folder.exists():
        folder.mkdir()
        {"unique": write_unique, "blobs": write_blobs}[name](folder)
    request = 'request = "request_id", ' if name == "unique" else ""
    return compose(f"""
input.shards = ["{folder}"]
columns = {{ identity = "user_id", {request}item = "item_id" }}
compose.batch_size = {4096 if name == "unique" else 512}
""", memory)


def compose(text, memory):
    """CPU s, wall s, peak MiB, MiB written; and the output."""
    pipeline, out = work / "growth.toml", work / "growth"
    pipeline.write_text(f'{text}output.path = "{out}"\n')
    shutil.rmtree(out, ignore_errors=True)
    command = [str(binary), "run", str(pipeline), *(["--memory", memory] if memory else [])]
    start, process = time.time(), subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, command
    peak = usage.ru_maxrss / 1024
    limit = {"MiB": 1, "GiB": 1024}[memory[-3:]] * int(memory[:-3]) if memory else peak
    if peak > 1.15 * limit:
        too_much.append(f"{peak:.0f} MiB in --memory {memory}")
    size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
    return usage.ru_utime + usage.ru_stime, time.time() - start, peak, size / 2**20, out


too_much = []
taken, digests = {job: [] for job in jobs + shapes}, {}
for _ in range(a.repeat):
    for job in jobs:
        *figures, out = run(*job)
        taken[job].append(figures)
        if job[3]:
            digests.setdefault(job[:3], set()).add(digest(out))
        shutil.rmtree(out)
    for shape in shapes:
        *figures, out = run_shape(*shape)
        taken[shape].append(figures)
        shutil.rmtree(out)
assert all(len(d) == 1 for d in digests.values()), "the memory limit changed the output's bytes"
print(f"\n| rows | heavy user | batch | memory | CPU s | CPU µs a row | wall s | peak MiB | MiB written |")
print("|---|---|---|---|---|---|---|---|---|")
for job in jobs:
    rows, heavy, batch, memory = job
    cpu, wall, peak, size = (statistics.median(r[k] for r in taken[job]) for k in range(4))
    print(f"| {rows:,} | {heavy:.0%} | {batch:,} | {memory or 'free'} | {cpu:.1f} | {1e6 * cpu / rows:.1f} | {wall:.1f} | {peak:.0f} | {size:.0f} |")
print(f"\n| shape | memory | CPU s | wall s | peak MiB | MiB written |")
print("|---|---|---|---|---|---|")
for shape in shapes:
    cpu, wall, peak, size = (statistics.median(r[k] for r in taken[shape]) for k in range(4))
    print(f"| {shape[0]} | {shape[1]} | {cpu:.1f} | {wall:.1f} | {peak:.0f} | {size:.0f} |")
assert not too_much, too_much
