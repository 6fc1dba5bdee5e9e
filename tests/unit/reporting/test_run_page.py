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
    val = {"rows": 2, "points": [[1.0, 1.5], [2.0, 2.0]], "residuals": {"counts": [1, 1], "low": 0, "high": 0.5}}
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


def test_an_ensemble() -> None:
    members = [{"run": f"runs/{name}", "weight": 0.5, "metrics": {"val/accuracy": 0.9}} for name in ("a", "b")]
    best = {**RECORD["best"], "epoch": None}
    text = read(run_page({**RECORD, "kind": "ensemble", "history": [], "best": best, "ensemble": {"members": members}}))
    for words in ("runs/b", "0.500", "90.00 %"):
        assert words in text
    assert "chose this epoch" not in text


def test_an_ensemble_lists_its_members() -> None:
    members = [
        {"run": "a<b", "weight": 0.75, "metrics": {"val/accuracy": 0.9}},
        {"run": "c", "weight": 0.25, "metrics": {}},
    ]
    best = {**RECORD["best"], "epoch": None}
    record = {**RECORD, "kind": "ensemble", "history": [], "best": best, "ensemble": {"members": members}}
    text = read(run_page(record))
    for words in ("ensemble", "Members", "a<b", "0.750", "90.00 %"):
        assert words in text
    assert "last epoch" not in text
