"""The contract of losses."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from holdfast.core.tasks import task_of
from holdfast.losses import Loss
from holdfast.losses.build import build_loss

NUM_ROWS, NUM_CLASSES = 12, 3


def check_loss(factory: Callable[..., Loss], *, task: str) -> None:
    """Check that a loss is a mean over rows, that right outputs cost less than wrong ones, and that it has a slope.

    Raises:
        InputError: The loss refuses the task.
    """
    loss = build_loss(factory, task, task_of(task).num_outputs(NUM_CLASSES))
    right, targets = _right_outputs(task)
    outputs = 0.2 * right + torch.randn(right.shape, generator=torch.Generator().manual_seed(1), dtype=right.dtype)
    value = loss(outputs, targets)
    assert value.numel() == 1, f"a loss must be one number a batch, and has the shape {tuple(value.shape)}"
    assert value.isfinite(), f"the loss of finite outputs must be finite, and is {float(value)}"
    _check_mean(loss, outputs, targets)
    wrong = right + 3.0 if task_of(task).is_values else -right
    assert loss(right, targets) < loss(wrong, targets), "right outputs must cost less than wrong ones"
    _check_slope(loss, outputs, targets)


def _right_outputs(task: str) -> tuple[Tensor, Tensor]:
    """Outputs in double precision that are right by far, and their targets."""
    targets = made_up_targets(task, NUM_ROWS, NUM_CLASSES)
    if task_of(task).is_softmax:
        return 6.0 * torch.nn.functional.one_hot(targets).double() - 3.0, targets
    targets = targets.double()
    return targets.clone() if task_of(task).is_values else 6.0 * targets - 3.0, targets


def made_up_targets(task: str, num_rows: int, num_classes: int) -> Tensor:
    """Values of one target or of several; or targets of as many classes or labels, of which each occurs, in int64."""
    generator = torch.Generator().manual_seed(0)
    kind = task_of(task)
    if kind.is_values:
        return torch.randn((num_rows, *kind.row_shape(num_classes)), generator=generator)
    if kind.is_labels:
        return torch.randint(2, (num_rows, num_classes), generator=generator)
    return torch.arange(num_rows) % (2 if kind.is_flat else num_classes)


def _check_mean(loss: Loss, outputs: Tensor, targets: Tensor) -> None:
    value = loss(outputs, targets)
    twice = loss(torch.cat([outputs, outputs]), torch.cat([targets, targets]))
    assert torch.allclose(twice, value), "a loss must be a mean over rows: every row twice must not change it"
    turned = loss(outputs.flip(0), targets.flip(0))
    assert torch.allclose(turned, value), "a loss must not depend on the order of rows"
    half = NUM_ROWS // 2
    halves = (loss(outputs[:half], targets[:half]) + loss(outputs[half:], targets[half:])) / 2
    assert torch.allclose(halves, value), "a loss must be a mean over rows: that of two halves is the mean of theirs"


def _check_slope(loss: Loss, outputs: Tensor, targets: Tensor) -> None:
    outputs = outputs.clone().requires_grad_()
    before = loss(outputs, targets)
    (slope,) = torch.autograd.grad(before, outputs)
    assert slope.isfinite().all(), "the gradient of a loss must be finite"
    after = loss(outputs - 1e-3 * slope, targets)
    assert after < before, "a small step against its gradient must lower a loss"
