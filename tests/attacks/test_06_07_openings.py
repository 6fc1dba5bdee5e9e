"""Attacks 6 and 7: an opening of a subset, in a sweep, or again and again until the number is good."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import STEPS, Frozen, Run, answer, ledger_types, write_callback

pytestmark = pytest.mark.slow


def test_a_loop_of_openings_gives_one_result(frozen: Frozen, holdfast: Run, tmp_path: Path) -> None:
    selections = frozen(3)
    done = [holdfast("open", selection, "--json") for selection in selections]
    assert [process.returncode for process in done] == [0, 3, 3]
    for process in done[1:]:
        assert json.loads(process.stdout)["error"]["what"].startswith(f"was opened with selection {selections[0][:8]}")
    assert [holdfast("open", selection).returncode for selection in selections[:2]] == [0, 3]
    assert ledger_types(tmp_path / "home")[4:] == [*STEPS, "refused", "refused"]
    assert answer(holdfast("vault", "verify", "--json")) == {"ok": True, "findings": []}


@pytest.mark.parametrize("option", ["--limit-test-batches=1", "--subset=0.1", "--devices=2", "--fast-dev-run"])
def test_no_part_of_the_test_rows_is_opened(holdfast: Run, option: str) -> None:
    done = holdfast("open", "12345678", option)
    assert done.returncode == 2
    assert "no such option" in done.stderr


SWEEPER = """
from pytorch_lightning import Callback


class Opener(Callback):
    def on_train_end(self, trainer, pl_module):
        from holdfast.evaluation.opening.final import open_vault

        open_vault("SELECTION")
"""


def test_a_run_that_trains_opens_nothing(frozen: Frozen, train: Run, project: Path, tmp_path: Path) -> None:
    (selection,) = frozen(1)
    write_callback(project, SWEEPER.replace("SELECTION", selection), "Opener")
    done = train("seed=1", "callbacks=spy", "trusted_modules=[spy]")
    assert done.returncode == 3
    assert "a process that trains opens no vault" in done.stderr
    assert "open.intent" not in ledger_types(tmp_path / "home")


def test_a_job_of_a_sweep_opens_nothing(frozen: Frozen, train: Run, project: Path, tmp_path: Path) -> None:
    (selection,) = frozen(1)
    write_callback(project, SWEEPER.replace("SELECTION", selection), "Opener")
    done = train("-m", "seed=1,2", "callbacks=spy", "trusted_modules=[spy]", "hydra.sweep.dir=sweep")
    assert done.returncode != 0
    assert "a job of a sweep opens no vault" in done.stdout + done.stderr
    assert "open.intent" not in ledger_types(tmp_path / "home")
