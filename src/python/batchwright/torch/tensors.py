"""Arrow columns as tensors, without copies where Arrow's layout allows."""

import pyarrow as pa
import pyarrow.compute as pc
import torch

from ..arrays import one


def is_tensor(data_type: pa.DataType) -> bool:
    """Whether a column of this type can be one tensor."""
    if pa.types.is_fixed_size_list(data_type):
        return is_tensor(data_type.value_type)
    return pa.types.is_signed_integer(data_type) or data_type == pa.uint8() or pa.types.is_floating(data_type) or pa.types.is_boolean(data_type)


def tensor(column, name: str) -> torch.Tensor:
    """Numbers and booleans as [rows], fixed-size lists as [rows, size]; the tensor shares Arrow's memory: do not write into it.

    A null float is NaN. Raises ValueError for other nulls and other types.
    """
    array = one(column)
    if array.null_count and pa.types.is_floating(array.type):
        array = pc.fill_null(array, float("nan"))
    if array.null_count:
        raise ValueError(f"column {name!r} has nulls, which no tensor holds: name the columns that you need")
    if pa.types.is_fixed_size_list(array.type):
        values = tensor(array.flatten(), name)
        return values.reshape(len(array), array.type.list_size, *values.shape[1:])
    if not is_tensor(array.type):
        raise ValueError(f"column {name!r} is {array.type}, which is no tensor: leave it out, or use batchwright.Batches")
    if pa.types.is_boolean(array.type):
        return torch.from_numpy(array.to_numpy(zero_copy_only=False))
    return torch.from_dlpack(array)
