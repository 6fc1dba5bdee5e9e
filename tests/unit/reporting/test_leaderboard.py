from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from holdfast.reporting.leaderboard import leaderboard, print_table, repeats_below
from holdfast.reporting.learning_curve import curve, leave_learning_curve

WHOLE: dict[str, Any] = {
    **{"schema": 1, "id": "run", "kind": "fit", "status": "completed", "monitor": "val/loss", "mode": "min"},
    **{"created": "2026-01-01T00:00:00.000+00:00", "finished": "2026-01-01T00:00:02.000+00:00"},
    **{"heartbeat": "2026-01-01T00:00:00.000+00:00", "host": "somewhere", "pid": 1, "cwd": "/", "seed": 0},
    **{"config": {}, "choices": {}, "timings": {}, "overrides": [], "history": [], "resumes": [], "best": None},
    **{"data": None, "ensemble": None, "error": None},
}


def make_sweep(
    folder: Path, jobs: list[tuple[list[str], float]], rows: dict[str, int] | None = None, name: str = ""
) -> Path:
    """A sweep whose jobs have overrides and a val loss."""
    for number, (overrides, loss) in enumerate(jobs):
        job = folder / str(number)
        job.mkdir(parents=True)
        best = {"monitor": "val/loss", "mode": "min", "value": loss, "epoch": 2, "checkpoint": "best.ckpt"}
        metrics = {"val/loss": loss, "val/accuracy": 1 - loss}
        history = [{"epoch": epoch, "train/loss": loss / epoch} for epoch in (1, 2)]
        subset = next((float(word.partition("=")[2]) for word in overrides if word.startswith("data.subset=")), None)
        data = {"name": name, "subset": subset, "train_rows": (rows or {}).get(str(subset), 100)}
        fields = {"overrides": overrides, "best": {**best, "metrics": metrics}, "history": history, "data": data}
        (job / "run.json").write_text(json.dumps({**WHOLE, "id": f"run{number}", **fields}))
    (folder / "multirun.yaml").write_text("{}")
    return folder


def test_folds_have_a_mean_and_a_spread(tmp_path: Path) -> None:
    folds = [(["split=kfold", f"split.fold={fold}"], loss) for fold, loss in enumerate([0.25, 0.5, 0.75])]
    sweep = make_sweep(tmp_path / "sweep", folds)
    (group,) = repeats_below(sweep)
    assert (group.folder, group.over, group.overrides, group.n) == (".", ["split.fold"], [], 3)
    assert group.mean == {"val/loss": 0.5, "val/accuracy": 0.5}
    assert group.std == {"val/loss": 0.25, "val/accuracy": 0.25}
    text = io.StringIO()
    print_table(leaderboard(sweep), Console(width=200, file=text), [group])
    assert "mean ± std of 3  over split.fold  0.5000 ± 0.2500  0.5000 ± 0.2500" in text.getvalue()
    assert repeats_below(tmp_path)[0].folder == "sweep"


def test_each_combination_has_its_own_and_the_best_comes_first(tmp_path: Path) -> None:
    jobs = [
        ([f"lr={lr}", f"seed={seed}"], loss + seed / 8) for lr, loss in ((0.1, 0.5), (0.2, 0.25)) for seed in (0, 1)
    ]
    groups = repeats_below(make_sweep(tmp_path, jobs))
    assert [(group.overrides, group.over, group.n, group.mean["val/loss"]) for group in groups] == [
        (["lr=0.2"], ["seed"], 2, 0.3125),
        (["lr=0.1"], ["seed"], 2, 0.5625),
    ]


def test_each_data_set_has_a_table_of_its_own(tmp_path: Path) -> None:
    make_sweep(tmp_path / "a", [(["lr=0.1"], 0.5)], name="digits")
    make_sweep(tmp_path / "b", [(["data=csv"], 0.25), (["data=csv", "seed=1"], 12345.678)], name="csv")
    make_sweep(tmp_path / "c", [(["lr=7"], 0.1)])  # a run that came to no data
    rows = leaderboard(tmp_path)
    assert [(row.folder, row.data) for row in rows] == [
        *[("b/0", "csv"), ("b/1", "csv"), ("a/0", "digits"), ("c/0", "")]
    ]
    text = io.StringIO()
    print_table(rows, Console(width=120, file=text), repeats_below(tmp_path))
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    assert [lines[0], lines[6]] == ["csv", "digits"]
    assert "12,345.7" in lines[3]
    assert "mean ± std of 2" in lines[4]


def test_folders_stay_in_one_piece_on_a_narrow_terminal(tmp_path: Path) -> None:
    folder = "runs/2026-11-21/142616-e0326a"
    make_sweep(tmp_path / folder, [([f"data.path={'x' * 60}"], 0.5), (["lr=0.2"], 0.25)])
    text = io.StringIO()
    print_table(leaderboard(tmp_path), Console(width=80, file=text))
    lines = text.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if line.startswith(f"{folder}/1  completed  0.2500 ")]


def test_runs_that_are_no_repeats(tmp_path: Path) -> None:
    assert repeats_below(make_sweep(tmp_path / "other", [(["lr=0.1"], 0.5), (["lr=0.2"], 0.25)])) == []
    same = make_sweep(tmp_path / "same", [(["seed=0"], 0.5), (["seed=1"], 0.25)])
    (same / "multirun.yaml").unlink()
    assert repeats_below(same) == [], "no sweep"


def test_learning_curve_of_a_sweep(tmp_path: Path) -> None:
    rows = {"0.1": 10, "0.5": 50, "1.0": 100}
    jobs = [
        ([f"data.subset={subset}", f"seed={seed}", f"model={model}"], loss + seed / 4)
        for subset, loss in ((1.0, 0.25), (0.1, 0.75), (0.5, 0.5))
        for seed in (0, 1)
        for model in ("linear", "mlp")
    ]
    table, page = leave_learning_curve(make_sweep(tmp_path, jobs, rows))
    lines = list(csv.DictReader(table.read_text().splitlines()))
    assert [(line["series"], line["train_rows"], line["n"]) for line in lines] == [
        (f"model={model}", str(number), "2") for model in ("linear", "mlp") for number in (10, 50, 100)
    ]
    assert [float(line["val_mean"]) for line in lines[:3]] == [0.875, 0.625, 0.375]
    assert float(lines[0]["val_std"]) == pytest.approx(0.125 * 2**0.5)
    assert float(lines[0]["train_mean"]) == 0.4375
    text = page.read_text()
    assert text.count("<polyline") == 4, "train and val of both series"
    assert all(words in text for words in ("loss model=mlp</h3>", ">100</text>", "<td", "0.875 ± 0.1768"))


def test_a_sweep_over_something_else_has_no_curve(tmp_path: Path) -> None:
    assert leave_learning_curve(make_sweep(tmp_path, [(["lr=0.1"], 0.5), (["lr=0.2"], 0.25)])) == []
    assert leave_learning_curve(tmp_path / "nowhere") == []
    assert not list(tmp_path.glob("learning_curve*"))
    assert curve([]) == []
