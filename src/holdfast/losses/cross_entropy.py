"""Softmax cross-entropy."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from holdfast.core.errors import require
from holdfast.losses.protocol import ClassWeights, Loss, as_tensor, check_task


def cross_entropy(
    *, task: str = "multiclass", class_weights: ClassWeights = None, label_smoothing: float = 0.0
) -> Loss:
    """Softmax cross-entropy, -log softmax(z)_y; smoothing as in Szegedy et al. 2016, section 7.

    With smoothing e over C classes the target is 1 - e + e / C for y and e / C for the others. With class weights it is
    torch's weighted mean: the sum of w_y times loss, divided by the sum of w_y of the batch. With both, torch weighs
    the term of each class c of the smoothed target by its own w_c, and divides by the same sum of w_y.

    Raises:
        InputError: The task is not multiclass, or `label_smoothing` is outside of [0, 1].
    """
    check_task("cross_entropy", task, ("multiclass",))
    require(0.0 <= label_smoothing <= 1.0, "loss.label_smoothing", label_smoothing, "0 <= label_smoothing <= 1")
    given = as_tensor(class_weights)

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        weight = None if given is None else given.to(outputs)
        return functional.cross_entropy(outputs, targets, weight=weight, label_smoothing=label_smoothing)

    return loss
