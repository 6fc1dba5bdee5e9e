"""The area under the ROC curve from ranks."""

from __future__ import annotations

import torch
from torch import Tensor


def areas_under_roc(predictions: Tensor, targets: Tensor) -> Tensor:
    """The area under the ROC curve of each class or label, all at once, from ranks (Hanley and McNeil 1982).

    It is the share of pairs, of a row in the class and a row outside of it, where the first one is predicted higher;
    equal predictions count half. torchmetrics goes over the classes one by one, which takes longer than an epoch of a
    small model.

    Args:
        predictions: (rows, columns).
        targets: Classes (rows,), or labels (rows, columns).
    """
    scores = predictions.mT.contiguous()
    columns = torch.arange(len(scores), device=targets.device)
    is_in = targets.mT > 0 if targets.ndim == 2 else targets == columns[:, None]
    ascending = scores.sort(dim=1).values
    # how many are lower, and how many are not higher: together twice the mean rank of equal ones, less 1
    ranks_twice = torch.searchsorted(ascending, scores) + torch.searchsorted(ascending, scores, right=True) + 1
    num_in = is_in.sum(dim=1)
    pairs_twice = (ranks_twice * is_in).sum(dim=1) - num_in * (num_in + 1)
    return pairs_twice.to(predictions.dtype) / (2 * num_in * (len(predictions) - num_in))
