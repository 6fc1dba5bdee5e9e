"""The contract of losses."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from holdfast.losses.build import build_loss
from holdfast.losses.protocol import Loss

NUM_ROWS, NUM_OUTPUTS = 12, 3


def check_loss(factory: Callable[..., Loss], *, task: str) -> None:
    """Check that a loss is a mean over rows, that right outputs cost less than wrong ones, and that it has a slope.

    Args:
        factory: The option.
        task: "multiclass", "binary", "multilabel" or "regression".

    Raises:
        InputError: The loss refuses the task.
    """
    loss = build_loss(factory, task, NUM_OUTPUTS if task in ("multiclass", "multilabel") else 1)
    right, targets = _right_outputs(task)
    outputs = 0.2 * right + torch.randn(right.shape, generator=torch.Generator().manual_seed(1), dtype=right.dtype)
    value = loss(outputs, targets)
    assert value.numel() == 1, f"a loss must be one number a batch, and has the shape {tuple(value.shape)}"
    assert value.isfinite(), f"the loss of finite outputs must be finite, and is {float(value)}"
    _check_mean(loss, outputs, targets)
    wrong = -right if task != "regression" else right + 3.0
    assert loss(right, targets) < loss(wrong, targets), "right outputs must cost less than wrong ones"
    _check_slope(loss, outputs, targets)


def _right_outputs(task: str) -> tuple[Tensor, Tensor]:
    """Outputs in double precision that are right by far, and their targets."""
    generator = torch.Generator().manual_seed(0)
    if task == "multiclass":
        targets = torch.arange(NUM_ROWS) % NUM_OUTPUTS
        return 6.0 * torch.nn.functional.one_hot(targets).double() - 3.0, targets
    if task == "regression":
        targets = torch.randn(NUM_ROWS, generator=generator, dtype=torch.float64)
        return targets.clone(), targets
    shape = (NUM_ROWS, NUM_OUTPUTS) if task == "multilabel" else (NUM_ROWS,)
    targets = torch.randint(2, shape, generator=generator).double()
    return 6.0 * targets - 3.0, targets


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
