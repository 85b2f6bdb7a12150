"""Whole batches in reading order."""

from collections.abc import Iterator

import numpy as np

from .arrays import numbers
from .batch import Batch, Slice
from .dataset import Dataset, Shard
from .errors import DatasetError
from .row_group import RowGroup

#: Columns that are read only where somebody asks for a mask.
MASKS = {"bw_same_user", "bw_negatives", "bw_excluded", "bw_positives"}


class Batches:
    """The batches of a dataset, or of several, one after the other.

    rank, world   which share of each batch: whole where world is 1. `world` divides the ranks that the dataset was written
                  for, or, where these are 1, its batch size. All ranks get the same batches, and of each their own slots.
    columns       of `batch.table`; None: the payload, and `bw_` columns but masks. Columns that nobody asks for are not read.
    start         the first batch, in the order in which they come.
    shuffle       a seed: whole batches in another order, the same for all ranks.

    Each iteration begins at `start`. `state()` and `load(state)` go on where somebody stopped, at any world size.
    Raises DatasetError for what is torn, foreign or half copied.
    """

    def __init__(self, location, rank: int = 0, world: int = 1, columns=None, start: int = 0, shuffle: int | None = None):
        locations = location if isinstance(location, (list, tuple)) else [location]
        if not locations:
            raise ValueError("location is an empty list")
        if not 0 <= rank < world:
            raise ValueError(f"rank is {rank}, and ranks go from 0 to {world - 1}")
        self.datasets = [Dataset(one) for one in locations]
        self.rank, self.world, self.shuffle = rank, world, shuffle
        self.columns = None if columns is None else list(columns)
        for dataset in self.datasets:
            divided = dataset.ranks if dataset.ranks > 1 else dataset.batch_size
            if divided % world:
                what = "ranks" if dataset.ranks > 1 else "rows of a batch"
                raise DatasetError(dataset.root, f"{world} processes do not divide its {divided} {what}", "use a world size that does")
            if shuffle is not None and dataset.is_ramped:
                raise DatasetError(dataset.root, "a share rises from its first batch to its last", "read it in order")
        self._firsts = np.cumsum([0] + [dataset.batches for dataset in self.datasets])
        self._start = self._next = self._place(start)
        #: Where the next iteration begins, once a state was loaded.
        self._loaded: int | None = None

    def __len__(self) -> int:
        """Batches from `start` on."""
        return int(self._firsts[-1]) - self._start

    def __iter__(self) -> Iterator[Batch]:
        return self.every(1)

    def every(self, step: int, first: int = 0) -> Iterator[Batch]:
        """Every `step`-th batch, from the `first`-th behind the start on: the share of one worker of several."""
        begin = self._start if self._loaded is None else self._loaded
        self._loaded, self._next = None, begin
        order = np.arange(self._firsts[-1])
        if self.shuffle is not None:
            order = np.random.Generator(np.random.PCG64(self.shuffle)).permutation(order)
        # Of each dataset, one row group is held.
        readers = [Reader(dataset, self.rank, self.world, self.columns) for dataset in self.datasets]
        for index in range(begin + first, len(order), step):
            at = int(np.searchsorted(self._firsts, order[index], side="right")) - 1
            batch = readers[at].batch(int(order[index] - self._firsts[at]), index)
            self._next = index + 1
            yield batch
        self._next = self._start

    def state(self) -> dict:
        """Where the reader stands: after the last batch that it gave. Fits any rank and world size."""
        return {"runs": [d.run_id for d in self.datasets], "shuffle": self.shuffle, "next": self._next}

    def load(self, state: dict):
        """Goes on there with the next iteration. Raises DatasetError if it was another dataset, or another order."""
        if state["runs"] != [d.run_id for d in self.datasets]:
            raise DatasetError(self.datasets[0].root, "the state is of another dataset", "begin anew, or read the one that it is of")
        if state["shuffle"] != self.shuffle:
            raise DatasetError(self.datasets[0].root, f"the state is of shuffle={state['shuffle']}", "read in that order")
        self._loaded = self._next = self._place(state["next"])

    def _place(self, start: int) -> int:
        if not 0 <= start <= self._firsts[-1]:
            raise ValueError(f"start is {start}, and there are {self._firsts[-1]} batches")
        return int(start)


