"""Batches as dicts of tensors."""

from collections.abc import Iterator

import torch
from torch.utils.data import IterableDataset, get_worker_info

from ..batch import Batch
from ..batches import Batches as Reader
from .tensors import is_tensor, tensor

MASKS = ("negatives", "same_user", "positives")


class Batches(IterableDataset):
    """For `DataLoader(…, batch_size=None)`: each element is a whole batch, or the rank's share of one.

    Takes what `batchwright.Batches` takes, and
    masks   any of "negatives", "same_user", "positives": bool[rows, width] tensors, called so
    local   masks over the rank's own rows: bool[rows, rows]

    A dict has `index`, the place of the batch; `slots` (int64[rows]), `anchors` (bool[rows]) and `targets` (int64[rows], the
    column of each row's own item in the masks); the columns by name, those that can't be tensors left out unless they were asked for;
    and with `requests.layout = "first"` `requests.NAME`, one row a request, and `request_of` (int64[rows]), each row's among them.

    Each iteration begins at `start`, so one that resumed there is followed by a new reader for the next epoch.

    With workers, each reads all shards and gives every n-th batch: the order is kept, and nothing comes twice. What a worker
    decodes is a row group: datasets that are read so are best composed with `output.row_group_rows` at the batch size.
    """

    def __init__(self, location, rank=0, world=1, columns=None, start=0, shuffle=None, masks=("negatives",), local=False):
        super().__init__()
        if unknown := set(masks) - set(MASKS):
            raise ValueError(f"masks has {min(unknown)!r}, and there are {', '.join(MASKS)}")
        self._reader = Reader(location, rank, world, columns, start, shuffle)
        self._masks, self._local = tuple(masks), local

    def __iter__(self) -> Iterator[dict]:
        worker = get_worker_info()
        first, step = (worker.id, worker.num_workers) if worker else (0, 1)
        for batch in self._reader.every(step, first):
            yield self._tensors(batch)

    def __len__(self) -> int:
        return len(self._reader)

    def state_dict(self) -> dict:
        """Where the reader stands; exact where no workers read ahead. With workers, begin anew with `start = index + 1`."""
        return self._reader.state()

    def load_state_dict(self, state: dict):
        """Goes on there with the next iteration, at any world size."""
        self._reader.load(state)

    def _tensors(self, batch: Batch) -> dict:
        out = {
            "index": batch.index,
            "slots": tensor(batch.column("bw_slot"), "bw_slot").long(),
            "anchors": tensor(batch.column("bw_anchor"), "bw_anchor"),
            "targets": torch.from_numpy(batch.targets(self._local)),
        }
        requests = set(batch.request_columns)
        asked = self._reader.columns
        for name in batch.columns:
            if name not in requests and (asked is not None or is_tensor(batch.schema.field(name).type)):
                out[name] = tensor(batch.column(name), name)
        wanted = [name for name in batch.request_columns if name in (asked or batch.columns)]
        wanted = [name for name in wanted if asked is not None or is_tensor(batch.schema.field(name).type)]
        if wanted:
            table, of_row = batch.requests(wanted)
            out.update({f"requests.{name}": tensor(table[name], name) for name in wanted})
            out["request_of"] = torch.from_numpy(of_row)
        for mask in self._masks:
            out[mask] = torch.from_numpy(getattr(batch, mask)(self._local))
        return out
