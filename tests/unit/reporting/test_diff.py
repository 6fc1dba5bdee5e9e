from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from holdfast.cli.diff import diff
from holdfast.reporting.diff import conclusion, differences

RECORD: dict[str, Any] = {
    **{"schema": 1, "id": "a", "status": "completed", "stop_reason": "all 3 epochs are done", "seed": 0},
    **{"kind": "fit", "monitor": "val/loss", "mode": "min", "cwd": "/", "host": "here", "pid": 1},
    **{"created": "2026-01-01T00:00:00.000+00:00", "heartbeat": "2026-01-01T00:00:00.000+00:00"},
    **{"overrides": [], "history": [], "resumes": [], "timings": {}, "error": None, "ensemble": None},
    "choices": {"optimizer": "adam", "model": "mlp", "check": "quick", "recipes": None},
    "config": {
        "lr": 1e-3,
        "seed": 0,
        "optimizer": {"_target_": "torch.optim.Adam", "lr": 1e-3, "eps": 1e-8},
        "model": {"_target_": "holdfast.models.mlp", "dropout": 0.0, "hidden": [128, 64]},
    },
    "data": {"vault": "v", "val_sha256": "0" * 64, "train_rows": 100, "columns": [], "view": {}},
    "versions": {"holdfast": "0.1.0", "torch": "2.13.0"},
    "git": {"commit": "c", "dirty_sha256": None},
    **{"device": "cpu", "precision": "32-true", "threads": 1, "parameters": 10},
    "best": {
        **{"monitor": "val/loss", "mode": "min", "value": 0.25, "epoch": 3, "checkpoint": "best.ckpt"},
        "metrics": {"val/loss": 0.25},
    },
}


def changed(**keys: Any) -> dict[str, Any]:
    """The record with other values; `a__b` is the key b within a."""
    record = copy.deepcopy(RECORD)
    for key, value in keys.items():
        *path, name = key.split("__")
        node = record
        for step in path:
            node = node[step]
        node[name] = value
    return record


def told(second: dict[str, Any]) -> tuple[list[tuple[str, str]], str]:
    rows = differences(RECORD, second)
    return [(row.kind, row.name) for row in rows], conclusion(rows)


def test_equal_records_differ_in_nothing() -> None:
    assert told(changed()) == ([], "Nothing differs.")


def test_another_option_is_one_difference_whatever_its_keys() -> None:
    rows, sentence = told(changed(choices__optimizer="sgd", config__optimizer={"_target_": "torch.optim.SGD", "lr": 1}))
    assert rows == [("config", "optimizer")]
    assert sentence.startswith("Only optimizer differs; another seed alone would change the result too")


def test_a_key_that_follows_another_is_left_out() -> None:
    assert told(changed(config__lr=1e-2, config__optimizer__lr=1e-2))[0] == [("config", "lr")]
    assert told(changed(config__optimizer__lr=1e-2))[0] == [("config", "optimizer.lr")]


@pytest.mark.parametrize(
    ("keys", "rows", "words"),
    [
        (
            {"seed": 1, "best__metrics": {"val/loss": 0.5}, "best__value": 0.5},
            [("seed", "seed"), ("result", "val/loss")],
            "Only the seed",
        ),
        ({"git__dirty_sha256": "d"}, [("code", "uncommitted changes")], "Only code differs"),
        ({"data__train_rows": 50}, [("data", "train rows")], "Only data differs"),
        ({"data__val_sha256": "1" * 64}, [("data", "val rows")], "The val rows differ: the two scores cannot be"),
        ({"versions__torch": "2.11", "threads": 2}, [("environment", "torch"), ("environment", "threads")], "Only env"),
        (
            {"seed": 1, "config__model__dropout": 0.5},
            [("config", "model.dropout"), ("seed", "seed")],
            "2 things differ",
        ),
        ({"best__metrics": {"val/loss": 0.5}, "best__value": 0.5}, [("result", "val/loss")], "Only the result differs"),
        ({"choices__check": "all"}, [], "Nothing differs."),
    ],
)
def test_each_kind_is_told(keys: dict[str, Any], rows: list[tuple[str, str]], words: str) -> None:
    result = told(changed(**keys))
    assert result[0] == rows
    assert result[1].startswith(words)


def test_folders_are_compared_for_a_person_and_for_a_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = tmp_path / "one", tmp_path / "two"
    for folder, record in zip(folders, (RECORD, changed(config__lr=0.5, config__optimizer__lr=0.5)), strict=True):
        folder.mkdir()
        (folder / "run.json").write_text(json.dumps(record))
    row = {"kind": "config", "name": "lr", "first": 0.001, "second": 0.5}
    diff(*folders, as_json=True)
    assert json.loads(capsys.readouterr().out)["differences"] == [row]
    diff(*folders)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[:2] == [["one", "two"], ["config", "lr", "0.001", "0.5"]]


def test_a_run_that_failed_and_data_that_have_nothing_in_common_are_told_in_a_few_lines() -> None:
    failed = changed(config__lr=9, config__optimizer__lr=9, status="failed", best=None)
    failed["stop_reason"] = "train/loss: is nan; next: a smaller lr"
    assert told(failed) == (
        [("config", "lr"), ("result", "status"), ("result", "stop reason"), ("result", "epoch")],
        "Only lr differs.",
    )
    other = changed(choices__data="csv", data__name="houses", data__val_sha256="1" * 64)
    other["data"]["columns"] = [{"name": "a", "type": "number"}]
    rows, sentence = told(other)
    assert rows == [("config", "data"), ("data", "data set"), ("data", "val rows")]
    assert sentence == "The val rows differ: the two scores cannot be compared."


def test_an_ensemble_has_no_device_of_its_own_and_the_place_of_the_same_rows_does_not_matter() -> None:
    assert told(changed(device=None, threads=None)) == ([], "Nothing differs.")
    first, second = (changed(data__content_sha256="5" * 64, config__data={"path": path}) for path in "ab")
    assert differences(first, second) == []
    assert [row.name for row in differences(changed(config__data={"path": "a"}), second)] == [
        "data.path",
        "content of rows",
    ]
