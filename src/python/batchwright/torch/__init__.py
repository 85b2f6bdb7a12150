"""Batches as tensors for `torch.utils.data.DataLoader`, and losses that know masks."""

from .batches import Batches
from .bits import unpack
from .gather import gather
from .losses import info_nce, log_q_correction, supervised_contrastive, triplets

__all__ = ["Batches", "gather", "info_nce", "log_q_correction", "supervised_contrastive", "triplets", "unpack"]
