"""Masks of a batch, from bitmaps, lists of slots, or the slots of identities."""

import numpy as np

def unpack(bits: np.ndarray, width: int) -> np.ndarray:
    """uint8[rows, ⌈B/8⌉] to bool[rows, width]; bit j is bit j%8 of byte j/8, from the least significant."""
    return np.unpackbits(bits, axis=1, count=width, bitorder="little").view(np.bool_)


def without(values: np.ndarray, starts: np.ndarray, width: int) -> np.ndarray:
    """Lists of excluded slots to bool[rows, width], true where a slot is not in the row's list."""
    valid = np.ones((len(starts) - 1, width), np.bool_)
    valid[np.repeat(np.arange(len(starts) - 1), np.diff(starts)), values] = False
    return valid


def differ(slots: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """bool[len(rows), B]: the batch's rows that are not of the row's identity, by int32[B] slots; rows are places among them."""
    valid = np.ones((len(rows), len(slots)), np.bool_)
    # Few rows share an identity: listing these takes less than comparing all.
    number = np.bincount(slots)
    pairs = number[slots[rows]]
    if pairs.sum() * 8 > valid.size:
        return slots[rows, None] != slots[None, :]
    by_slot = np.argsort(slots, kind="stable")
    first = (np.cumsum(number) - number)[slots[rows]]
    others = np.repeat(first - (np.cumsum(pairs) - pairs), pairs) + np.arange(pairs.sum())
    valid[np.repeat(np.arange(len(rows)), pairs), by_slot[others]] = False
    return valid
