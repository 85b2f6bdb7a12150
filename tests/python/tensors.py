"""`batchwright.torch` gives what the plain reader gives, with any number of workers, and its losses are those of loops.

usage: tensors.py ROOT BINARY WORK_DIR
"""

import math
import socket
import warnings

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as processes
from datasets import GROUPED, PACKED, SPREAD, WORK, compose
from torch.utils.data import DataLoader

import batchwright
import batchwright.torch as bt

warnings.simplefilter("error")
warnings.filterwarnings("ignore", message="This DataLoader will create")
SMALL = ("compose.batch_size=64", "output.row_group_rows=256", "output.shard_rows=1024")


def tensors_are_what_the_reader_gives(dataset, world, several):
    for rank in range(world):
        plain = list(batchwright.Batches(dataset, rank, world))
        for workers in several:
            batches = bt.Batches(dataset, rank, world, masks=("negatives", "same_user"))
            loaded = list(DataLoader(batches, batch_size=None, num_workers=workers))
            assert [batch["index"] for batch in loaded] == list(range(len(plain)))
            for batch, own in zip(loaded, plain):
                assert (batch["slots"].numpy() == own.slots).all() and (batch["anchors"].numpy() == own.anchors).all()
                assert (batch["negatives"].numpy() == own.negatives()).all()
                assert (batch["same_user"].numpy() == own.same_user()).all()
                assert (batch["targets"].numpy() == own.targets()).all()
                assert batch["item_id"].tolist() == own.column("item_id").to_pylist()
                assert (batch["bw_log_q"].numpy() == own.column("bw_log_q").to_numpy()).all()
                assert "surface" not in batch
                if own.request_columns:
                    table, of_row = own.requests(["user_embedding"])
                    dense = np.array(table["user_embedding"].to_pylist(), np.float32)
                    assert (batch["requests.user_embedding"].numpy() == dense).all()
                    assert (batch["request_of"].numpy() == of_row).all()


def local_masks_are_cut_to_the_rank(dataset):
    for rank in range(4):
        batches = bt.Batches(dataset, rank, 4, local=True)
        for batch, own in zip(batches, batchwright.Batches(dataset, rank, 4)):
            assert (batch["negatives"].numpy() == own.negatives()[:, own.slots]).all()
            assert batch["targets"].tolist() == list(range(len(own)))


def readers_go_on_where_they_stopped(dataset):
    whole = [batch["item_id"].tolist() for batch in bt.Batches(dataset)]
    reader = bt.Batches(dataset)
    for stop, batch in enumerate(reader):
        if stop == 4:
            break
    again = bt.Batches(dataset)
    again.load_state_dict(reader.state_dict())
    assert [b["item_id"].tolist() for b in again] == whole[5:]
    epochs = DataLoader(bt.Batches(dataset, start=3), batch_size=None, num_workers=2, persistent_workers=True)
    for _ in range(2):
        assert [b["item_id"].tolist() for b in epochs] == whole[3:]
    later = DataLoader(bt.Batches(dataset, start=batch["index"] + 1), batch_size=None, num_workers=2)
    assert [b["item_id"].tolist() for b in later] == whole[5:]


def bits_are_unpacked_on_the_device(dataset):
    for own in batchwright.Batches(dataset):
        column = own.column("bw_negatives")
        width = column.type.byte_width
        raw = np.frombuffer(column.buffers()[1], np.uint8)[column.offset * width :][: len(own) * width].reshape(-1, width)
        assert (bt.unpack(torch.from_numpy(raw.copy()), own.width).numpy() == own.negatives()).all()


def what_is_no_tensor_is_said(dataset):
    for columns, words in ((["surface"], "no tensor"), (["colour"], "no column")):
        try:
            next(iter(bt.Batches(dataset, columns=columns)))
        except (ValueError, batchwright.DatasetError) as error:
            assert words in str(error)
        else:
            raise AssertionError(columns)


def close(found, expected):
    assert math.isclose(found.item(), expected, rel_tol=1e-9, abs_tol=1e-12), (found, expected)


def losses_are_those_of_loops():
    random = torch.Generator().manual_seed(0)
    n, m = 9, 14
    for _ in range(20):
        scores = torch.randn(n, m, generator=random, dtype=torch.double)
        targets = torch.randperm(m, generator=random)[:n]
        negatives = torch.rand(n, m, generator=random) < 0.4
        negatives[torch.arange(n), targets] = False
        negatives[0] = False
        positives = (torch.rand(n, m, generator=random) < 0.3) & ~negatives
        anchors = torch.rand(n, generator=random) < 0.6
        log_q = torch.log_softmax(torch.randn(m, generator=random, dtype=torch.double), 0)
        own = [i for i in range(n) if anchors[i]]
        q = log_q.exp()
        corrected = {
            None: lambda i, j: scores[i, j],
            "corrected": lambda i, j: scores[i, j] - math.log(q[j]),
            "kept": lambda i, j: scores[i, j] - (0 if j == targets[i] else math.log(q[j] / (1 - q[targets[i]]))),
        }
        for how, value in corrected.items():
            each = []
            for i in own:
                mass = [math.exp(value(i, j)) for j in range(m) if negatives[i, j] or j == targets[i]]
                each.append(-math.log(math.exp(value(i, targets[i])) / sum(mass)))
            given = {} if how is None else {"log_q": log_q, "own": how}
            close(bt.info_nce(scores, targets, negatives, anchors, **given), sum(each) / max(1, len(each)))
        each = []
        for i in own:
            others = sum(math.exp(scores[i, j]) for j in range(m) if negatives[i, j])
            terms = [-math.log(math.exp(scores[i, p]) / (math.exp(scores[i, p]) + others)) for p in range(m) if positives[i, p]]
            each += [sum(terms) / len(terms)] if terms else []
        close(bt.supervised_contrastive(scores, positives, negatives, anchors), sum(each) / max(1, len(each)))
        each = []
        for i in own:
            far = [float(scores[i, j]) for j in range(m) if positives[i, j]]
            near = [float(scores[i, j]) for j in range(m) if negatives[i, j]]
            each += [max(0.0, max(far) - min(near) + 0.2)] if far and near else []
        close(bt.triplets(scores, positives, negatives, 0.2, anchors), sum(each) / max(1, len(each)))


