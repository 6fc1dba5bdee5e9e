"""A record from anywhere is read, or is an error that names its file: never a traceback, never a wait."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.cli.diff import diff
from holdfast.core.errors import InputError
from holdfast.core.run_record import MAX_BYTES, RunRecord, boot_id, read_run
from holdfast.reporting.leaderboard import leaderboard

BEST = {
    **{"monitor": "val/loss", "mode": "min", "value": 0.5, "epoch": 1, "checkpoint": "checkpoints/best.ckpt"},
    "metrics": {"val/loss": 0.5},
}
ENSEMBLE = {"combine": "probabilities", "temperature": 1.0, "out_of_fold": False}
WHOLE: dict[str, Any] = {
    **{"schema": 1, "id": "run", "kind": "fit", "status": "completed", "seed": 0, "config": {"lr": 0.1}, "best": BEST},
    **{"created": "2026-01-01T00:00:00.000+00:00", "finished": "2026-01-01T00:00:02.000+00:00"},
    **{"history": [{"epoch": 1, "val/loss": 0.5}], "data": {"name": "made", "vault": "v"}, "overrides": ["lr=0.1"]},
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A folder with a whole record in `good`; returns `bad` beside it, where there is none yet."""
    for name in ("good", "bad"):
        (tmp_path / name).mkdir()
    (tmp_path / "good" / "run.json").write_text(json.dumps(WHOLE))
    return tmp_path / "bad"


def refused(run: Path, words: str) -> None:
    """The record is refused by its path wherever it is read alone; the table of runs shows the others all the same."""
    for read in (lambda: read_run(run), lambda: diff(run.with_name("good"), run)):
        with pytest.raises(InputError, match=words) as raised:
            read()
        assert str(run) in raised.value.problems[0].where
    rows = leaderboard(run.parent)
    assert {row.folder: row.status for row in rows} == {"good": "completed", "bad": "unreadable"}


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("created", "yesterday", "is no whole record"),
        ("created", "2026-01-01T00:00:00", "created has no time zone"),
        ("finished", "2026-13-41", "is no whole record"),
        ("heartbeat", "now", "is no whole record"),
        ("status", None, "status is None"),
        ("monitor", -1, "monitor is -1"),
        ("overrides", [{}], r"overrides\.0 is \{\}"),
        ("history", ["epoch"], r"history\.0 is 'epoch'"),
        ("history", [{"epoch": 1, "val/loss": "low"}], r"history\.0\.val/loss is 'low'"),
        ("best", {**BEST, "value": "low"}, r"best\.value is 'low'"),
        ("best", {**BEST, "metrics": {"val/loss": []}}, r"best\.metrics\.val/loss is \[\]"),
        ("best", {"monitor": "val/loss"}, r"best\.mode is missing"),
        ("data", {"name": ["made"]}, r"data\.name is \['made'\]"),
        ("data", {"vault": True}, r"data\.vault is True"),
        ("data", {"columns": [{"name": "a"}, 7]}, r"data\.columns\.1 is 7"),
        ("config", [], r"config is \[\]"),
        ("config", {"trusted_modules": "os"}, r"config\.trusted_modules is 'os'"),
        ("git", {}, r"git\.commit is missing"),
        ("ensemble", {**ENSEMBLE, "members": [None]}, r"ensemble\.members\.0 is None"),
        ("ensemble", {"members": []}, r"ensemble\.combine is missing"),
        ("seed", 10**400, "a whole number of 401 digits"),
        ("seed", "\ud800", "seed is|surrogates"),
        ("id", "\ud800", "surrogates"),
        ("schema", 2, "has schema 2"),
    ],
)
def test_a_field_of_another_kind(run: Path, field: str, value: Any, words: str) -> None:
    (run / "run.json").write_text(json.dumps({**WHOLE, field: value}))
    refused(run, words)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_no_finite_number(run: Path, number: str) -> None:
    (run / "run.json").write_text(json.dumps(WHOLE).replace("0.5", number))
    refused(run, f"holds {number}")


@pytest.mark.parametrize("field", ["id", "kind", "status", "created", "config"])
def test_a_field_is_missing(run: Path, field: str) -> None:
    (run / "run.json").write_text(json.dumps({name: value for name, value in WHOLE.items() if name != field}))
    refused(run, f"{field} is missing")


@pytest.mark.parametrize("pid", [10**19, -(10**18), None])
def test_no_process_has_such_a_number(run: Path, pid: int | None) -> None:
    fields = {"status": "running", "pid": pid, "host": os.uname().nodename, "boot_id": boot_id()}
    (run / "run.json").write_text(json.dumps({**WHOLE, **fields, "heartbeat": WHOLE["created"]}))
    assert read_run(run)["status"] == "interrupted"
    assert {row.status for row in leaderboard(run.parent)} == {"completed", "interrupted"}


def deep(path: Path) -> None:
    path.write_text('{"schema":' + "[" * 10**5)


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.mkdir(), "regular file"),
        (os.mkfifo, "regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "is a link"),
        (huge, "is larger than"),
        (lambda path: path.write_bytes(b'{"schema": 1, "id": "\xff"}'), "utf-8"),
        (lambda path: path.write_text('{"schema": 1, "id"'), "cannot be read"),
        (lambda path: path.write_text("[]"), "is no JSON object"),
        (deep, "nested too deeply|cannot be read"),
    ],
    ids=["folder", "fifo", "device", "huge", "latin", "half", "list", "deep"],
)
def test_no_file_of_a_record(run: Path, make: Callable[[Path], Any], words: str) -> None:
    make(run / "run.json")
    with pytest.raises(InputError, match=words) as raised:
        read_run(run)
    assert str(run) in raised.value.problems[0].where


def test_the_disk_is_waited_for_once_a_second_and_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr("os.fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    record = RunRecord.create(tmp_path)
    record.update(seed=1)
    assert not synced
    record._durable_at -= 1.0
    record.update(seed=2)
    assert (tmp_path / "run.json").stat().st_ino in synced
    synced.clear()
    record.update(seed=3)
    assert not synced
    record.finish("completed", "it was told")
    assert (tmp_path / "run.json").stat().st_ino in synced
    assert read_run(tmp_path)["seed"] == 3


def test_a_record_is_a_field_a_line_and_has_null_for_what_is_no_number(tmp_path: Path) -> None:
    record = RunRecord.create(tmp_path, history=[{"epoch": 1, "val/loss": float("nan")}])
    record.finish("failed", "diverged")
    lines = (tmp_path / "run.json").read_text().splitlines()
    assert lines[0] + lines[-1] == "{}"
    assert [line.partition(":")[0] for line in lines[1:-1]] == [f' "{name}"' for name in record.fields]
    assert ' "history": [{"epoch": 1, "val/loss": null}],' in lines
