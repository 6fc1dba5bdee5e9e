"""Options of a project, by people who had not seen the checks (`stranger_programs.py`)."""

from __future__ import annotations

from pathlib import Path

import pytest
from judging import judge, programs
from measure import overrides_of, verdicts_of_stranger
from stranger_programs import PROGRAMS, write_project

from holdfast.checks import overfit_tiny
from holdfast.checks.subject import Subject
from holdfast.experiment.experiment import Experiment

# a model and a loss with a mistake, settings with one, and an unusual model that is right
FAST = ("Shuffler", "bias_only", "ascent", "Binarised")


@pytest.mark.parametrize("name", FAST)
def test_fast(name: str, tmp_path: Path) -> None:
    write_project(tmp_path)
    verdicts = verdicts_of_stranger(name)
    judge(verdicts, PROGRAMS[name].expected)
    assert not any("not_looked_at" in verdict.evidence for verdict in verdicts)


@pytest.mark.parametrize("name", programs(name for name in PROGRAMS if name not in FAST))
def test_all(name: str, tmp_path: Path) -> None:
    write_project(tmp_path)
    judge(verdicts_of_stranger(name), PROGRAMS[name].expected)


@pytest.mark.parametrize("name", programs(["Spectral", "SlowBody", "CosineHead"]))
def test_unusual_models_learn_a_few_rows_by_heart(name: str, tmp_path: Path) -> None:
    write_project(tmp_path)
    (verdict,) = overfit_tiny(Subject(Experiment.compose([*overrides_of(name), "logger=none", "trainer=cpu"])))
    assert verdict.verdict == "pass"
    assert verdict.evidence["tried"][-1]["rows"] == 100
