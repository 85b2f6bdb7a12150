"""Masks of a batch, from bitmaps, lists of slots, or the slots of identities and items."""

import numpy as np

#: Rules whose masks follow from slot columns: equal slots are equal identities, or items.
SLOTS_OF_RULES = {"same:identity": "bw_user_slot", "same:item": "bw_item_slot"}


def unpack(bits: np.ndarray, width: int) -> np.ndarray:
    """uint8[rows, ⌈B/8⌉] to bool[rows, width]; bit j is bit j%8 of byte j/8, from the least significant."""
    return np.unpackbits(bits, axis=1, count=width, bitorder="little").view(np.bool_)


def without(values: np.ndarray, starts: np.ndarray, width: int) -> np.ndarray:
    """Lists of excluded slots to bool[rows, width], true where a slot is not in the row's list."""
    valid = np.ones((len(starts) - 1, width), np.bool_)
    valid[np.repeat(np.arange(len(starts) - 1), np.diff(starts)), values] = False
    return valid


def differ(slots: list[np.ndarray], rows: np.ndarray) -> np.ndarray:
    """bool[len(rows), B]: the batch's rows that share none of these with the row; slots are int32[B], rows their places."""
    valid = slots[0][rows, None] != slots[0][None, :]
    for other in slots[1:]:
        valid &= other[rows, None] != other[None, :]
    return valid
