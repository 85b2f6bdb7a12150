"""Groups of identity-grouped batches."""

import numpy as np

from .arrays import numbers


def groups(batch) -> np.ndarray:
    """int64[groups, size]: the rows of each whole group among a batch's own rows, in the order of `compose.group.classes`.

    With `classes = { real = 1, fake = 3 }`, column 0 are the real rows, and columns 1 to 3 the fake ones of the same identity.
    """
    slots = numbers(batch.column("bw_group_slot"))
    rows = np.flatnonzero(slots >= 0)
    if not len(rows):
        return np.empty((0, 0), np.int64)
    size = int(np.count_nonzero(slots == slots[rows[0]]))
    return rows.reshape(-1, size)
