"""Known positives, for candidates from outside a batch: queues, memory banks, mined negatives."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from .arrays import lists, numbers
from .dataset import Dataset
from .errors import DatasetError


class Positives:
    """The items that each identity is known to like, of a dataset with `output.positives = true`."""

    def __init__(self, location):
        dataset = Dataset(location)
        path = Path(location) / "_batchwright/positives.parquet"
        if not path.exists():
            raise DatasetError(path, "the dataset has no table of positives", "compose it with output.positives = true")
        table = pq.read_table(path)
        self._users = numbers(table["bw_user"])
        self._items, self._starts = lists(table["items"])
        if not np.all(np.diff(self._users) >= 0):
            raise DatasetError(dataset.root, "its table of positives is not sorted", "compose it again")

    def known(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """bool[len(users), len(items)]: whether each item is a known positive of the user; `bw_user` and `bw_item` values."""
        known = np.zeros((len(users), len(items)), np.bool_)
        if not len(self._users) or not len(items):
            return known
        place = np.minimum(np.searchsorted(self._users, users), len(self._users) - 1)
        there = self._users[place] == users
        begin, end = self._starts[place], np.where(there, self._starts[place + 1], self._starts[place])
        # Each user's items, one after the other, with the row that asks.
        lengths = end - begin
        rows = np.repeat(np.arange(len(users)), lengths)
        liked = self._items[np.repeat(begin - np.concatenate(([0], np.cumsum(lengths)[:-1])), lengths) + np.arange(lengths.sum())]
        # Where these stand among the candidates, each of which may come several times.
        order = np.argsort(items, kind="stable")
        ordered = np.asarray(items)[order]
        first, last = np.searchsorted(ordered, liked, "left"), np.searchsorted(ordered, liked, "right")
        times = last - first
        hits = np.repeat(first - np.concatenate(([0], np.cumsum(times)[:-1])), times) + np.arange(times.sum())
        known[np.repeat(rows, times), order[hits]] = True
        return known
