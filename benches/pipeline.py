#!/usr/bin/env python3
"""Measures whole runs side by side, in one go: CPU seconds, wall seconds, peak memory, bytes.

usage: benches/pipeline.py GEN_DIR WORK_DIR [--rows 2000000] [--history 64] [--repeat 3] [--peers] [--heavy 0.0]
                           [--batch 4096] [--memory 1GiB] [--only JOB]

GEN_DIR holds gen_feed.py (the workload) and, for --peers, peer_duckdb.py and peer_polars.py (what a user would write
instead). Needs numpy and pyarrow, for --peers duckdb and polars too. Machines are noisy: jobs take turns, and each figure
is the median over the turns; read the ratios, not the seconds.

What profiling taught, so that nobody has to find it again:
- Arrays of 50 MB cost a fifth of all time in the kernel, which zeroes their pages each time; 4-8 MB are reused.
- Looking a row up in a sorted list, per column, took a sixth; ordinals decided once cost nothing.
- x86-64 has no population count by default: bits are counted as they are set.
- Marking whom an identity meets beats sorting whom it met.
- A dictionary that overflows costs 14 % of all time. Footers tell which did, but what is constant within a request repeats
  in the input and not in the output: columns are tried on the output's first rows.
- Interning equal bitmaps (and never copying them) takes half of the time that compressing two gigabytes of plain ones did.
- One value of a request's columns serves all its rows: a third of the memory, and gathering stays in the caches.
- Ids are small numbers in wide columns. Stored as differences, they leave zstd a third to look at: a quarter less CPU for
  the inline layout, a third less to read it. What repeats side by side (packed, inline) zstd finds only in plain values.
- The general reader of nested columns grows its buffers of levels for each array: a twelfth of a packed run.
- Hashing half a kilobyte for each row to find that it shares its mask took a twentieth: within a batch that is known.
- Copying runs of rows instead of single ones gains nothing: gathering waits for memory, not for the calls.
- LZ4 took most of what spilling costs, and small numbers in 32 bits are as small.
- The general reader writes two levels for each number of a list. That they only tell where lists begin saves 7 % of a packed
  run.
- Histories packed as differences do not compress: trying took a twentieth of an inline run, to save a fortieth of their bytes.
- Requests are packed without sorting rows: where each request goes is known, and its rows are counted as they come by.
- Pieces of a few rows made spilling as dear as all the rest: arrays that are spilled are larger than those looked at once.
"""
import argparse, json, os, resource, shutil, statistics, subprocess, sys, time
from pathlib import Path

ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("gen"); ap.add_argument("work"); ap.add_argument("--rows", type=int, default=2_000_000)
ap.add_argument("--history", type=int, default=64); ap.add_argument("--heavy", type=float, default=0.0)
ap.add_argument("--repeat", type=int, default=3); ap.add_argument("--peers", action="store_true")
ap.add_argument("--memory", help="a --memory for our runs"); ap.add_argument("--batch", type=int, default=4096)
ap.add_argument("--only", help="run only jobs whose name holds this")
a = ap.parse_args()

root = Path(__file__).resolve().parent.parent
work = Path(a.work); work.mkdir(parents=True, exist_ok=True)
feed = work / f"feed-{a.rows}-{a.history}-{a.heavy}"
if not feed.exists():
    subprocess.run([sys.executable, f"{a.gen}/gen_feed.py", str(a.rows), str(feed), "--history", str(a.history), "--heavy", str(a.heavy)], check=True)
subprocess.run(["cargo", "build", "--release", "--quiet", "--bins"], cwd=root, check=True)
target = Path(os.environ.get("CARGO_TARGET_DIR", root / "target"))
pipeline = work / "feed.toml"
pipeline.write_text(f"""
[input]
shards = ["{feed}"]
[columns]
identity = "user_id"
request = "request_id"
item = "item_id"
time = "ts"
[requests]
columns = ["user_history", "user_emb"]
[compose]
batch_size = {a.batch}
[output]
path = "{work}/unset"
""")


def ours(name, *sets):
    flags = [f for s in sets for f in ("--set", s)] + (["--memory", a.memory] if a.memory else [])
    return name, [str(target / "release/batchwright"), "run", str(pipeline), "--output", str(work / name), "--overwrite", *flags]


kp = 'mask.rules=["same:identity", "known_positive"]'
packed, first = "compose.mode=request_packed", "requests.layout=first"
jobs = [ours("spread-inline"), ours("spread-inline-known", kp), ours("spread-first", first),
        ours("packed-inline", packed), ours("packed-first", packed, first)]
