"""Arrow columns as numpy arrays, without copies where the layout allows."""

import numpy as np
import pyarrow as pa


def one(column) -> pa.Array:
    """A column as one array."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def numbers(column) -> np.ndarray:
    """A column of numbers or booleans without nulls."""
    return one(column).to_numpy(zero_copy_only=False)


def fixed_bytes(column) -> np.ndarray:
    """A binary column without nulls whose values are of one length, as uint8[rows, width]."""
    array = one(column)
    if not pa.types.is_fixed_size_binary(array.type):
        array = array.cast(pa.binary())
        offsets = np.frombuffer(array.buffers()[1], np.int32, count=len(array) + 1, offset=array.offset * 4)
        width = int(offsets[1] - offsets[0]) if len(array) else 0
        raw = np.frombuffer(array.buffers()[2], np.uint8, count=len(array) * width, offset=int(offsets[0])) if width else np.empty(0, np.uint8)
        return raw.reshape(len(array), width)
    width = array.type.byte_width
    # A sliced array has its parent's buffer, and an offset.
    raw = np.frombuffer(array.buffers()[1], np.uint8, count=len(array) * width, offset=array.offset * width)
    return raw.reshape(len(array), width)


def lists(column) -> tuple[np.ndarray, np.ndarray]:
    """A list column without nulls: its values, and where each row's begin, int[rows + 1] from 0."""
    array = one(column)
    offsets = array.offsets.to_numpy()
    values = array.values.slice(offsets[0], offsets[-1] - offsets[0]) if len(array) else array.values.slice(0, 0)
    return values.to_numpy(zero_copy_only=False), offsets - offsets[0] if len(array) else np.zeros(1, np.int64)
