"""The table of a sweep: order, mean and spread, what stands out, what to type; and its best point as a recipe."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from rich.console import Console

from holdfast.cli.runs import runs
from holdfast.config.check import check_config
from holdfast.core.errors import InputError
from holdfast.experiment.compose import OptionsLoader, compose_run, options_loader, without_hydra
from holdfast.search.best_recipe import recipe_of, save_best
from holdfast.search.leaderboard import border_warnings, duration, leaderboard_of, print_leaderboard
from holdfast.search.study import Study

from .conftest import GRID, RANDOM, plan

LOSSES = [0.5, 0.25, None, 0.125, None]  # of five trials; the third fails, the last is interrupted
CHOICES = {"model": "mlp", "optimizer": "momentum"}


def write_run(folder: Path, loss: float, num_epochs: int = 2) -> None:
    """A run of so many epochs of two seconds each, whose last epoch is its best."""
    best = {"monitor": "val/loss", "mode": "min", "value": loss, "epoch": num_epochs, "checkpoint": f"best-{loss}.ckpt"}
    history = [{"epoch": epoch + 1, "seconds": 2.0} for epoch in range(num_epochs)]
    fields = {"best": {**best, "metrics": {"val/loss": loss, "val/accuracy": 1 - loss}}, "history": history}
    whole = {"schema": 1, "id": "run", "kind": "fit", "status": "completed", "created": "2026-11-26T12:00:00+00:00"}
    whole |= {"config": {}, "choices": CHOICES}
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({**whole, "data": None, "ensemble": None, "threads": 1, **fields}))


def train(folder: Path, losses: Sequence[float | None], repeats: int = 1) -> None:
    """Tell a study of runs with these losses: None fails but for the last trial, which is not told of."""
    study = Study.open(folder)
    for number, loss in enumerate(losses):
        trial = study.ask()
        assert trial is not None
        if loss is not None:
            for repeat in range(repeats):
                write_run(trial.folder / str(repeat) if repeats > 1 else trial.folder, loss + repeat / 8)
            study.tell(trial, "completed", loss + (repeats - 1) / 16)
        elif number < len(losses) - 1:
            study.tell(trial, "failed", reason="out of memory\nmore lines")
        else:
            study.give_back(trial)


def printed(folder: Path, width: int = 120) -> list[str]:
    text = io.StringIO()
    print_leaderboard(leaderboard_of(folder), Console(width=width, file=text))
    return [line.rstrip() for line in text.getvalue().splitlines()]


def test_the_best_comes_first_and_what_failed_last(loader: OptionsLoader) -> None:
    plan(loader, GRID, "lr=0.1,0.2,0.3,0.4,0.5,0.6").create(Path("mine"))
    train(Path("mine"), LOSSES)
    lines = printed(Path("mine"))
    assert lines[0].split() == ["trial", "status", "val/loss", "accuracy", "epochs", "time", "values"]
    assert lines[1].split() == ["3", "completed", "0.1250", "0.8750", "2", "4.0", "s", "lr=0.4"]
    assert [line.split()[:2] for line in lines[2:6]] == [
        ["1", "completed"],
        ["0", "completed"],
        ["4", "interrupted"],
        ["2", "failed"],
    ]
    assert lines[6] == "5 of 6 trials: 3 completed, 1 interrupted, 1 failed; best first by val/loss (min)"
    assert lines[7:] == [
        "failed 2: out of memory",
        "best   mine/3/best-0.125.ckpt",
        "save   holdfast runs mine --save recipes/best.yaml",
        "go on  holdfast train -m resume=mine   (missing: 2; failed, to be tried again: 1)",
    ]


def test_a_sweep_that_has_ended_says_what_is_next(loader: OptionsLoader) -> None:
    plan(loader, GRID, "lr=0.1,0.2,0.3").create(Path("mine"))
    train(Path("mine"), [0.5, 0.25, 0.125])
    board = leaderboard_of(Path("mine"), most=2)
    assert [row.number for row in board.rows] == [2, 1]
    lines = printed(Path("mine"))
    assert "border the best lr=0.3 is the end of its range, 0.1,0.2,0.3: a wider range may hold a better one" in lines
    assert lines[-1] == "next   holdfast freeze mine/2"


def test_runs_of_a_trial_have_a_mean_and_a_spread(loader: OptionsLoader) -> None:
    plan(loader, GRID, "lr=0.1,0.2", "sweep.seeds=2").create(Path("mine"))
    train(Path("mine"), [0.5, 0.25], repeats=2)
    lines = printed(Path("mine"))
    assert lines[1].split()[:7] == ["1", "completed", "0.3125", "±", "0.0884", "0.6875", "4"]
    assert lines[3] == "2 of 2 trials of 2 runs: 2 completed; best first by the mean of val/loss (min)"
    assert lines[4:6] == ["best   mine/1/0/best-0.25.ckpt", "best   mine/1/1/best-0.375.ckpt"]


def test_a_common_cause_is_told_once(loader: OptionsLoader) -> None:
    plan(loader, GRID, "lr=0.1,0.2,0.3").create(Path("mine"))
    study = Study.open(Path("mine"))
    for lr in ("1e+20", "1e+21", "1e+22"):
        trial = study.ask()
        assert trial is not None
        study.tell(trial, "failed", reason=f"train/loss: is nan (lr {lr}); next: a smaller lr")
    assert [line for line in printed(Path("mine")) if line.startswith("failed")] == [
        "failed 0, 1, 2: train/loss: is nan (lr 1e+20)"
    ]


def test_a_score_is_better_where_it_is_greater(loader: OptionsLoader) -> None:
    plan(loader, GRID, "lr=0.1,0.2", "monitor=val/accuracy").create(Path("mine"))
    train(Path("mine"), [0.25, 0.5])
    assert [row.number for row in leaderboard_of(Path("mine")).rows] == [1, 0]


def test_a_narrow_terminal_keeps_its_width(loader: OptionsLoader) -> None:
    plan(loader, GRID, "lr=0.1,0.2", "optimizer.weight_decay=0.001,0.01").create(Path("mine"))
    train(Path("mine"), [0.5, 0.25, 0.125, 0.0625])
    table = printed(Path("mine"), width=60)[:-4]
    assert max(map(len, table[:5])) <= 60
    assert table[1].split()[:3] == ["3", "completed", "0.0625"]


def test_a_value_inside_its_range_is_not_named(loader: OptionsLoader) -> None:
    plan(loader, RANDOM, "lr=tag(log,interval(1e-30,1))", "sweep.trials=1").create(Path("mine"))
    train(Path("mine"), [0.5])
    assert list(border_warnings(leaderboard_of(Path("mine")))) == []


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.34, "0.3 s"), (62, "62 s"), (340, "5.7 min"), (5_000, "83 min"), (40_000, "11 h")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_best_point_is_a_recipe_that_composes_to_it(loader: OptionsLoader) -> None:
    Path("recipes").mkdir()
    Path("recipes/space.yaml").write_text(
        "defaults:\n  - override /hydra/sweeper: random\n  - override /schedule: cosine\n"
        "hydra: {mode: MULTIRUN, sweeper: {params: {lr: 'tag(log,interval(1e-3,1e-1))'}}}\nmax_epochs: 3\n"
    )
    words = ["optimizer=momentum,adam", "model.hidden=[8],[8,4]", "augment=[crop,mirror]", "+model.new=1"]
    record = plan(options_loader(), "recipes=space", *words, "sweep.trials=1")
    record.create(Path("mine"))
    train(Path("mine"), [0.5])
    board = leaderboard_of(Path("mine"))
    save_best(board, Path("recipes/found/best.yaml"), overwrite=False)
    text = Path("recipes/found/best.yaml").read_text()
    assert "# Claim:    the best of 1 trials of a sweep by val/loss.\n" in text
    assert "#   python train.py recipes=found/best\n# Expected: val/loss 0.5000.\n" in text
    assert board.best is not None
    saved = compose_run(["recipes=found/best"])
    point = compose_run([*record.overrides, *board.best.overrides])
    assert OmegaConf.to_container(without_hydra(saved)) == OmegaConf.to_container(without_hydra(point))
    assert (saved.max_epochs, saved.hydra.mode, list(saved.augment)) == (3, None, ["crop", "mirror"])
    assert saved.lr == float(dict(word.split("=") for word in board.best.overrides)["lr"])


def test_a_recipe_chooses_the_options_that_it_sets_values_of(loader: OptionsLoader) -> None:
    content = recipe_of(["lr=0.5", "optimizer.momentum=0.8", "trusted_modules=[x]"], CHOICES, loader)
    expected: dict[str, Any] = {"lr": 0.5, "optimizer": {"momentum": 0.8}}
    assert content == {"defaults": [{"override /optimizer": "momentum"}], **expected}
    with pytest.raises(InputError, match=r"^~optimizer.eps: deletes, which no recipe can say"):
        recipe_of(["~optimizer.eps"], CHOICES, loader)


@pytest.mark.parametrize(
    ("path", "losses", "message"),
    [
        ("best.txt", [0.5], "--save: best.txt is no recipe; allowed: a file that ends with .yaml"),
        ("there.yaml", [0.5], "--save: there.yaml exists; next: name another file, or add --overwrite"),
        ("best.yaml", [None, None], "mine: has no completed trial; next: -m resume=mine goes on with it"),
    ],
)
def test_a_best_point_that_cannot_be_saved(
    path: str, losses: list[float | None], message: str, loader: OptionsLoader
) -> None:
    Path("there.yaml").touch()
    plan(loader, GRID, "lr=0.1,0.2").create(Path("mine"))
    train(Path("mine"), losses)
    with pytest.raises(InputError) as caught:
        save_best(leaderboard_of(Path("mine")), Path(path), overwrite=False)
    assert str(caught.value).startswith(message)


def test_a_best_trial_whose_run_is_gone_is_told(loader: OptionsLoader) -> None:
    plan(loader, GRID, "lr=0.1,0.2,0.3").create(Path("mine"))
    train(Path("mine"), [0.5, 0.25, 0.375])
    shutil.rmtree("mine/1")
    lines = printed(Path("mine"))
    assert lines[1].split()[:3] == ["1", "completed", "0.2500"]
    assert lines[5:] == ["lost   the run of the best trial, mine/1, cannot be read"]
    with pytest.raises(InputError, match=r"^mine/1: is the run of the best trial, and cannot be read; next: restore"):
        save_best(leaderboard_of(Path("mine")), Path("best.yaml"), overwrite=False)


def test_the_verb_answers_a_script_and_saves(loader: OptionsLoader, capsys: pytest.CaptureFixture[str]) -> None:
    plan(loader, GRID, "lr=0.1,0.2,0.3").create(Path("mine"))
    train(Path("mine"), [0.5, 0.125, 0.25])
    nothing: dict[str, Any] = {"watch": False, "save": None, "overwrite": False}
    runs(Path("mine"), as_json=True, **nothing)
    answer = json.loads(capsys.readouterr().out)
    first = answer["trials"][0]
    assert (first["number"], first["value"], first["runs"]) == (1, 0.125, ["mine/1"])
    assert (answer["counts"], answer["missing"], answer["border"]) == ({"completed": 3}, 0, [])
    runs(Path("mine"), as_json=False, **{**nothing, "watch": True})  # it has ended, so there is nothing to wait for
    assert "3 of 3 trials: 3 completed" in capsys.readouterr().out
    runs(Path("mine"), as_json=False, **{**nothing, "save": Path("recipes/best.yaml")})
    assert capsys.readouterr().out == "wrote recipes/best.yaml: python train.py recipes=best\n"
    check_config(without_hydra(compose_run(["recipes=best"])))
    Path("mine/sweep.json").unlink()
    with pytest.raises(InputError, match=r"^--watch: mine is no sweep of Holdfast's"):
        runs(Path("mine"), as_json=False, **{**nothing, "watch": True})
