"""Bitmaps that are unpacked where they are needed."""

import torch


def unpack(bits: torch.Tensor, width: int) -> torch.Tensor:
    """uint8[rows, ⌈B/8⌉] to bool[rows, width] on the device of `bits`; a mask then travels as an eighth of its bytes."""
    places = torch.arange(8, dtype=torch.uint8, device=bits.device)
    return ((bits[:, :, None] >> places) & 1).bool().flatten(1)[:, :width]
