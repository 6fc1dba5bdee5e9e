"""Kinds of mistakes that the checks were not written for at first (`other_kinds.py`)."""

from __future__ import annotations

from pathlib import Path

import pytest
from judging import judge, programs
from measure import verdicts_of_kind
from other_kinds import KINDS, write_data


@pytest.mark.parametrize("name", programs(KINDS))
def test_other_kinds(name: str, tmp_path: Path) -> None:
    write_data(tmp_path)
    judge(verdicts_of_kind(name), KINDS[name].expected)
