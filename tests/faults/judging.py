"""How the tests of planted faults judge, and which of them the slow tier runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from measure import named


def judge(verdicts: Sequence[Any], expected: Sequence[str]) -> None:
    """Every fault is found and named first; nothing healthy is accused or doubted."""
    if expected:
        assert named(verdicts)[0] in expected
    else:
        assert {verdict.verdict for verdict in verdicts} <= {"pass", "skipped"}


def programs(names: Iterable[str]) -> list[Any]:
    """All of them for `pytest -m faults`, every third one for `pytest -m slow`."""
    marks = ([pytest.mark.faults, pytest.mark.slow], [pytest.mark.faults], [pytest.mark.faults])
    return [pytest.param(name, marks=marks[number % 3]) for number, name in enumerate(names)]
