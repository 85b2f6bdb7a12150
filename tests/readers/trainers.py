"""The guide's trainer code against brute force: with several workers and processes, on masks that are sets over the raw log.

usage: trainers.py PAGE.md PROJECT BATCHWRIGHT, in a folder that holds the sample datasets `out/`
"""
import ast
import collections
import importlib
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.utils.data import DataLoader

import readme

WORLD = 4


def code(document=None):
    """The document's definitions, without its loops, as the module that a user would make of them."""
    if document:
        kept = (ast.unparse(n) for block in readme.blocks(document) for n in ast.parse(block).body if not isinstance(n, ast.For))
        Path("trainer_code.py").write_text("\n\n".join(kept))
    sys.path.insert(0, ".")
    return vars(importlib.import_module("trainer_code"))


def composed(project, binary, pipeline, out, *more):
    """A dataset with raw identities, so that sets can be made of them; small row groups and shards, so that there are several."""
    sizes = ["--set", "output.row_group_rows=1024", "--set", "output.shard_rows=3000"]
    args = [binary, "run", f"pipelines/{pipeline}", "--output", str(Path(out).resolve()), "--set", "identity.keep_raw=true", *sizes, *more]
    subprocess.run(args, cwd=project, check=True, capture_output=True)
    folders = sorted(Path(out, "batches").glob("rank-*")) or [Path(out, "batches")]
    tables = [pa.concat_tables([pq.read_table(s) for s in sorted(f.glob("*.parquet"))]) for f in folders]
    rows = [row for table in tables for row in table.select(["bw_batch", "bw_slot", "bw_copy", "user_id", "item_id", "clicked", "request_id", "bw_anchor"]).to_pylist()]
    batches = collections.defaultdict(dict)
    for row in rows:
        batches[row["bw_batch"]][row["bw_slot"]] = row
    return [[slots[s] for s in range(len(slots))] for _, slots in sorted(batches.items())]


def positives(project, clicked):
    known = collections.defaultdict(set)
    for shard in Path(project, "data-samples/feed").glob("*.parquet"):
        for row in pq.read_table(shard, columns=["user_id", "item_id", "clicked"]).to_pylist():
            if row["clicked"] or not clicked:
                known[row["user_id"]].add(row["item_id"])
    return known


def valid(rule, anchor, candidate):
    if anchor["user_id"] == candidate["user_id"] or anchor["item_id"] == candidate["item_id"]:
        return False
    return rule is None or candidate["item_id"] not in rule[anchor["user_id"]]


def expected_loss(rule, logits, rows, log_q, own, candidates):
    """Mean over the anchors among slots `own` of −log softmax, over the positive and the valid negatives among `candidates`."""
    total, anchors = 0.0, 0
    for i in own:
        if not rows[i]["bw_anchor"]:
            continue
        scores = {j: float(logits[i][j]) - float(log_q[j]) for j in candidates if j == i or valid(rule, rows[i], rows[j])}
        highest = max(scores.values())
        total += highest + math.log(sum(math.exp(s - highest) for s in scores.values())) - scores[i]
        anchors += 1
    return total, anchors


def alone(names, project, binary):
    rule = positives(project, clicked=True)
    batches = composed(project, binary, "feed_user_spread.toml", "out/several")
    assert len(batches) > 30 and len(batches[-1]) < len(batches[0])
    for workers in [0, 1, 2, 4]:
        seen = list(DataLoader(names["Batches"]("out/several"), batch_size=None, num_workers=workers))
        assert len(seen) == len(batches), (workers, len(seen))
        for found, rows in zip(seen, batches):
            assert found["slot"].tolist() == list(range(len(rows)))
            assert found["anchor"].tolist() == [row["bw_anchor"] for row in rows] == [row["clicked"] and row["bw_copy"] == 0 for row in rows]
    for found, rows in list(zip(seen, batches))[::9] + [(seen[-1], batches[-1])]:
        n = len(rows)
        mask = found["negatives"][:, :n].numpy()
        assert (mask == [[valid(rule, a, c) for c in rows] for a in rows]).all()
        logits = torch.randn(n, n, dtype=torch.float64)
        total, anchors = expected_loss(rule, logits, rows, found["log_q"], range(n), range(n))
        assert math.isclose(float(names["loss"](logits, found, found["log_q"])), total / anchors, rel_tol=1e-5)
    try:
        list(names["read_batches"]("out/several", rank=0))
        raise SystemExit("a dataset without ranks was read as one with them")
    except AssertionError as e:
        assert "no shards" in str(e)
    # The queue's mask, cell by cell.
    users, items = {}, {}
    table = pa.concat_tables([pq.read_table(s) for s in sorted(Path("out/several/batches").glob("*.parquet"))])
    for row in table.select(["bw_user", "bw_item", "user_id", "item_id"]).to_pylist():
        users[row["bw_user"]], items[row["bw_item"]] = row["user_id"], row["item_id"]
    some = list(names["read_batches"]("out/several"))
    own, queue = some[3], np.concatenate([some[0]["bw_item"].to_numpy(), some[1]["bw_item"].to_numpy()])
    found = names["mask_queue"](own["bw_user"].to_numpy(), own["bw_item"].to_numpy(), queue)
    for i, (user, item) in enumerate(zip(own["bw_user"].to_pylist(), own["bw_item"].to_pylist())):
        for j, candidate in enumerate(queue):
            assert found[i, j] == (candidate != item and items[candidate] not in rule[users[user]])
    print(f"one process: {len(batches)} batches, workers 0 to 4, masks, losses and the queue are those of sets")


