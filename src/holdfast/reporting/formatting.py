"""Values as pages write them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from holdfast.core.figures import digits
from holdfast.core.metrics import is_share as is_metric_share


def metric_value(metric: str, value: float | None, *, signed: bool = False) -> str:
    """A metric as it is written: shares in per cent."""
    if value is None:
        return "–" if signed else "undefined"
    if is_metric_share(metric):
        return f"{100 * value:{'+' if signed else ''}.2f} %"
    return digits(value, sign="+" if signed else "")


def number(value: float | None, is_share: bool = False) -> str:
    """A number in a table or a chart: shares in per cent, others to four digits."""
    if value is None:
        return "undefined"
    return f"{100 * value:.2f}" if is_share else digits(value)


def plain(value: Any) -> str:
    """A value of the manifest in words."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(f"{spoken(str(key))} {plain(item)}" for key, item in value.items())
    return value if isinstance(value, str) else json.dumps(value)


def spoken(name: str) -> str:
    """A key in words."""
    return name.replace("_", " ")


def moment(text: str) -> str:
    """A time, to the minute."""
    return f"{text[:10]} {text[11:16]} UTC"
