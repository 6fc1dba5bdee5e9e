from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import log_loss

from holdfast.core.errors import InputError
from holdfast.ensembles.scores import scorer
from holdfast.ensembles.weights import ROUNDS, check_weights, given_shares, greedy


def naive_greedy(members: Sequence[NDArray[Any]], value_of: Callable[[NDArray[Any]], float]) -> list[float]:
    """Caruana et al. 2004 as a reader of the paper would write it: lists of members, each mean taken anew."""

    def value(bag: list[int]) -> float:
        mean = sum(members[member].astype(float) for member in bag) / len(bag)
        return value_of(mean.astype(np.float32))

    by_score = sorted(range(len(members)), key=lambda member: value([member]), reverse=True)
    bags = [by_score[:count] for count in range(1, len(members) + 1)]
    bag = max(bags, key=value)
    best = bag
    for _ in range(ROUNDS):
        bag = max([[*bag, member] for member in range(len(members))], key=value)
        if value(bag) > value(best):
            best = bag
    return [best.count(member) / len(best) for member in range(len(members))]


def made(seed: int, num_members: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Probabilities of members of which each knows other rows."""
    random = np.random.default_rng(seed)
    y = random.integers(0, 3, 120)
    logits = random.normal(size=(num_members, 120, 3)) * random.uniform(0.5, 2.0, size=(num_members, 1, 1))
    logits += 1.5 * np.eye(3)[y] * random.integers(0, 2, size=(num_members, 120, 1))
    p = np.exp(logits)
    return (p / p.sum(axis=2, keepdims=True)).astype(np.float32), y


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("metric", ["loss", "accuracy"])
def test_greedy_weights_are_those_of_a_naive_implementation(seed: int, metric: str) -> None:
    members, y = made(seed, 4 + seed)

    def value_of(p: NDArray[Any]) -> float:
        if metric == "accuracy":
            return float((p.argmax(axis=1) == y).mean())
        return -float(np.mean([-math.log(max(float(row[true]), 1e-12)) for row, true in zip(p, y, strict=True)]))

    own = scorer(metric, y, task="multiclass", num_outputs=3, target_std=1.0)
    sign = -1.0 if metric == "loss" else 1.0
    shares = greedy(members, lambda p: sign * own(p))
    assert shares == pytest.approx(naive_greedy(members, value_of))
    assert sum(shares) == pytest.approx(1.0)
    mean = np.tensordot(shares, members, axes=1)
    assert value_of(mean) >= max(map(value_of, members)) - 1e-9


def test_greedy_weights_beat_equal_ones_where_a_member_is_bad() -> None:
    members, y = made(0, 5)
    members[3] = members[3][:, ::-1]
    own = scorer("loss", y, task="multiclass", num_outputs=3, target_std=1.0)
    shares = greedy(members, lambda p: -own(p))
    assert shares[3] == 0.0
    assert log_loss(y, np.tensordot(shares, members, axes=1)) < log_loss(y, members.mean(axis=0))


def test_a_score_that_is_undefined_is_the_worst() -> None:
    members = np.array([[1.0], [2.0]], np.float32)
    assert greedy(members, lambda mean: math.nan if mean[0] > 1.5 else 0.0) == [1.0, 0.0]


def test_given_shares_sum_to_one() -> None:
    assert given_shares("equal", 4) == [0.25] * 4
    assert given_shares([1, 0, 3], 3) == [0.25, 0.0, 0.75]


@pytest.mark.parametrize("weights", [[1, -1], [0, 0], [1], [1, 1, 1], [1, math.inf]])
def test_weights_that_cannot_be(weights: list[float]) -> None:
    with pytest.raises(InputError) as caught:
        check_weights(weights, 2)
    allowed = "equal, greedy, or 2 numbers of 0 or more, one a member, not all 0"
    assert str(caught.value) == f"ensemble.weights: is {weights}; allowed: {allowed}"


def test_the_scorer_gives_what_all_metrics_give() -> None:
    from holdfast.ensembles.scores import score

    members, y = made(1, 3)
    facts: dict[str, Any] = {"task": "multiclass", "num_outputs": 3, "target_std": 1.0}
    for name, value in score(members[0], y, **facts).items():
        of_metric = scorer(name, y, **facts)
        assert of_metric(members[0]) == pytest.approx(value)
        assert of_metric(members[1]) == pytest.approx(score(members[1], y, **facts)[name])
