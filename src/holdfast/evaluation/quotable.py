"""The one line that a paper can quote: the number with its interval, and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.core.figures import figure
from holdfast.training.names import SHARES

FIRST = ("accuracy", "rmse")


def quotable(
    metrics: Mapping[str, Mapping[str, Any]],
    *,
    n: int,
    opening: int,
    vault: str,
    selection: str,
    head: str,
    confidence: float = 0.95,
    is_clean: bool = True,
    criterion: Mapping[str, Any] | None = None,
    former: Sequence[Mapping[str, Any]] = (),
) -> str:
    """One line for metrics, or for the one bit of a criterion.

    Args:
        metrics: {"value", "low", "high", "method"} by name; empty where a criterion is all that was told.
        n: Test rows.
        opening: Its number.
        vault: Its id.
        selection: Its id.
        head: Of the ledger with the result in it.
        confidence: Of the interval.
        is_clean: False: the vault had answered before.
        criterion: {"criterion", "passed"}.
        former: {"vault", "openings"} of every vault that had these rows before.
    """
    is_first = is_clean and not any_opened(former)
    number = f"opening {opening} of {opening}" if is_first else f"opening {opening}; not a clean test"
    number += "".join(f", {_former(one)}" for one in former)
    where = f"n = {n:,}, {number}, vault {vault[:8]}, selection {selection[:8]}, head {head[:8]}"
    if not metrics and criterion:
        return f"test of {criterion['criterion']}: {'passed' if criterion['passed'] else 'failed'}, {where}"
    name = next((one for one in FIRST if one in metrics), next(iter(metrics)))
    return f"test {name} {_value(name, metrics[name], confidence)}, {where}"


def any_opened(former: Sequence[Mapping[str, Any]]) -> bool:
    """Whether these rows have answered before, or may have."""
    return any(one["openings"] != 0 for one in former)


def _former(one: Mapping[str, Any]) -> str:
    openings = one["openings"]
    times = {None: "may have been opened", 0: "was never opened", 1: "was opened once"}
    return f"rows of former vault {one['vault'][:8]}, which {times.get(openings, f'was opened {openings} times')}"


def _value(name: str, entry: Mapping[str, Any], confidence: float) -> str:
    if entry["value"] is None:
        return "undefined"
    keys = ("value",) if entry["low"] is None else ("value", "low", "high")
    told = [f"{100 * entry[key]:.2f}" if name in SHARES else figure(entry[key]) for key in keys]
    value = f"{told[0]} %" if name in SHARES else told[0]
    if len(told) == 1:
        return value
    method = entry["method"][:1].upper() + entry["method"][1:]
    return f"{value} [{told[1]}, {told[2]}] {method} {100 * confidence:.4g} %"
