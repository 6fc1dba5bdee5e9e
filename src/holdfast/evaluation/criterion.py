"""A success criterion, frozen before the vault is opened: `accuracy > 0.94`."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.core.errors import InputError, did_you_mean
from holdfast.core.metrics import METRICS, metrics_of

OPERATORS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
FORM = re.compile(r"\s*(?:test/)?(\w+)\s*(>=|<=|>|<)\s*(\S+)\s*")


@dataclass(frozen=True)
class Criterion:
    """A bound on the value of one metric; `str` gives the one form that is frozen."""

    metric: str
    sign: str
    bound: float

    def __str__(self) -> str:
        return f"{self.metric} {self.sign} {self.bound!r}"


def parse_criterion(text: str, task: str | None = None) -> Criterion:
    """Read a criterion such as "accuracy > 0.94", with a metric of the task; None: of any task.

    Raises:
        InputError: It has another form, or the task has no such metric.
    """
    known = metrics_of(task) if task else tuple(METRICS)
    match = FORM.fullmatch(text)
    if match is None or not _is_number(match[3]):
        allowed = "METRIC > NUMBER, with one of > >= < <="
        raise InputError("criterion", f"is {text!r}", allowed=allowed, next='as in "accuracy > 0.94"')
    if match[1] not in known:
        hint = did_you_mean(match[1], known)
        raise InputError("criterion", f"names {match[1]!r}, which is no metric here", ", ".join(known), hint)
    return Criterion(match[1], match[2], float(match[3]))


def passes(criterion: str, metrics: Mapping[str, Mapping[str, Any]]) -> bool:
    """Tell whether the value of the metric keeps the bound; a value that is not defined does not."""
    chosen = parse_criterion(criterion)
    value = metrics[chosen.metric]["value"]
    return value is not None and bool(OPERATORS[chosen.sign](value, chosen.bound))


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
