#!/usr/bin/env python3
"""How inline user_spread grows: with rows, with batch size, with a heavy user, in little memory.

usage: benches/growth.py GEN_DIR WORK_DIR [--repeat 1]

GEN_DIR holds gen_feed.py (the workload). Needs numpy and pyarrow, and 30 GB of disk. The run in 1 GiB must give the bytes of
the run in ample memory; a difference is an error.
"""
import argparse, hashlib, os, shutil, statistics, subprocess, sys, time
from pathlib import Path

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


def digest(folder):
    out = hashlib.blake2b()
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        out.update(str(file.relative_to(folder)).encode())
        with open(file, "rb") as f:
            while block := f.read(1 << 20):
                out.update(block)
    return out.hexdigest()


def run(rows, heavy, batch, memory):
    feed, out = work / f"feed-{rows}-64-{heavy}", work / "growth"
    if not feed.exists():
        subprocess.run([sys.executable, f"{a.gen}/gen_feed.py", str(rows), str(feed), "--heavy", str(heavy)], check=True)
    pipeline = work / "growth.toml"
    pipeline.write_text(f"""
input.shards = ["{feed}"]
columns = {{ identity = "user_id", request = "request_id", item = "item_id", time = "ts" }}
requests.columns = ["user_history", "user_emb"]
compose.batch_size = {batch}
output.path = "{out}"
""")
    shutil.rmtree(out, ignore_errors=True)
    command = [str(binary), "run", str(pipeline), *(["--memory", memory] if memory else [])]
    start, process = time.time(), subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, command
    size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
    return usage.ru_utime + usage.ru_stime, time.time() - start, usage.ru_maxrss / 1024, size, out


taken, digests = {job: [] for job in jobs}, {}
for _ in range(a.repeat):
    for job in jobs:
        *figures, out = run(*job)
        taken[job].append(figures)
        if job[3]:
            digests.setdefault(job[:3], set()).add(digest(out))
        shutil.rmtree(out)
assert all(len(d) == 1 for d in digests.values()), "the memory limit changed the output's bytes"
print(f"\n| rows | heavy user | batch | memory | CPU s | CPU µs a row | wall s | peak MiB | MiB written |")
print("|---|---|---|---|---|---|---|---|---|")
for (rows, heavy, batch, memory), runs in taken.items():
    cpu, wall, peak, size = (statistics.median(r[k] for r in runs) for k in range(4))
    print(f"| {rows:,} | {heavy:.0%} | {batch:,} | {memory or 'free'} | {cpu:.1f} | {1e6 * cpu / rows:.1f} | {wall:.1f} | {peak:.0f} | {size / 2**20:.0f} |")