def tower(seed):
    torch.manual_seed(seed)
    return torch.nn.Linear(4, 3, bias=False, dtype=torch.float64)


def features(batch):
    """Of query and item, for each slot; the same in every process."""
    of = lambda salt: torch.stack([torch.sin((batch["slot"] + 1.0) * (k + salt)) for k in range(4)], 1).double()
    return of(1.0), of(0.3)


def one_rank(rank, store):
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=WORLD)
    names = code()
    found = []
    for number, batch in enumerate(DataLoader(names["Batches"]("out/ranked", rank), batch_size=None, num_workers=2)):
        if number >= 3:
            break
        model = tower(0)
        query, item = (model(x) for x in features(batch))
        gathered = names["gathered_loss"](query, item, batch)
        gathered.backward()
        local = names["local_loss"](*(model(x).detach() for x in features(batch)), batch)
        # As DDP does.
        gradient = model.weight.grad.clone()
        dist.all_reduce(gradient)
        found.append((float(gathered), (gradient / WORLD).tolist(), float(local), batch["slot"].tolist()))
    torch.save(found, f"rank-{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


def several(names, project, binary):
    batches = composed(project, binary, "feed_ranks_packed.toml", "out/ranked", "--set", "mask.positive=clicked", "--set", "mask.rules=[\"same:identity\", \"known_positive\"]", "--set", "output.positives=true")
    rule = positives(project, clicked=True)
    # Fails where one of them does.
    mp.spawn(one_rank, (Path("store").resolve(),), nprocs=WORLD)
    by_rank = [torch.load(f"rank-{rank}.pt") for rank in range(WORLD)]
    log_q = [torch.cat([t["log_q"] for t in slices]) for slices in zip(*(DataLoader(names["Batches"]("out/ranked", r), batch_size=None) for r in range(WORLD)))]
    for number in range(3):
        rows, n = batches[number], len(batches[number])
        rows_a_rank = n // WORLD
        # The global loss and its gradient, from every cell of the mask as sets have it.
        model = tower(0)
        slots = {"slot": torch.arange(n)}
        query, item = (model(x) for x in features(slots))
        logits = query @ item.T
        allowed = torch.tensor([[i == j or valid(rule, rows[i], rows[j]) for j in range(n)] for i in range(n)])
        scores = (logits - log_q[number]).masked_fill(~allowed, -torch.inf)
        anchors = torch.tensor([row["bw_anchor"] for row in rows])
        each = torch.logsumexp(scores, 1) - scores.diagonal()
        whole = each[anchors].mean()
        whole.backward()
        found = [by_rank[rank][number] for rank in range(WORLD)]
        assert math.isclose(np.mean([f[0] for f in found]), float(whole), rel_tol=1e-5)
        assert torch.allclose(torch.tensor(found[0][1], dtype=torch.float64), model.weight.grad, rtol=1e-4, atol=1e-9)
        for rank, (_, _, local, own) in enumerate(found):
            assert own == list(range(rank * rows_a_rank, (rank + 1) * rows_a_rank))
            total, count = expected_loss(rule, logits.detach(), rows, log_q[number], own, own)
            assert math.isclose(local, total / max(count, 1), rel_tol=1e-5), (rank, local, total / count)
    print(f"{WORLD} processes: local and gathered losses and the gradient are those of one process over sets")


if __name__ == "__main__":
    document, project, binary = sys.argv[1:4]
    names = code(document)
    alone(names, project, binary)
    several(names, project, binary)
