"""The shares of the members of an ensemble: equal, given, or chosen greedily on val rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError

Weights = Literal["equal", "greedy"] | Sequence[float]
ROUNDS = 50  # members that are drawn, with replacement, behind the first ones


def check_weights(weights: Weights, num_members: int) -> None:
    """Refuse a list that is no list of shares of the members.

    Raises:
        InputError: There are more or fewer than members, a number is negative, or all are 0.
    """
    if isinstance(weights, str):
        return
    is_share = [math.isfinite(weight) and weight >= 0 for weight in weights]
    if len(weights) != num_members or not all(is_share) or not any(weights):
        allowed = f"equal, greedy, or {num_members} numbers of 0 or more, one a member, not all 0"
        raise InputError("ensemble.weights", f"is {list(weights)}", allowed)


def given_shares(weights: Weights, num_members: int) -> list[float]:
    """The shares of weights that are equal or a list, which sum to 1."""
    numbers = [1.0] * num_members if isinstance(weights, str) else [float(weight) for weight in weights]
    return [number / math.fsum(numbers) for number in numbers]


def greedy(terms: NDArray[np.float32], value_of: Callable[[NDArray[np.float32]], float]) -> list[float]:
    """Choose members one by one, with replacement, each the one with which the ensemble has the best score.

    Caruana et al. 2004, "Ensemble selection from libraries of models", sections 2.1 to 2.3: selection with
    replacement, and sorted initialisation: the first members are the best ones, as many of them as together have the
    best score. The shares are the counts where the score was best on the way; of equal scores the earlier one wins.

    Args:
        terms: (members, n, ...) what is averaged.
        value_of: The score of averaged terms; more is better, NaN is worst.
    """

    def value(total: NDArray[np.float64], count: int) -> float:
        number = value_of((total / count).astype(np.float32))
        return -math.inf if math.isnan(number) else number

    exact = terms.astype(np.float64)
    order = sorted(range(len(terms)), key=lambda member: -value(exact[member], 1))
    totals = np.cumsum(exact[order], axis=0)
    values = [value(total, count) for count, total in enumerate(totals, start=1)]
    num_first = int(np.argmax(values)) + 1
    chosen, total = order[:num_first], totals[num_first - 1]
    best_value, best = values[num_first - 1], list(chosen)
    for _ in range(ROUNDS):
        candidates = [value(total + term, len(chosen) + 1) for term in exact]
        member = int(np.argmax(candidates))
        chosen, total = [*chosen, member], total + exact[member]
        if candidates[member] > best_value:
            best_value, best = candidates[member], list(chosen)
    return [best.count(member) / len(best) for member in range(len(terms))]
