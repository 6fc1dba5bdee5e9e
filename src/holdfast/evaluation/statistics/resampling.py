"""Intervals by resampling (Efron and Tibshirani 1993): counts by multinomial draws, means of rows by the bootstrap.

A unit of resampling is a row, or a group of rows where groups were declared. All draws are seeded.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from holdfast.core.metrics import Counts, of_counts
from holdfast.core.tasks import PerTarget
from holdfast.evaluation.statistics.sampling import Sampling

DRAWS = 9_999
FEWEST_DRAWS = 999
BCA_ROWS = 20_000
EQUAL_RTOL = 1e-6  # predictions are float32
SMALLEST_TARGET = 1.17e-06  # that torchmetrics divides by
MEASURED, FEWEST_MEASURED, MAX_MEASURED_ROWS = 999, 199, 2 * 10**7
MAX_WORK = 2 * 10**9
BLOCK = 2**21

Array = NDArray[Any]
Interval = dict[str, Any]


class Measure(Protocol):
    """Metrics of rows, by name."""

    def __call__(self, predictions: Array, y: Array, *, names: Sequence[str]) -> Mapping[str, float]:
        """Compute those that are named."""
        ...


# --- metrics of counts ------------------------------------------------------------------------------------------------


def count(truth: NDArray[np.bool_], guess: NDArray[np.bool_], *, is_multilabel: bool = False) -> Counts:
    """The counts of all rows."""
    is_right, sums = (truth == guess).all(axis=1), (truth & guess).sum(axis=0)
    rows = np.asarray(float(len(truth)))
    return Counts(rows, is_right.sum(), sums, guess.sum(axis=0), truth.sum(axis=0), is_multilabel)


def count_intervals(
    names: Sequence[str],
    truth: NDArray[np.bool_],
    guess: NDArray[np.bool_],
    sampling: Sampling,
    *,
    is_multilabel: bool = False,
) -> dict[str, tuple[float, float]]:
    """Percentile intervals of metrics of counts.

    The rows are tallied by what is true and what is guessed: for classes, the cells of the confusion matrix; the
    tallies of another test sample are multinomial around the ones seen.
    """
    columns = truth.shape[1]
    tallies, weights = _tallied(truth, guess, sampling.groups)
    parts = []
    for drawn in _draws(weights, tallies, num_draws(len(truth)), sampling.seed):
        hits, guessed, true = (drawn[:, 2 + i * columns : 2 + (i + 1) * columns] for i in range(3))
        counts = Counts(drawn[:, 0], drawn[:, 1], hits, guessed, true, is_multilabel)
        parts.append(np.column_stack([of_counts(name)(counts) for name in names]))
    lows, highs = _percentiles(np.concatenate(parts), sampling)
    return {name: (float(low), float(high)) for name, low, high in zip(names, lows, highs, strict=True)}


def _percentiles(drawn: Array, sampling: Sampling) -> Array:
    """Low and high end of the middle of all draws, which are along the first axis."""
    tail = 50 * (1 - sampling.confidence)
    return np.asarray(np.percentile(drawn, [tail, 100 - tail], axis=0))


def num_draws(num_units: int) -> int:
    """9,999 draws; fewer where they would take minutes, for millions of rows."""
    return int(min(DRAWS, max(FEWEST_DRAWS, MAX_WORK // num_units)))


def draws_note(num_units: int) -> str:
    """The words of a method for its draws: none, or that they are fewer than usual."""
    draws = num_draws(num_units)
    return "" if draws == DRAWS else f", {draws:,} draws"


def _tallied(
    truth: NDArray[np.bool_], guess: NDArray[np.bool_], groups: NDArray[np.int64] | None
) -> tuple[Array, NDArray[np.int64]]:
    """The sums [rows, right, hits, guessed, true] that each distinct unit adds, and how often it occurs."""
    is_right = (truth == guess).all(axis=1)
    rows = np.column_stack([np.ones(len(truth), bool), is_right, truth & guess, guess, truth])
    if groups is None:
        patterns = np.packbits(np.column_stack([truth, guess]), axis=1)
        _, first, counts = np.unique(patterns, axis=0, return_index=True, return_counts=True)
        return rows[first].astype(np.float64), counts
    sums = sums_of_groups(rows.astype(np.float64), groups)
    return sums, np.ones(len(sums), np.int64)


def _draws(weights: NDArray[np.int64], tallies: Array, draws: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """(block, columns) tallies of a whole sample, block by block until there are `draws`."""
    from scipy.sparse import csr_array

    random, total, num = np.random.default_rng(seed), int(weights.sum()), len(weights)
    columns: Any = csr_array(tallies.T) if (tallies > 0).mean() < 0.05 else np.ascontiguousarray(tallies.T)
    unit_of_row = np.repeat(np.arange(num), weights)
    size = max(1, BLOCK // num)
    for start in range(0, draws, size):
        block = min(size, draws - start)
        if total > 4 * num:
            drawn = random.multinomial(total, weights / total, block)
        else:  # the same, faster where most units occur once
            chosen = unit_of_row[random.integers(0, total, (block, total))] + num * np.arange(block)[:, None]
            drawn = np.bincount(chosen.ravel(), minlength=block * num).reshape(block, num)
        yield (columns @ drawn.T.astype(np.float64)).T


# --- means of rows ----------------------------------------------------------------------------------------------------


def error_intervals(
    names: Sequence[str], predictions: Array, y: Array, target_std: PerTarget, sampling: Sampling
) -> dict[str, Interval]:
    """The named ones of loss, MAE, RMSE, R2 and MAPE of values (n,) or (n, targets): means over targets."""
    y = np.asarray(y, np.float64).reshape(len(y), -1)
    errors = predictions.astype(np.float64).reshape(y.shape) - y
    squares, centred = np.square(errors), y - y.mean(axis=0)
    intervals: dict[str, Interval] = {}
    if "mae" in names:
        intervals["mae"] = mean_interval(np.abs(errors).mean(axis=1), sampling)
    if "mape" in names:
        shares = np.abs(errors) / np.maximum(np.abs(y), SMALLEST_TARGET)
        intervals["mape"] = mean_interval(shares.mean(axis=1), sampling)
    if "r2" in names:
        intervals["r2"] = _interval_of(np.column_stack([squares, centred, centred**2]), _r2, sampling)
    if "rmse" in names:
        intervals["rmse"] = _interval_of(squares, lambda sums, rows: np.sqrt(sums / rows).mean(axis=0), sampling)
    if "loss" in names:
        intervals["loss"] = mean_interval((squares / np.square(target_std)).mean(axis=1), sampling)
    return intervals


def mean_interval(values: NDArray[np.float64], sampling: Sampling) -> Interval:
    """The mean of rows: BCa, or percentile for many rows."""
    return _interval_of(values[:, None], lambda sums, rows: sums[0] / rows, sampling)


def sums_of_groups(columns: Array, groups: NDArray[np.int64]) -> Array:
    """(groups, columns) sums over the rows of each group."""
    _, group = np.unique(groups, return_inverse=True)
    return np.stack([np.bincount(group, column) for column in columns.T], axis=1)


def _r2(sums: Array, rows: Any) -> Any:
    """The mean of 1 - RSS/TSS over targets, by sums of squared errors, of targets and of squared targets of each."""
    residual, first, second = np.split(sums, 3)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (1.0 - residual / (second - np.square(first) / rows)).mean(axis=0)


def _interval_of(columns: Array, statistic: Callable[[Array, Any], Any], sampling: Sampling) -> Interval:
    """Value and interval of statistic(sums of columns, rows) when units are drawn anew.

    Bias-corrected and accelerated (Efron 1987) by `scipy.stats.bootstrap` for up to 20,000 units, as its jackknife is
    quadratic; percentile above.
    """
    from scipy.stats import bootstrap

    groups = sampling.groups
    rows = np.ones((len(columns), 1))
    units = np.hstack([columns, rows]) if groups is None else sums_of_groups(np.hstack([columns, rows]), groups)
    value = float(statistic(units[:, :-1].sum(axis=0), units[:, -1].sum()))
    if len(units) < 2:
        method = "none (one row)" if groups is None else "none (one group)"
        return {"value": value, "low": math.nan, "high": math.nan, "method": method}
    if bool((np.ptp(units, axis=0) <= EQUAL_RTOL * np.abs(units).max(axis=0)).all()):
        return {"value": value, "low": value, "high": value, "method": "bootstrap (all rows are equal)"}

    # Rows count 1 each: only their columns are gathered.
    data = tuple(units.T) if groups is not None else tuple(units[:, :-1].T)

    def of_draws(*drawn: Array, axis: int) -> Any:
        sums = np.stack([part.sum(axis=axis) for part in drawn])
        return statistic(sums, drawn[0].shape[axis]) if groups is None else statistic(sums[:-1], sums[-1])

    method = "BCa" if len(units) <= BCA_ROWS else "percentile"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        resampled = bootstrap(
            data,
            of_draws,
            paired=len(data) > 1,
            vectorized=True,
            n_resamples=num_draws(len(units)),
            batch=max(1, BLOCK // len(units)),
            confidence_level=sampling.confidence,
            method=method,
            rng=np.random.default_rng(sampling.seed),
        )
    low, high = map(float, resampled.confidence_interval)
    method = f"{method} bootstrap" if groups is None else f"{method} bootstrap of groups"
    method += draws_note(len(units))
    if not (math.isfinite(low) and math.isfinite(high)):
        drawn = resampled.bootstrap_distribution[np.isfinite(resampled.bootstrap_distribution)]
        low, high = _percentiles(drawn, sampling) if len(drawn) else (value, value)
        method = method.replace("BCa bootstrap", "percentile bootstrap (BCa is not defined)")
    return {"value": value, "low": float(low), "high": float(high), "method": method}


# --- metrics that are computed again ----------------------------------------------------------------------------------


def drawn_rows(num_rows: int, sampling: Sampling) -> Iterator[NDArray[np.int64]]:
    """The rows of one sample after the other, drawn anew with replacement: single ones, or whole groups."""
    random, groups = np.random.default_rng(sampling.seed), sampling.groups
    units = None if groups is None else [np.flatnonzero(groups == group) for group in np.unique(groups)]
    num_units = num_rows if units is None else len(units)
    while True:
        chosen = random.integers(0, num_units, num_units)
        yield chosen if units is None else np.concatenate([units[unit] for unit in chosen])


def num_measured(num_rows: int) -> int:
    """999 draws; fewer where a metric is computed on many rows."""
    return int(min(MEASURED, max(FEWEST_MEASURED, MAX_MEASURED_ROWS // num_rows)))


def measured_intervals(
    values: Mapping[str, float], predictions: Array, y: Array, measure: Measure, sampling: Sampling
) -> dict[str, Interval]:
    """Percentile intervals of any metrics: each draw of rows, or of groups, is measured anew."""
    drawn: dict[str, list[float]] = {name: [] for name in values}
    for rows in islice(drawn_rows(len(y), sampling), num_measured(len(y))):
        measured = measure(predictions[rows], y[rows], names=[*values])
        for name in values:
            drawn[name].append(measured[name])
    return {name: interval_of_draws(value, drawn[name], sampling) for name, value in values.items()}


def interval_of_draws(value: float, drawn: Sequence[float] | Array, sampling: Sampling) -> Interval:
    """The percentile interval of a value by those of draws; what is not a number among them does not count."""
    finite = np.asarray(drawn)[np.isfinite(drawn)]
    if not len(finite):
        return {"value": value, "low": math.nan, "high": math.nan, "method": "none (not defined on draws of the rows)"}
    low, high = _percentiles(finite, sampling)
    method = f"percentile bootstrap{'' if sampling.groups is None else ' of groups'}, {len(drawn)} draws"
    method += "" if low < high else " (they do not vary)"
    return {"value": value, "low": float(low), "high": float(high), "method": method}
