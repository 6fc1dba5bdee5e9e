"""Every loss against its closed form."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from holdfast import losses
from holdfast.core.errors import InputError
from holdfast.losses.build import balanced_weights, build_loss

GENERATOR = np.random.default_rng(0)
Z, Y = GENERATOR.normal(size=(7, 3)) * 2, np.array([0, 2, 1, 1, 0, 2, 2])
LOGIT, BIT = GENERATOR.normal(size=9), GENERATOR.integers(0, 2, 9)
P = np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)
P_BIT = np.where(BIT == 1, 1 / (1 + np.exp(-LOGIT)), 1 / (1 + np.exp(LOGIT)))
ROWS = np.arange(7)
W = np.array([0.5, 1.0, 3.0])


def of_classes(loss: Any) -> float:
    return float(loss(torch.from_numpy(Z), torch.from_numpy(Y)))


def of_bits(loss: Any) -> float:
    return float(loss(torch.from_numpy(LOGIT), torch.from_numpy(BIT).double()))


def test_label_smoothing() -> None:
    target = np.full((7, 3), 0.1 / 3)
    target[ROWS, Y] += 0.9
    expected = -(target * np.log(P)).sum(axis=1).mean()
    assert of_classes(losses.cross_entropy(label_smoothing=0.1)) == pytest.approx(expected, rel=1e-12)


def test_weighted_cross_entropy_is_a_weighted_mean() -> None:
    expected = (W[Y] * -np.log(P[ROWS, Y])).sum() / W[Y].sum()
    assert of_classes(losses.cross_entropy(class_weights=list(W))) == pytest.approx(expected, rel=1e-12)


def test_smoothed_and_weighted_cross_entropy_weighs_each_class() -> None:
    target = np.full((7, 3), 0.1 / 3)
    target[ROWS, Y] += 0.9
    expected = -(target * W * np.log(P)).sum() / W[Y].sum()
    loss = of_classes(losses.cross_entropy(class_weights=list(W), label_smoothing=0.1))
    assert loss == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("class_weights", [None, [0.2, 1.0, 3.0]])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_cross_entropy_of_several_networks(class_weights: Any, label_smoothing: float) -> None:
    loss: Any = losses.cross_entropy(class_weights=class_weights, label_smoothing=label_smoothing)
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(4, 7, 3, generator=generator, dtype=torch.float64)
    targets = torch.randint(3, (4, 7), generator=generator)
    alone = torch.stack([loss(*member) for member in zip(outputs, targets, strict=True)])
    torch.testing.assert_close(loss.of_members(outputs, targets), alone, atol=1e-14, rtol=0.0)


def test_weighted_binary_cross_entropy() -> None:
    weights = np.array([0.5, 2.0])
    expected = (weights[BIT] * -np.log(P_BIT)).mean()
    assert of_bits(losses.binary_cross_entropy(class_weights=[0.5, 2.0])) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal(gamma: float) -> None:
    p = P[ROWS, Y]
    expected = (-((1 - p) ** gamma) * np.log(p)).mean()
    assert of_classes(losses.focal(gamma=gamma)) == pytest.approx(expected, rel=1e-12)
    weighted = (-W[Y] * (1 - p) ** gamma * np.log(p)).mean()
    assert of_classes(losses.focal(gamma=gamma, class_weights=list(W))) == pytest.approx(weighted, rel=1e-12)
    expected = (-((1 - P_BIT) ** gamma) * np.log(P_BIT)).mean()
    assert of_bits(losses.focal(task="binary", gamma=gamma)) == pytest.approx(expected, rel=1e-12)


def test_focal_of_certain_rows_has_gradients() -> None:
    logits = torch.tensor([[200.0, 0.0], [0.0, 200.0]], requires_grad=True)
    losses.focal(gamma=0.5)(logits, torch.tensor([0, 0])).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("margin", [0.5, 1.0])
def test_hinge(power: Any, margin: float) -> None:
    terms = np.maximum(0, margin + Z - Z[ROWS, Y][:, None]) ** power
    terms[ROWS, Y] = 0
    loss = losses.hinge(margin=margin, power=power)
    assert of_classes(loss) == pytest.approx(terms.sum(axis=1).mean(), rel=1e-12)


def test_hinge_at_chance_is_one_less_than_the_classes() -> None:
    assert float(losses.hinge()(torch.zeros(4, 10), torch.arange(4))) == pytest.approx(9.0)


def test_values() -> None:
    outputs, targets = GENERATOR.normal(size=20) * 2, GENERATOR.normal(size=20)
    error = np.abs(outputs - targets)
    x, y = torch.from_numpy(outputs), torch.from_numpy(targets)
    assert float(losses.mse()(x, y)) == pytest.approx((error**2).mean(), rel=1e-12)
    assert float(losses.mae()(x, y)) == pytest.approx(error.mean(), rel=1e-12)
    expected = np.where(error <= 0.7, error**2 / 2, 0.7 * (error - 0.35)).mean()
    assert float(losses.huber(delta=0.7)(x, y)) == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match="differ in shape"):
        losses.mae()(x, y[:, None])


def test_balanced_weights() -> None:
    weights = balanced_weights([10, 30, 60])
    assert weights.tolist() == pytest.approx([100 / 30, 100 / 90, 100 / 180], rel=1e-12)
    assert float((weights * torch.tensor([10, 30, 60])).sum()) == pytest.approx(100)


def test_balanced_by_the_train_counts() -> None:
    factory = partial(losses.focal, class_weights="balanced", gamma=0.0)
    loss = build_loss(factory, "multiclass", 3, (10, 30, 60))
    expected = (np.array([100 / 30, 100 / 90, 100 / 180])[Y] * -np.log(P[ROWS, Y])).mean()
    assert of_classes(loss) == pytest.approx(expected, rel=1e-12)
    auto = build_loss(partial(losses.auto, class_weights="balanced"), "binary", 1, (30, 10))
    expected = (np.array([2 / 3, 2])[BIT] * -np.log(P_BIT)).mean()
    assert of_bits(auto) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("factory", "task", "message"),
    [
        (partial(losses.focal, gamma=-1.0), "binary", "loss.gamma: is -1.0; allowed: gamma >= 0"),
        (losses.focal, "regression", "loss: focal does not fit a regression task; next: loss=auto chooses by the task"),
        (losses.hinge, "binary", "loss: hinge does not fit a binary task; next: loss=auto chooses by the task"),
        (partial(losses.hinge, margin=0.0), "multiclass", "loss.margin: is 0.0; allowed: margin > 0"),
        (partial(losses.huber, delta=float("nan")), "regression", "loss.delta: is nan; allowed: delta > 0"),
        (
            partial(losses.auto, class_weights="balanced"),
            "regression",
            "loss.class_weights: is balanced, and a regression has no classes; allowed: null",
        ),
        (
            partial(losses.auto, class_weights=[1.0, 2.0]),
            "multiclass",
            "loss.class_weights: is [1.0, 2.0]; allowed: null, balanced, or 3 numbers from 0, not all 0",
        ),
        (
            partial(losses.auto, class_weights=[1.0, -2.0, 1.0]),
            "multiclass",
            "loss.class_weights: is [1.0, -2.0, 1.0]; allowed: null, balanced, or 3 numbers from 0, not all 0",
        ),
        (
            partial(losses.auto, class_weights="balanced"),
            "multiclass",
            "loss.class_weights: a class has no train row (rows by class: [3, 0, 1])",
        ),
    ],
)
def test_mistakes(factory: Any, task: str, message: str) -> None:
    counts = None if task == "regression" else (3, 0, 1)
    with pytest.raises(InputError) as caught:
        build_loss(factory, task, 3 if task == "multiclass" else 1, counts)
    assert str(caught.value) == message


@torch.no_grad()
def test_a_loss_is_built_where_no_gradients_are_recorded() -> None:
    assert float(build_loss(losses.mse, "regression", 1)(torch.ones(2), torch.zeros(2))) == 1.0