def excluded_candidates_get_no_mass_and_no_gradient():
    scores = torch.randn(6, 8, dtype=torch.double, requires_grad=True)
    targets, negatives = torch.arange(6), torch.rand(6, 8) < 0.5
    negatives[torch.arange(6), targets] = False
    negatives[2] = False
    anchors = torch.tensor([True, True, True, False, True, True])
    positives = ~negatives & (torch.rand(6, 8) < 0.7)
    wild = scores.masked_fill(~negatives & (torch.arange(8)[None] != targets[:, None]), 1e30)
    close(bt.info_nce(wild, targets, negatives, anchors), bt.info_nce(scores, targets, negatives, anchors).item())
    for loss in (
        bt.info_nce(scores, targets, negatives, anchors),
        bt.supervised_contrastive(scores, positives, negatives, anchors),
        bt.triplets(scores, positives, negatives, 1.0, anchors),
    ):
        (gradient,) = torch.autograd.grad(loss, scores)
        assert torch.isfinite(gradient).all() and (gradient[3] == 0).all()
        outside = ~negatives & ~positives & (torch.arange(8)[None] != targets[:, None])
        assert (gradient[outside] == 0).all()
    assert bt.info_nce(scores, targets, negatives, torch.zeros(6, dtype=torch.bool)).item() == 0


def towers():
    torch.manual_seed(5)
    return torch.nn.Parameter(torch.randn(8, 4, dtype=torch.double)), torch.nn.Parameter(torch.randn(64, 4, dtype=torch.double))


def embed(batch, user, item):
    """A user tower that runs once for each request, and an item tower."""
    dense = batch["requests.user_embedding"].double() @ user
    return dense[batch["request_of"]], item[batch["item_id"] % len(item)]


def epoch_of_one(dataset, where):
    user, item = towers()
    losses = []
    for batch in bt.Batches(dataset):
        queries, items = embed(batch, user, item)
        loss = bt.info_nce(queries @ items.T, batch["targets"], batch["negatives"], batch["anchors"], batch["bw_log_q"].double())
        loss.backward()
        losses.append(loss.item())
    torch.save((losses, user.grad, item.grad), where)


def epoch_of_rank(rank, world, dataset, where, port):
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=world)
    user, item = towers()
    losses = []
    for batch in DataLoader(bt.Batches(dataset, rank, world), batch_size=None, num_workers=2 if world == 2 else 0):
        queries, items = embed(batch, user, item)
        candidates, log_q = bt.gather(items), bt.gather(batch["bw_log_q"].double())
        loss = bt.info_nce(
            queries @ candidates.T, batch["targets"], batch["negatives"], batch["anchors"], log_q, group=dist.group.WORLD
        )
        loss.backward()
        mean = loss.detach().clone()
        dist.all_reduce(mean)
        losses.append(mean.item() / world)
    for parameter in (user, item):  # As DDP does.
        dist.all_reduce(parameter.grad)
        parameter.grad /= world
    if rank == 0:
        torch.save((losses, user.grad, item.grad), where)
    dist.destroy_process_group()


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def processes_train_as_one(dataset):
    epoch_of_one(dataset, WORK / "one")
    losses, *gradients = torch.load(WORK / "one")
    assert len(losses) > 20 and len(set(losses)) == len(losses)
    for world in (2, 4):
        processes.spawn(epoch_of_rank, (world, dataset, WORK / f"of-{world}", free_port()), nprocs=world)
        found, *others = torch.load(WORK / f"of-{world}")
        assert np.allclose(found, losses, rtol=1e-5)
        assert all(torch.allclose(a, b, rtol=1e-5) for a, b in zip(others, gradients))


def pairs_of_groups():
    dataset = compose("tensors-grouped", GROUPED)
    for batch in batchwright.Batches(dataset):
        rows = batchwright.groups(batch)
        if not len(rows):
            continue
        labels = np.array(batch.column("label").to_pylist())
        assert (labels[rows[:, 0]] == "real").all() and (labels[rows[:, 1:]] == "fake").all()


if __name__ == "__main__":
    spread = compose("tensors-spread", SPREAD, *SMALL)
    packed = compose("tensors-packed", PACKED, *SMALL, "mask.positive='clicked'")
    tensors_are_what_the_reader_gives(spread, 1, (0, 2, 4))
    tensors_are_what_the_reader_gives(packed, 2, (0, 3))
    local_masks_are_cut_to_the_rank(packed)
    readers_go_on_where_they_stopped(packed)
    bits_are_unpacked_on_the_device(spread)
    what_is_no_tensor_is_said(spread)
    losses_are_those_of_loops()
    excluded_candidates_get_no_mass_and_no_gradient()
    processes_train_as_one(packed)
    pairs_of_groups()
