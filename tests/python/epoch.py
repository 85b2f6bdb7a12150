"""From a log to a trained epoch, by README and guide alone: init, run, verify, train.

usage: epoch.py ROOT BINARY WORK_DIR LOG
"""

import json
import subprocess
import sys
from pathlib import Path

import torch
from torch.utils.data import DataLoader

import batchwright.torch as bt

root, binary, work, log = (Path(argument) for argument in sys.argv[1:5])


def batchwright(*words):
    ran = subprocess.run([binary, *words], cwd=work, capture_output=True, text=True)
    assert ran.returncode == 0, (words, ran.stderr)
    return ran.stdout


pipeline = batchwright("init", log)
(work / "own.toml").write_text(pipeline)
batchwright("plan", "own.toml")
batchwright("run", "own.toml", "--output", "out/train", "--set", "identity.share=[0.0, 0.9]")
batchwright("run", "own.toml", "--output", "out/validation", "--set", "identity.share=[0.9, 1.0]")
for part in ("train", "validation"):
    sets = "identity.share=[0.0, 0.9]" if part == "train" else "identity.share=[0.9, 1.0]"
    batchwright("verify", f"out/{part}", "--against", "own.toml", "--set", sets)

torch.manual_seed(1)
users, items = torch.nn.Embedding(1 << 12, 32), torch.nn.Embedding(1 << 14, 32)
optimizer = torch.optim.Adam([*users.parameters(), *items.parameters()], lr=0.05)


def loss_of(batch):
    candidates = items(batch["bw_item"] % (1 << 14))
    scores = users(batch["bw_user"] % (1 << 12)) @ candidates.T
    return bt.info_nce(scores, batch["targets"], batch["negatives"], batch["anchors"], batch["bw_log_q"])


columns = ["bw_user", "bw_item", "bw_log_q"]
batches = bt.Batches(work / "out/train", columns=columns, masks=["negatives"])
losses = []
for batch in DataLoader(batches, batch_size=None, num_workers=2):
    loss = loss_of(batch)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
manifest = json.loads((work / "out/train/_batchwright/manifest.json").read_text())
assert len(losses) == manifest["counts"]["batches"]
with torch.no_grad():
    validation = [loss_of(batch).item() for batch in bt.Batches(work / "out/validation", columns=columns, masks=["negatives"])]
print(f"an epoch of {len(losses)} batches: loss {losses[0]:.2f} to {losses[-1]:.2f}, {len(validation)} batches of other users")
assert all(torch.isfinite(torch.tensor(losses + validation))) and losses[-1] < losses[0]
