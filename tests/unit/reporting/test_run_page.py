from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.reporting.data_facts import dataset_facts
from holdfast.reporting.run_page import run_page, write_run_page

from .conftest import MakeRows
from .test_data_page import read

RECORD: dict[str, Any] = {
    **{"id": "run <1>", "kind": "fit", "status": "completed", "stop_reason": "all 3 epochs are done", "seed": 4},
    **{"created": "2026-01-02T03:04:05.000+00:00", "monitor": "val/accuracy", "overrides": ["lr=<3>", "model=cnn"]},
    "best": {
        "monitor": "val/accuracy",
        "value": 0.9123,
        "epoch": 2,
        "metrics": {"val/loss": 0.5, "val/accuracy": 0.9123},
    },
    "history": [
        {"epoch": e, "step": e, "lr": 0.1, "train/loss": 3 / e, "val/loss": 4 / e, "val/accuracy": 0.5}
        for e in (1, 2, 3)
    ],
    "data": {"name": "made", "task": "multiclass", "train_rows": 60, "val_rows": 20, "class_names": ["a", "b <c>"]},
    **{
        "choices": {"model": "cnn", "augment": "none"},
        "config": {"lr": "<3>"},
        "device": "cpu",
        "precision": "32-true",
    },
    **{
        "parameters": 13818,
        "timings": {"total": 3.75, "step_compute": 0.0019},
        "git": None,
        "versions": {"torch": "2"},
    },
    **{"checks": [], "diagnosis": ["the loss <rises>"], "ensemble": None},
}

BATCH = {
    **{"kind": "table", "rows": 2, "shape": [2], "least": -1.5, "mean": 0.1, "std": 0.9, "largest": 2.0},
    **{
        "not_finite": 3,
        "columns": [{"name": "a", "values": [-1.25, 2.0]}, {"name": "width (index)", "values": [1, 0]}],
    },
}


def test_a_run(make_rows: MakeRows) -> None:
    rows = make_rows(np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32), np.arange(40) % 2)
    val = {"rows": 20, "confusion": [[9, 1], [4, 6]]}
    text = read(run_page(RECORD, data=dataset_facts(rows), val=val, batch=BATCH))
    for words in ("91.23 %", "val/accuracy in epoch 2", "run <1>", "lr=<3>", "all 3 epochs are done", "b <c> (1)"):
        assert words in text
    for words in (
        "Leak checks",
        "A batch as the model gets it",
        "width (index)",
        "-1.25",
        "-1.5 to 2, 0.1 ± 0.9, and 3 that are not finite",
        "the loss <rises>",
        "13,818",
        "3.8 s",
        "1.9 ms",
        "learning rate",
    ):
        assert words in text
    assert "holdfast report RUN" not in text


def test_without_the_data(tmp_path: Path) -> None:
    path = write_run_page(tmp_path, RECORD)
    text = read(path.read_text())
    assert path == tmp_path / "report.html"
    assert "holdfast report RUN adds the data and the val rows" in text
    assert "Leak checks" not in text
    assert "made: multiclass, 60 train, 20 val" in text


def test_values_and_their_predictions() -> None:
    residuals = {"counts": [1, 1], "low": 0, "high": 0.5}
    val = {"rows": 2, "targets": [{"name": "", "points": [[1.0, 1.5], [2.0, 2.0]], "residuals": residuals}]}
    text = read(run_page(RECORD, val=val))
    assert "Prediction minus value" in text
    assert "2 val rows, predicted by the best checkpoint" in text


@pytest.mark.parametrize("status", ["failed", "interrupted"])
def test_a_run_without_a_score(status: str) -> None:
    changes = {
        "best": None,
        "history": [],
        "data": None,
        "timings": {},
        "status": status,
        "stop_reason": "out of memory",
    }
    text = read(run_page({**RECORD, **changes}))
    assert "out of memory" in text
    assert "Val metrics" not in text


BIN = {"rows": 10, "confidence": 0.83, "accuracy": 0.91}
CALIBRATION = {"ece": 0.0512, "brier": 0.1234, "bins": [BIN]}
ENSEMBLE: dict[str, Any] = {
    "members": [
        {"run": "a<b", "weight": 0.75, "metrics": {"val/accuracy": 0.9}},
        {"run": "c", "weight": 0.25, "metrics": {}},
    ],
    **{"left_out": [{"run": "members/7", "metrics": {}}], "combine": "logits", "temperature": 1.0},
    **{"out_of_fold": False, "mean": {"val/accuracy": 0.8765}, "std": {"val/accuracy": 0.0123}},
    "curve": [{"val/accuracy": 0.9}, {"val/accuracy": 0.91}],
    **{"disagreement": [[0.0, 0.125], [0.125, 0.0]], "error_correlation": [[1.0, 0.456], [0.456, None]]},
    "calibration": {"before": CALIBRATION, "after": CALIBRATION},
    "cost": {"parameters": 12345, "seconds_per_1000_rows": 0.02},
}


def ensemble_page(**changes: Any) -> str:
    best = {**RECORD["best"], "epoch": None}
    record = {**RECORD, "kind": "ensemble", "history": [], "best": best, "ensemble": {**ENSEMBLE, **changes}}
    return read(run_page(record))


def test_an_ensemble() -> None:
    text = ensemble_page()
    for words in ("a<b", "0.750", "90.00 %", "left out", "87.65 %", "0.0123", "Logits are averaged", "12,345"):
        assert words in text
    for words in ("by the number of members", "Share of decisions that differ", "0.125", "0.456", "0.0512", "0.1234"):
        assert words in text
    for words in ("chose this epoch", "last epoch", "Out of fold", "temperature of"):
        assert words not in text


def test_an_ensemble_with_a_temperature() -> None:
    text = ensemble_page(temperature=1.7)
    assert "divided by a temperature of 1.7" in text
    assert "Reliability after it" in text


def test_an_ensemble_out_of_fold_and_one_of_values() -> None:
    text = ensemble_page(out_of_fold=True, curve=[], disagreement=None, error_correlation=None)
    assert "Out of fold: each row is judged by the one member" in text
    assert "How the members differ" not in text
    text = ensemble_page(calibration=None)
    assert "Values are averaged" in text
    assert "Distance of their values" in text
    assert "Calibration" not in text
