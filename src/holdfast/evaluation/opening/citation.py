"""The one line that a paper can quote: the number with its interval, and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast.core.figures import figure
from holdfast.core.metrics import is_share
from holdfast.evaluation.opening.result import Opened

FIRST = ("accuracy", "rmse")


def quotable(opened: Opened) -> str:
    """One line for the metrics, or for the one bit of a criterion where that is all that was told."""
    number = f"opening {opened.opening} of {opened.opening}"
    if not opened.is_clean:
        number = f"opening {opened.opening}; not a clean test"
    if len(opened.models) > 1:
        number += f", the best by val of {len(opened.models)}"
    number += "".join(f", {_former(former)}" for former in opened.former)
    place = f"vault {opened.vault[:8]}, selection {opened.selection[:8]}, head {opened.head[:8]}"
    where = f"n = {opened.n:,}, {number}, {place}"
    criterion, metrics = opened.criterion, opened.metrics
    if not metrics and criterion:
        bits = f"{opened.wear['bits_before']:.0f} bits told before"
        where = f"n = {opened.n:,}, answer {opened.opening} of its vault, {bits}, {place}"
        return f"test of {criterion['criterion']}: {'passed' if criterion['passed'] else 'failed'}, {where}"
    name = next((name for name in FIRST if name in metrics), next(iter(metrics)))
    return f"test {name} {_value(name, metrics[name], opened.confidence)}, {where}"


def _former(former: Mapping[str, Any]) -> str:
    openings = former["openings"]
    times = {None: "may have been opened", 0: "was never opened", 1: "was opened once"}
    return f"rows of former vault {former['vault'][:8]}, which {times.get(openings, f'was opened {openings} times')}"


def _value(name: str, entry: Mapping[str, Any], confidence: float) -> str:
    if entry["value"] is None:
        return "undefined"
    keys = ("value",) if entry["low"] is None else ("value", "low", "high")
    numbers = [f"{100 * entry[key]:.2f}" if is_share(name) else figure(entry[key]) for key in keys]
    value = f"{numbers[0]} %" if is_share(name) else numbers[0]
    if len(numbers) == 1:
        return value
    method = entry["method"][:1].upper() + entry["method"][1:]
    return f"{value} [{numbers[1]}, {numbers[2]}] {method} {100 * confidence:.4g} %"
