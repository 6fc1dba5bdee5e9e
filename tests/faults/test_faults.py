"""A fast part of the programs: every fault is found and named, nothing healthy is accused. All: `measure.py`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fault_programs import Case, cases
from measure import named, overrides_of, verdicts_of, verdicts_of_kind, verdicts_of_stranger
from other_kinds import KINDS, write_data
from stranger_programs import PROGRAMS, write_project

from holdfast.checks import overfit_tiny
from holdfast.checks.subject import Subject
from holdfast.experiment.experiment import Experiment

FAST = ("digits_mlp", "cancer_batch_norm", "diabetes_residual")
SLOW = [case for case in cases() if case.program not in FAST]


@pytest.fixture(autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path_factory.getbasetemp() / "home-of-faults"))


def judge(verdicts: Sequence[Any], expected: Sequence[str]) -> None:
    if expected:
        assert named(verdicts)[0] in expected
    else:
        assert {verdict.verdict for verdict in verdicts} <= {"pass", "skipped"}


def test_there_are_enough() -> None:
    assert len({case.program for case in cases()}) >= 12
    assert len([case for case in cases() if case.expected]) >= 60
    assert len([case for case in cases() if not case.expected]) >= 30


@pytest.mark.parametrize("case", [case for case in cases() if case.program in FAST], ids=lambda case: case.name)
def test_fast(case: Case) -> None:
    judge(verdicts_of(case), case.expected)


@pytest.mark.slow
@pytest.mark.parametrize("case", SLOW, ids=lambda case: case.name)
def test_all(case: Case) -> None:
    judge(verdicts_of(case), case.expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_other_kinds(name: str, tmp_path: Path) -> None:
    write_data(tmp_path)
    judge(verdicts_of_kind(name), KINDS[name].expected)


# a model and a loss with a mistake, settings with one, and an unusual model that is right
FAST_STRANGERS = ("Shuffler", "bias_only", "ascent", "Binarised")


@pytest.mark.parametrize("name", FAST_STRANGERS)
def test_options_of_a_project(name: str, tmp_path: Path) -> None:
    write_project(tmp_path)
    verdicts = verdicts_of_stranger(name)
    judge(verdicts, PROGRAMS[name].expected)
    assert not any("not_looked_at" in verdict.evidence for verdict in verdicts)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in PROGRAMS if name not in FAST_STRANGERS])
def test_all_options_of_a_project(name: str, tmp_path: Path) -> None:
    write_project(tmp_path)
    judge(verdicts_of_stranger(name), PROGRAMS[name].expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Spectral", "SlowBody", "CosineHead"])
def test_unusual_models_learn_a_few_rows_by_heart(name: str, tmp_path: Path) -> None:
    write_project(tmp_path)
    (verdict,) = overfit_tiny(Subject(Experiment.compose([*overrides_of(name), "logger=none", "trainer=cpu"])))
    assert verdict.verdict == "pass"
    assert verdict.evidence["tried"][-1]["rows"] == 100
