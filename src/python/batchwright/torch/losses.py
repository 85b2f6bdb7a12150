"""Losses over masked in-batch negatives. Scores are [rows, candidates]; masks say which candidates a row may push away."""

import torch
from torch import Tensor
from torch.nn import functional


def _mean(each: Tensor, anchors: Tensor | None, group) -> Tensor:
    """The mean over anchors; over those of all ranks, as DDP averages gradients, where `group` is given."""
    if anchors is None:
        anchors = torch.ones(len(each), dtype=torch.bool, device=each.device)
    # Rows that are no anchors may have no finite loss: they must not reach the sum, nor its gradient.
    total, number = each.masked_fill(~anchors, 0).sum(), anchors.sum()
    if group is None:
        return total / number.clamp(min=1)
    import torch.distributed as dist

    all_anchors = number.clone()
    dist.all_reduce(all_anchors, group=group)
    return total * dist.get_world_size(group) / all_anchors.clamp(min=1)


def log_q_correction(log_q: Tensor, targets: Tensor, own: str = "kept") -> Tensor:
    """What to subtract from scores, [rows, candidates], for candidates that were drawn with probability exp(`log_q`).

    own = "kept"       the row's own item is not corrected, as it was not drawn, and candidate j was drawn from what is left,
                       with q_j / (1 − q_i) (arXiv 2507.09331)
    own = "corrected"  the older form (Yi et al., RecSys 2019): log q_j for all candidates, the own item included
    """
    if own == "corrected":
        return log_q.expand(len(targets), -1)
    if own != "kept":
        raise ValueError(f'own is {own!r}, not "kept" or "corrected"')
    left = torch.log1p(-log_q[targets].exp().clamp(max=1 - 1e-6))
    return (log_q[None, :] - left[:, None]).scatter(1, targets[:, None], 0.0)


def info_nce(
    scores: Tensor,
    targets: Tensor,
    negatives: Tensor,
    anchors: Tensor | None = None,
    log_q: Tensor | None = None,
    own: str = "kept",
    group=None,
) -> Tensor:
    """Softmax cross-entropy of each anchor's own item against its valid negatives, mean over anchors.

    scores     [rows, candidates], already divided by the temperature
    targets    int64[rows]: the column of each row's own item
    negatives  bool[rows, candidates]; candidates that are neither the own item nor negatives get no mass at all
    anchors    bool[rows]; None: all rows
    log_q      [candidates]: `bw_log_q` of the candidates' items, subtracted as `log_q_correction` says
    group      a process group: the mean is over the anchors of all its ranks, such that DDP's average of gradients is that of
               one process
    """
    if log_q is not None:
        scores = scores - log_q_correction(log_q, targets, own)
    kept = negatives.scatter(1, targets[:, None], True)
    each = functional.cross_entropy(scores.masked_fill(~kept, -torch.inf), targets, reduction="none")
    return _mean(each, anchors, group)


def supervised_contrastive(
    scores: Tensor, positives: Tensor, negatives: Tensor, anchors: Tensor | None = None, group=None
) -> Tensor:
    """Mean over anchors of the mean over their positives p of −ln(exp s_p / (exp s_p + Σ exp s_n)), n their valid negatives
    (Khosla et al., 2020, with the other positives left out of the denominator). Anchors without positives count as none.

    scores [rows, candidates]; positives and negatives bool[rows, candidates], which exclude one another
    """
    others = scores.masked_fill(~negatives, -torch.inf).logsumexp(1, keepdim=True)
    each = (torch.logaddexp(scores, others) - scores).masked_fill(~positives, 0)
    number = positives.sum(1)
    has = number > 0
    return _mean(each.sum(1) / number.clamp(min=1), has if anchors is None else anchors & has, group)


def triplets(distances: Tensor, positives: Tensor, negatives: Tensor, margin: float, anchors: Tensor | None = None, group=None) -> Tensor:
    """Mean over anchors of max(0, d_p − d_n + margin) with the farthest positive and the nearest valid negative (Hermans et
    al., 2017). Anchors that lack either count as none.

    distances [rows, candidates]; positives and negatives bool[rows, candidates]
    """
    far = distances.masked_fill(~positives, -torch.inf).amax(1)
    near = distances.masked_fill(~negatives, torch.inf).amin(1)
    has = positives.any(1) & negatives.any(1)
    each = functional.relu(far.where(has, 0) - near.where(has, 0) + margin)
    return _mean(each, has if anchors is None else anchors & has, group)
