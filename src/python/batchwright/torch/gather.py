"""Candidates of all ranks, through which gradients reach those who embedded them."""

import torch
import torch.distributed as dist


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx, own, group):
        ctx.group, ctx.rows = group, len(own)
        parts = [torch.empty_like(own) for _ in range(dist.get_world_size(group))]
        dist.all_gather(parts, own.contiguous(), group=group)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx, gradient):
        # Each rank's loss has a gradient for all candidates; a candidate's is the sum of them.
        gradient = gradient.contiguous().clone()
        dist.all_reduce(gradient, group=ctx.group)
        first = dist.get_rank(ctx.group) * ctx.rows
        return gradient[first : first + ctx.rows], None


def gather(own: torch.Tensor, group=None) -> torch.Tensor:
    """[rows, …] of each rank to [world · rows, …] on all, in the order of slots; all ranks must have as many rows."""
    return _Gather.apply(own, group or dist.group.WORLD)
