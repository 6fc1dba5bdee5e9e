"""The gradient check on functions whose gradients are known."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from holdfast.checks import gradient
from holdfast.checks.gradient import compare
from holdfast.checks.probes.observer import Observer
from holdfast.checks.subject import Subject
from holdfast.checks.verdict import Verdict
from holdfast.experiment.experiment import Experiment


class Skewed(torch.autograd.Function):
    """x squared, whose gradient is off by a factor."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.factor = factor
        return x.square()

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return 2 * ctx.factor * x * slope, None


class Net(nn.Module):
    """Squares of a linear map."""

    def __init__(self, *, input_shape: Sequence[int], num_outputs: int, factor: float = 1.0) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(input_shape[0], 8), nn.Linear(8, num_outputs)
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.first(x))
        return self.last(Skewed.apply(h, self.factor))


def verdict_of(**options: Any) -> Verdict:
    overrides = ["data=diabetes", "logger=none"]
    (verdict,) = gradient(Subject(Experiment.compose(overrides, parts={"model": functools.partial(Net, **options)})))
    return verdict


def test_a_right_gradient_passes() -> None:
    verdict = verdict_of()
    assert verdict.verdict == "pass"
    assert verdict.evidence["at_the_start"]["compared"] >= 12
    assert verdict.evidence["at_the_start"]["largest_relative_error"] < 1e-6


@pytest.mark.parametrize(("factor", "word"), [(1.5, "fail"), (0.0, "fail"), (1.003, "doubtful")])
def test_the_bands(factor: float, word: str) -> None:
    verdict = verdict_of(factor=factor)
    assert verdict.verdict == word
    assert "first" in verdict.causes[0]
    worst = max((point["worst"] for point in verdict.evidence.values()), key=lambda worst: worst["relative_error"])
    expected = abs(1 - factor) / max(1.0, factor)
    assert worst["relative_error"] == pytest.approx(expected, rel=0.02)


def compared(function: Callable[[Tensor], Tensor], *numbers: float) -> Any:
    parameter = nn.Parameter(torch.tensor(numbers, dtype=torch.float64))
    result = compare(lambda: function(parameter), {"p": parameter}, len(numbers))
    assert parameter.tolist() == list(numbers), "the numbers are set back"
    return result


def test_small_gradients_are_scaled() -> None:
    assert compared(lambda p: 1e-12 * torch.sin(p).sum(), 0.3, 0.8).error < 1e-6


def test_both_zero_passes() -> None:
    assert compared(lambda p: (p * 0.0).sum() + 1.0, 0.3, 0.8).error == 0.0


@pytest.mark.parametrize(
    "function",
    [
        lambda p: torch.relu(p).sum(),
        lambda p: p.abs().sum(),
        lambda p: p.clamp(min=0.0).sum(),
        lambda p: torch.maximum(p, torch.zeros_like(p)).sum(),
        lambda p: torch.where(p > 0, p, 0.0).sum(),
        lambda p: nn.functional.max_pool1d(torch.stack([p, torch.zeros_like(p)], 1)[None, 0], 2).sum(),
        lambda p: nn.functional.multi_margin_loss(torch.stack([p - 1.0, torch.zeros_like(p)], 1), torch.ones(1).long()),
    ],
)
def test_an_element_at_a_kink_is_set_aside(function: Callable[[Tensor], Tensor]) -> None:
    result = compared(function, 1e-9)
    assert (result.num_kinks, result.error) == (1, 0.0)


def test_the_observer_sees_winners_and_leaves_results_alone() -> None:
    x = torch.tensor([[-1.0, 2.0], [3.0, -4.0]])
    with Observer() as observer:
        out = torch.relu(x) + x.clone().relu_()
    assert out.tolist() == [[0.0, 4.0], [6.0, 0.0]]
    assert [winners.tolist() for winners in observer.winners] == 2 * [[[False, True], [True, False]]]
    assert [name for name, _ in observer.activations] == ["relu", "relu"]
