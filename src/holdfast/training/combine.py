"""The prediction of an ensemble from the outputs of its members: one home for training, export, freeze and opening."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from holdfast.core.tasks import Combine, task_of
from holdfast.training.metrics import as_predictions

SMALLEST_P = 1e-7  # of a probability whose logit is taken, in float32


def term_of(outputs: Tensor, task: str, combine: Combine) -> Tensor:
    """The terms of a mean over members: (n, ...) logits or probabilities of one's outputs, or values as they are."""
    if combine == "logits":
        return outputs.float()
    return as_predictions(outputs, task).float()


def mean_of(terms: Sequence[Tensor] | Tensor, weights: Sequence[float]) -> Tensor:
    """The weighted sum of the terms of all members, for weights that sum to 1."""
    first, *others = [weight * term for weight, term in zip(weights, terms, strict=True)]
    total: Tensor = sum(others, start=first)
    return total


def prediction_of(mean: Tensor, task: str, combine: Combine, temperature: float = 1.0) -> Tensor:
    """The prediction of a term, or of the mean of several.

    With a temperature T logits are divided by T before they become probabilities (Guo et al. 2017, "On calibration of
    modern neural networks"), after the members were averaged (Rahaman and Thiery 2021, "Uncertainty quantification and
    deep ensembles": pool, then calibrate). The logits of averaged probabilities are their log odds.

    Args:
        mean: (n, ...) as of `term_of`.
        task: "multiclass", "binary", "multilabel" or "regression".
        combine: What was averaged.
        temperature: Above 0; 1 changes nothing. Values of a regression have none.
    """
    kind = task_of(task)
    if kind.is_values or (combine == "probabilities" and temperature == 1.0):
        return mean
    if combine == "logits":
        logits = mean
    elif kind.is_softmax:
        logits = mean.clamp(min=SMALLEST_P).log()
    else:
        logits = mean.clamp(SMALLEST_P, 1.0 - SMALLEST_P).logit()
    return as_predictions(logits / temperature, task)
