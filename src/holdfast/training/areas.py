"""The mean area under a curve over classes or labels."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from torchmetrics import Metric, functional

MOST_AT_ONCE = 2**24  # scores that are sorted at once: 64 MB


class MacroArea(Metric):
    """The mean area under a curve over the classes or labels that have rows in and outside of them.

    torchmetrics counts the others as 0.
    """

    is_differentiable, higher_is_better, full_state_update = False, True, False
    predictions: list[Tensor]
    targets: list[Tensor]

    def __init__(self, area: str, task: str, num_classes: int | None = None, num_labels: int | None = None) -> None:
        """Begin with no row; `area` is a function of `torchmetrics.functional`."""
        super().__init__()
        facts = {"task": task, "num_classes": num_classes, "num_labels": num_labels, "validate_args": False}
        self._area = partial(getattr(functional, area), average="none", **facts)
        self._is_roc = area == "auroc"
        for name in ("predictions", "targets"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, predictions: Tensor, targets: Tensor) -> None:
        """Add rows."""
        self.predictions.append(predictions)
        self.targets.append(targets)

    def compute(self) -> Tensor:
        """Give the value of all rows."""
        predictions, targets = joined(self.predictions), joined(self.targets)
        is_in = truth(predictions, targets)
        if self._is_roc and are_probabilities(predictions) and have_areas(is_in).all():
            return areas_under_roc(predictions.mT, is_in.mT).mean()
        return mean_over(self._area(predictions, targets), have_areas(is_in))


def truth(predictions: Tensor, targets: Tensor) -> Tensor:
    """(..., rows, columns) whether a row is in the class or has the label; predictions have that shape."""
    if targets.ndim == predictions.ndim:
        return targets > 0
    return targets[..., None] == torch.arange(predictions.shape[-1], device=targets.device)


def have_areas(is_in: Tensor) -> Tensor:
    """(..., columns) whether there are rows in and outside of the class or label; as of `truth`."""
    num_in = is_in.sum(dim=-2)
    return (num_in > 0) & (num_in < is_in.shape[-2])


def are_probabilities(predictions: Tensor) -> bool:
    """Tell whether no prediction is NaN or outside of 0 to 1, where torchmetrics would take all of them for logits."""
    return bool(((predictions >= 0) & (predictions <= 1)).all())


def areas_under_roc(scores: Tensor, is_in: Tensor) -> Tensor:
    """The area under the ROC curve of each column (columns,), to the bits of torchmetrics, which takes them in turn.

    Args:
        scores: (columns, rows), no NaN.
        is_in: (columns, rows) whether a row is in the class or has the label; some are and some are not.
    """
    num_columns = max(1, MOST_AT_ONCE // scores.shape[1])
    parts = zip(torch.split(scores, num_columns), torch.split(is_in, num_columns), strict=True)
    return torch.cat([_areas_under_roc(*part) for part in parts])


def _areas_under_roc(scores: Tensor, is_in: Tensor) -> Tensor:
    scores, order = scores.contiguous().sort(dim=1, descending=True)
    num_in = is_in.gather(1, order).cumsum(dim=1)
    num_out = torch.arange(1, scores.shape[1] + 1, device=scores.device) - num_in
    # a curve has a point at the origin and one behind the last of equal scores
    is_point = pad(scores[:, 1:] != scores[:, :-1], (1, 1), value=True)
    points = is_point.flatten().nonzero().flatten()
    x, y = (pad(counts / counts[:, -1:], (1, 0)).flatten()[points] for counts in (num_out, num_in))
    is_origin = points % is_point.shape[1] == 0
    trapezoids = ((x[1:] - x[:-1]) * (y[1:] + y[:-1]))[~is_origin[1:]]
    num_trapezoids = is_point.sum(dim=1) - 1
    return torch.stack([each.sum() for each in torch.split(trapezoids, num_trapezoids.tolist())]) / 2


def mean_over(values: Tensor, chosen: Tensor) -> Tensor:
    """The mean of the chosen values, NaN where none is."""
    values = values.reshape(-1)
    return values[chosen].mean() if bool(chosen.any()) else torch.full((), torch.nan, device=values.device)


def joined(state: Any) -> Tensor:
    """A state of torchmetrics that is a list of tensors, or already one tensor."""
    return state if isinstance(state, Tensor) else torch.cat(list(state))
