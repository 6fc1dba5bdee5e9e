"""Programs of our own and their variants (`fault_programs.py`)."""

from __future__ import annotations

import pytest
from fault_programs import cases
from judging import judge, programs
from measure import verdicts_of

CASES = {case.name: case for case in cases()}
FAST = ("digits_mlp", "cancer_batch_norm", "diabetes_residual")


def test_there_are_enough() -> None:
    assert len({case.program for case in CASES.values()}) >= 12
    assert len([case for case in CASES.values() if case.expected]) >= 60
    assert len([case for case in CASES.values() if not case.expected]) >= 30


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.program in FAST])
def test_fast(name: str) -> None:
    judge(verdicts_of(CASES[name]), CASES[name].expected)


@pytest.mark.parametrize("name", programs(name for name, case in CASES.items() if case.program not in FAST))
def test_all(name: str) -> None:
    judge(verdicts_of(CASES[name]), CASES[name].expected)
