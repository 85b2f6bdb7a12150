#!/usr/bin/env python3
"""The composers beside the samplers that people use at training time, in one go: rows per second.

usage: benches/samplers.py GEN_DIR WORK_DIR [--rows 1000000] [--batch 4096] [--repeat 3] [--limit 60]

GEN_DIR holds gen_feed.py (the workload). Needs numpy, pyarrow, sentence-transformers and datasets. Keys are in memory
when the clock starts, on both sides; each job draws one epoch of batches, or stops after --limit seconds of it (then its
speed is that of the batches drawn so far, which flatters it: what is left is what is hard). Medians over the turns.

- spread: no two rows of one user in a batch as far as that can be. Beside it, sentence-transformers'
  NoDuplicatesBatchSampler on the user column, hashes precomputed. It ends a batch early when nobody is left, and it
  gives no guarantee of how rows of heavy users are shared out.
- grouped: one row of each label of a user, side by side. Beside it, the loop in numpy and Python that people write:
  rows by user and label, users in random order, as many groups as fit a batch.
"""
import argparse, json, logging, os, statistics, subprocess, sys, time
from pathlib import Path

ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("gen"); ap.add_argument("work"); ap.add_argument("--rows", type=int, default=1_000_000)
ap.add_argument("--batch", type=int, default=4096); ap.add_argument("--repeat", type=int, default=3)
ap.add_argument("--limit", type=float, default=60.0); ap.add_argument("--heavy", type=float, default=0.0)
a = ap.parse_args()

import numpy as np, pyarrow.parquet as pq

root = Path(__file__).resolve().parent.parent
work = Path(a.work); work.mkdir(parents=True, exist_ok=True)
feed = work / f"feed-{a.rows}-64-{a.heavy}"
if not feed.exists():
    subprocess.run([sys.executable, f"{a.gen}/gen_feed.py", str(a.rows), str(feed), "--heavy", str(a.heavy)], check=True)
pipeline = work / "compose.toml"
pipeline.write_text(f"""
input.shards = ["{feed}"]
columns = {{ identity = "user_id", label = "label", time = "ts" }}
compose.batch_size = {a.batch}
output.path = "{work}/unset"
""")
grouped = ["compose.mode=identity_grouped", "compose.group.classes={1=1,0=1}", "compose.group.scarce=rest"]


def ours(*sets):
    command = ["cargo", "bench", "--quiet", "--bench", "compose", "--", str(pipeline), *sets]
    out = subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE, text=True).stdout
    facts = json.loads(out.strip().splitlines()[-1])
    return facts["rows"] / facts["alone"]


def drawn(batches):
    """Rows per second of an iterator of batches, the first batch's preparations included."""
    start, rows = time.time(), 0
    for batch in batches:
        rows += len(batch)
        if time.time() - start > a.limit:
            break
    return rows / (time.time() - start)


table = pq.read_table(feed, columns=["user_id", "label"])
users = np.unique(table["user_id"].to_numpy(zero_copy_only=False).astype("S"), return_inverse=True)[1]
labels = table["label"].to_numpy()


def no_duplicates():
    from datasets import Dataset
    from sentence_transformers.base.sampler import NoDuplicatesBatchSampler
    logging.disable(logging.WARNING)
    os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
    data = Dataset.from_dict({"user": users})
    sampler = NoDuplicatesBatchSampler(data, batch_size=a.batch, drop_last=False, precompute_hashes=True)
    sampler._build_hashes()
    return drawn(sampler)


def grouped_in_python():
    rng = np.random.default_rng(0)

    def batches():
        rows = {0: {}, 1: {}}
        for label in rows:
            at = np.flatnonzero(labels == label)
            at = at[np.argsort(users[at], kind="stable")]
            cuts = np.flatnonzero(np.diff(users[at])) + 1
            rows[label] = {int(users[own[0]]): rng.permutation(own).tolist() for own in np.split(at, cuts)}
        both = [user for user in rows[0] if user in rows[1]]
        batch = []
        while both:
            rng.shuffle(both)
            for user in both:
                batch += [rows[1][user].pop(), rows[0][user].pop()]
                if len(batch) >= a.batch:
                    yield batch
                    batch = []
            both = [user for user in both if rows[0][user] and rows[1][user]]
        if batch:
            yield batch

    return drawn(batches())


jobs = {"spread": lambda: ours(), "spread, sentence-transformers": no_duplicates,
        "grouped": lambda: ours(*grouped), "grouped, Python": grouped_in_python}
taken = {name: [] for name in jobs}
for _ in range(a.repeat):
    for name, job in jobs.items():
        taken[name].append(job())
print(f"\n{len(users):,} rows, heavy {a.heavy}, batches of {a.batch}; medians of {a.repeat}\n")
print("| composer | rows a second |\n|---|---|")
for name, speeds in taken.items():
    print(f"| {name} | {statistics.median(speeds):,.0f} |")