if a.peers:
    peer = lambda name, script, *more: (name, [sys.executable, f"{a.gen}/{script}", str(feed), str(work / f"{name}.parquet"), "--batch", str(a.batch), *more])
    jobs += [peer("duckdb", "peer_duckdb.py"), peer("duckdb-factored", "peer_duckdb.py", "--factored"), peer("polars", "peer_polars.py")]
if a.only:
    jobs = [j for j in jobs if a.only in j[0]]


def size(path):
    path = Path(path)
    return sum(f.stat().st_size for f in path.rglob("*") if f.is_file()) if path.is_dir() else path.stat().st_size


def measure(command):
    start, process = time.time(), subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, command
    return usage.ru_utime + usage.ru_stime, time.time() - start, usage.ru_maxrss / 1024


def read_cpu(folder):
    script = ("import sys,glob,pyarrow.parquet as pq\n"
              "for f in sorted(glob.glob(sys.argv[1]+'/batches/*.parquet')):\n"
              "    for b in pq.ParquetFile(f).iter_batches(4096): pass")
    return measure([sys.executable, "-c", script, str(folder)])[0]


def bench(name, *args):
    command = ["cargo", "bench", "--quiet", "--bench", name, "--", *map(str, args)]
    out = subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(out.strip().splitlines()[-1])


taken = {name: [] for name, _ in jobs}
floors, generated = {"spread-inline": [], "packed-first": []}, []
for turn in range(a.repeat):
    for name, command in jobs:
        for old in (work / name, work / f"{name}.parquet", work / f"{name}.parquet.requests"):
            shutil.rmtree(old) if old.is_dir() else old.unlink(missing_ok=True)
        taken[name].append(measure(command))
        if name in floors:
            # At once, as the machine's speed changes from minute to minute.
            floors[name].append(bench("floor", feed, work / name))
        if name == "spread-inline":
            generated.append(bench("compose", pipeline))
bytes_in = size(feed)
print(f"\n{a.rows:,} rows, history {a.history}, heavy {a.heavy}, batches of {a.batch}; input {bytes_in / 2**20:.0f} MiB; medians of {a.repeat}\n")
print("| job | CPU s | wall s | peak MiB | MiB written | of input | CPU to read |\n|---|---|---|---|---|---|---|")
for name, runs in taken.items():
    cpu, wall, peak = (statistics.median(r[k] for r in runs) for k in range(3))
    out = work / name if (work / name).exists() else work / f"{name}.parquet"
    written = size(out) + (size(f"{out}.requests") if Path(f"{out}.requests").exists() else 0)
    reading = f"{read_cpu(out):.1f}" if out.is_dir() else "–"
    print(f"| {name} | {cpu:.1f} | {wall:.1f} | {peak:.0f} | {written / 2**20:.0f} | {written / bytes_in:.2f} | {reading} |")


print()
for name in (name for name in floors if name in taken):
    runs = [run[0] for run in taken[name]]
    ratio = statistics.median(cpu / (f["decode"] + f["encode"]) for cpu, f in zip(runs, floors[name]))
    decode, encode = (statistics.median(f[k] for f in floors[name]) for k in ("decode", "encode"))
    print(f"{name}: its floor is {decode:.1f} s to decode + {encode:.1f} s to encode; it takes {ratio:.2f} × their sum, median of ratios")
if "spread-inline" in taken:
    inline, name = [r[0] for r in taken["spread-inline"]], work / "spread-inline"
    import pyarrow.parquet as pq
    footers = [pq.ParquetFile(f).metadata for f in name.glob("batches/*.parquet")]
    chunks = [m.row_group(g).column(c) for m in footers for g in range(m.num_row_groups) for c in range(m.num_columns)]
    of_masks = sum(c.total_compressed_size for c in chunks if c.path_in_schema in ("bw_same_user", "bw_negatives"))
    worked_out, masks = (statistics.median(g[k] for g in generated) for k in ("generated", "masks"))
    print(f"masks: at most {worked_out:.1f} s to work out (with all generated columns) + {masks:.1f} s to encode: "
          f"{100 * (worked_out + masks) / statistics.median(inline):.0f} % of spread-inline's CPU; "
          f"{of_masks / 2**20:.1f} MiB, {100 * of_masks / size(name):.1f} % of its bytes")
for ours_name, theirs in (("spread-inline", "duckdb"), ("packed-first", "duckdb-factored"), ("packed-first", "spread-inline"), ("spread-inline-known", "spread-inline")):
    if ours_name in taken and theirs in taken:
        ratios = [statistics.median(o[k] / t[k] for o, t in zip(taken[ours_name], taken[theirs])) for k in range(3)]
        print("{} of {}: CPU {:.2f}, wall {:.2f}, peak memory {:.2f}; medians of ratios".format(ours_name, theirs, *ratios))