class Reader:
    """A rank's batches of one dataset, in any order."""

    def __init__(self, dataset: Dataset, rank: int, world: int, columns: list[str] | None):
        self._dataset, self._rank, self._world, self._columns = dataset, rank, world, columns
        written = dataset.ranks
        own = range(rank * written // world, (rank + 1) * written // world) if written > 1 else range(1)
        #: The written ranks whose slices make the share.
        self._files = [RankReader(dataset, written_rank) for written_rank in own]
        #: Of all ranks, where masks are made of the whole batch's slots.
        self._all = [RankReader(dataset, written_rank) for written_rank in range(written)] if dataset.encoding == "none" else []

    def batch(self, number: int, index: int) -> Batch:
        dataset = self._dataset
        slices = [file.slice(number) for file in self._files]
        names = self._names(slices[0].group)
        slot = dataset.batch_size // dataset.ranks * self._files[0].rank
        for part in slices:
            part.group.read(names)
            slots = numbers(part.column("bw_slot"))
            if not np.array_equal(slots, np.arange(slot, slot + len(slots))):
                raise DatasetError(part.group.path, f"the slots of batch {number} are torn", "compose the dataset again")
            slot += len(slots)
        width = dataset.rows_of_batch(number)
        if slot - dataset.batch_size // dataset.ranks * self._files[0].rank != width * len(slices) // dataset.ranks:
            raise DatasetError(slices[0].group.path, f"batch {number} has not its {width} rows", "compose the dataset again")
        if dataset.ranks > 1:
            whole = slices if self._world == 1 else [file.slice(number) for file in self._all] or None
            return Batch(dataset, index, number, slices, width, whole, names)
        # One file holds all ranks' rows: each takes its slots, of a short batch maybe none.
        (all_rows,) = slices
        share = dataset.batch_size // self._world
        start, end = min(width, self._rank * share), min(width, (self._rank + 1) * share)
        own = Slice(all_rows.group, all_rows.start + start, all_rows.start + end)
        return Batch(dataset, index, number, [own], width, [all_rows], names)

    def _names(self, group: RowGroup) -> list[str]:
        known = group.schema.names
        if self._columns is None:
            return [name for name in known if name not in MASKS]
        if unknown := [name for name in self._columns if name not in known]:
            raise DatasetError(group.path, f"it has no column {unknown[0]!r}", f"its columns are {', '.join(known)}")
        return self._columns


class RankReader:
    """The shards of a written rank; the last row group that was asked for is held."""

    def __init__(self, dataset: Dataset, rank: int):
        self.rank = rank
        self._dataset, self._shards = dataset, dataset.of_rank(rank)
        self._ends = np.cumsum([shard.batches for shard in self._shards])
        self._open: Shard | None = None
        self._file = None
        self._group: RowGroup | None = None

    def slice(self, number: int) -> Slice:
        """The rows of a batch."""
        shard = self._shards[int(np.searchsorted(self._ends, number, side="right"))]
        if shard is not self._open:
            self._open, self._file, self._group = shard, self._dataset.open(shard), None
        group = self._group
        if group is None or not (len(group.batches) and group.batches[0] <= number <= group.batches[-1]):
            group = self._group = self._find(shard, number)
        at = int(np.searchsorted(group.batches, number))
        if at == len(group.batches) or group.batches[at] != number:
            raise DatasetError(shard.path, f"it lacks batch {number}", "compose the dataset again")
        return Slice(group, int(group.cuts[at]), int(group.cuts[at + 1]))

    def _find(self, shard: Shard, number: int) -> RowGroup:
        """The row group of a batch: where its footer's statistics say, else by looking."""
        metadata = self._file.metadata
        leaf = next(k for k in range(metadata.num_columns) if metadata.schema.column(k).path == "bw_batch")
        for ordinal in range(metadata.num_row_groups):
            statistics = metadata.row_group(ordinal).column(leaf).statistics
            if statistics is not None and statistics.has_min_max and not statistics.min <= number <= statistics.max:
                continue
            group = RowGroup(self._file, ordinal, shard.path)
            if len(group.batches) and group.batches[0] <= number <= group.batches[-1]:
                return group
        raise DatasetError(shard.path, f"it lacks batch {number}", "compose the dataset again")
