from __future__ import annotations

import re
from pathlib import Path

import pytest

from holdfast.experiment.compose import OptionsLoader
from holdfast.search.compose import check_sweep, compose_sweep
from holdfast.search.dry_run import estimate_run, print_plan

from .conftest import BAYES, GRID, RANDOM, RATE, plan

SMALL = ["max_epochs=4", "model.hidden=[4]", "sweep.dry_run=true"]


def printed(loader: OptionsLoader, words: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    config = compose_sweep([*words, *SMALL], loader)
    configs = check_sweep(config, loader)
    capsys.readouterr()
    print_plan(config, loader, configs[0])
    return capsys.readouterr().out.splitlines()


def test_a_grid_lists_its_points_with_an_estimate(loader: OptionsLoader, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(loader, [GRID, "lr=0.1,0.2", "sweep.seeds=3", "hydra.launcher.workers=2"], capsys)
    shared = "max_epochs=4 model.hidden=[4]"
    assert lines[:3] == [f"trial 0: {shared} lr=0.1", f"trial 1: {shared} lr=0.2", "2 trials of 3 runs, 2 at a time"]
    numbers = re.fullmatch(
        r"about (.+) s at most: 6 runs of 4 epochs, (\S+) s an epoch and (\S+) s around, as .+ took", lines[3]
    )
    assert numbers is not None
    total, epoch, around = map(float, numbers.groups())
    assert total == pytest.approx(3 * (4 * epoch + around), abs=0.5), "three runs after each other, two at a time"
    assert not list(Path().rglob("run.json"))


def test_the_points_of_a_search(loader: OptionsLoader, capsys: pytest.CaptureFixture[str]) -> None:
    random = printed(loader, [RANDOM, RATE, "sweep.trials=3"], capsys)
    assert len({line.rpartition("lr=")[2] for line in random[:3]}) == 3
    bayes = printed(loader, [BAYES, RATE, "sweep.trials=3"], capsys)
    chosen = "chosen by TPESampler as the sweep goes, in lr=tag(log,interval(1e-05,0.1))"
    assert bayes[:2] == [f"trials 0 to 2: {chosen}", "3 trials, 1 at a time"]


def test_what_trains_nothing_has_no_estimate(loader: OptionsLoader) -> None:
    config = compose_sweep([GRID, "lr=0.1,0.2", "stage=check"], loader)
    assert plan(loader, GRID, "lr=0.1,0.2", "stage=check").trials == 2
    assert estimate_run(check_sweep(config, loader)[0]) is None
