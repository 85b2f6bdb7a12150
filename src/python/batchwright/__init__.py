"""Reads datasets of pre-composed training batches with exact masks.

    from batchwright import Batches

    for batch in Batches("out/feed_user_spread"):
        batch.table        # the rows, as Arrow
        batch.negatives()  # bool[rows, rows]: whom each row may push away

`batchwright.torch` has the same as tensors, for `DataLoader`, and the losses.
"""

from .batch import Batch
from .batches import Batches
from .errors import DatasetError
from .groups import groups
from .positives import Positives

__all__ = ["Batch", "Batches", "DatasetError", "Positives", "groups"]
