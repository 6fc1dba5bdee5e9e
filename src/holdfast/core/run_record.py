"""`run.json`: the one record of a run that every tool reads; `docs/formats.md` describes its fields.

Nothing in it comes from a test row.
"""

from __future__ import annotations

import csv
import functools
import io
import json
import os
import platform
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from holdfast.core.advice import setting
from holdfast.core.errors import InputError
from holdfast.core.files import finite, read_plain, sha256_hex, write_atomic
from holdfast.core.record_form import ROWS, parse_object, problem_of

SCHEMA = 1
FILE_NAME = "run.json"
METRICS_FILE_NAME = "metrics.csv"
BATCH_FILE_NAME = "batch.json"  # a look at the first batch, as the model gets it
HEARTBEAT_S = 20.0
DURABLE_S = 1.0  # between two writes that wait for the disk
STALE_S = 120.0
MAX_BYTES = 2**26
PACKAGES = ("holdfast", "torch", "pytorch-lightning", "torchmetrics", "hydra-core", "omegaconf", "numpy")


def now() -> str:
    """UTC, ISO 8601, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class RunRecord:
    """The record of one run, written whole on every change and at every heartbeat.

    The disk is waited for once a second at most, and at the end of the run.
    """

    def __init__(self, folder: Path, fields: dict[str, Any]) -> None:
        self.folder = folder
        self.fields = fields
        self.writes = True
        self._lock = threading.Lock()
        self._durable_at = time.monotonic()
        self._stop = threading.Event()
        self._heart: threading.Thread | None = None

    @classmethod
    def create(cls, folder: Path, **fields: Any) -> RunRecord:
        """Start the record of a new run in `folder`, which must not hold one."""
        if (folder / FILE_NAME).exists():
            raise InputError(str(folder), "this folder holds a run already", next="choose another hydra.run.dir")
        known = {"schema": SCHEMA, "id": folder.name, "kind": "fit", "created": now(), "cwd": str(Path.cwd())}
        record = cls(folder, {**known, **_empty(), **fields})
        record._begin()
        return record

    @classmethod
    def reopen(cls, folder: Path) -> RunRecord:
        """Go on with the record of an interrupted run."""
        record = cls(folder, read_run(folder))
        record.fields.update(finished=None, stop_reason=None, error=None)
        record._begin()
        return record

    @classmethod
    def follow(cls, folder: Path) -> RunRecord:
        """The record as one of the other processes of a run sees it: nothing that it sets is written."""
        record = cls(folder, read_run(folder))
        record.writes = False
        return record

    def update(self, **fields: Any) -> None:
        """Set fields and write the file."""
        self._write(fields, is_durable=time.monotonic() - self._durable_at >= DURABLE_S)

    def set_history(self, history: list[dict[str, Any]]) -> None:
        """Replace the history: on resume, epochs after the checkpoint are dropped."""
        self.update(history=history)
        if self.writes:
            write_atomic(self.folder / METRICS_FILE_NAME, _as_csv(history), is_durable=False)

    def finish(self, status: str, stop_reason: str, **fields: Any) -> None:
        """Write the last word: `status`, why it stopped and when."""
        self._stop.set()
        if self._heart is not None:
            self._heart.join()
        outcome = {"status": status, "stop_reason": stop_reason, "finished": now()}
        self._write(outcome | fields, is_durable=True)

    def _begin(self) -> None:
        self.update(status="running", host=socket.gethostname(), pid=os.getpid(), boot_id=boot_id())
        self._heart = threading.Thread(target=self._beat, name="holdfast-heartbeat", daemon=True)
        self._heart.start()

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_S):
            self.update()

    def _write(self, fields: Mapping[str, Any], *, is_durable: bool) -> None:
        with self._lock:
            self.fields.update(fields)
            if not self.writes:
                return
            self.fields["heartbeat"] = now()
            if is_durable:
                self._durable_at = time.monotonic()
            write_atomic(self.folder / FILE_NAME, _as_json(self.fields), is_durable=is_durable)


def read_run(folder: Path) -> dict[str, Any]:
    """The record in `folder`; a `running` whose process is gone reads as `interrupted`.

    Raises:
        InputError: There is no readable record of a schema that we know.
    """
    path = folder / FILE_NAME
    try:
        fields = parse_object(record_bytes(folder))
    except ValueError as error:
        raise InputError(str(path), f"cannot be read ({error})") from None
    if fields.get("schema") != SCHEMA:
        message = f"has schema {fields.get('schema')!r:.40}"
        raise InputError(str(path), message, str(SCHEMA), next="read it with the version that wrote it")
    if problem := problem_of(fields):
        raise InputError(str(path), f"is no whole record: {problem}", next="restore the file")
    try:
        for name in ("created", "finished", "heartbeat"):
            if fields.get(name) is not None and datetime.fromisoformat(fields[name]).tzinfo is None:
                raise ValueError(f"{name} has no time zone")
        has_died = fields["status"] == "running" and not _is_alive(fields)
    except ValueError as error:
        raise InputError(str(path), f"is no whole record ({error})", next="restore the file") from None
    fields = _empty() | fields
    if has_died:
        fields["status"] = "interrupted"
        fields["stop_reason"] = "the process ended without a word"
    return fields


def record_bytes(folder: Path) -> bytes:
    """The content of the record in `folder`.

    Raises:
        InputError: There is none, or it is no regular file, or far too large.
    """
    path = folder / FILE_NAME
    try:
        return read_plain(path, MAX_BYTES)
    except FileNotFoundError:
        if not folder.exists():
            raise InputError(str(folder), "there is no such folder", next=_LISTS.format("outputs")) from None
        has_runs = next(folder.glob(f"**/{FILE_NAME}"), None) is not None
        hint = _LISTS.format(folder if has_runs else "outputs")
        raise InputError(str(folder), f"is not a run: it has no {FILE_NAME}", next=hint) from None
    except (OSError, ValueError) as error:
        raise InputError(str(path), f"cannot be read ({getattr(error, 'strerror', error)})") from None


def best_checkpoint(folder: Path, record: Mapping[str, Any]) -> str:
    """The best checkpoint of a run, relative to its folder; one that is gone is refused."""
    name = str(record["best"]["checkpoint"])
    if not (folder / name).is_file():
        raise InputError(str(folder / name), "there is no such checkpoint", next="restore it, or train the run again")
    return name


def check_data(folder: Path, record: Mapping[str, Any]) -> None:
    """Refuse a record that does not say what the rows were that the run was trained on."""
    import numpy as np

    from holdfast.core.tasks import TASKS

    if missing := [name for name in ROWS if name not in (record["data"] or {})]:
        problem = f"does not say of its rows what {missing[0]} they have"
        raise InputError(str(folder), problem, next="train it again with this version")
    if record["data"]["task"] not in TASKS:
        problem = f"has the unknown task {record['data']['task']!r:.40}"
        raise InputError(str(folder), problem, ", ".join(TASKS), next="restore run.json")
    try:
        np.dtype(record["data"]["dtype"])
    except (TypeError, ValueError, SyntaxError):  # what numpy makes of a text that names no type
        problem = f"has rows of the unknown type {record['data']['dtype']!r:.40}"
        raise InputError(str(folder), problem, next="restore run.json") from None


def check_predicts(folder: Path, record: Mapping[str, Any]) -> None:
    """Refuse a run that is no model to choose or to average.

    Raises:
        InputError: Its record lacks a field, it was a trial, it was trained to give its rows back, or a part of it is
            in no file.
    """
    check_data(folder, record)
    config = record["config"]
    for group, node in record.get("parts", {}).items():
        module, _, name = str(node["_target_"]).rpartition(".")
        if module == "__main__":
            problem = (
                f"its {group} is __main__.{name}, which is in a notebook or a script, where no other process finds it"
            )
            hint = f"move it into a file, MODULE.py, and train again with parts={{'{group}': MODULE.{name}}}"
            raise InputError(str(folder), problem, next=hint)
    if config.get("debug"):
        raise InputError(str(folder), f"was a trial (debug={config['debug'].get('preset')})", next="train it whole")
    if str((config.get("loss") or {}).get("_target_")).endswith(".reconstruction"):
        hint = f"train a model with {setting('model.pretrained', folder)}"
        raise InputError(str(folder), "gives rows back and predicts nothing (loss=reconstruction)", next=hint)


def boot_id() -> str | None:
    """An id of this start of the machine; None where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


def environment() -> dict[str, Any]:
    """The `versions`, `git` and `cpu` fields."""
    return {"versions": dict(_versions()), "git": _git_state(Path.cwd()), "cpu": _cpu()}


@functools.cache
def _versions() -> dict[str, str]:
    system = {"python": platform.python_version(), "platform": platform.platform()}
    return {**system, **{name: metadata.version(name) for name in PACKAGES}}


@functools.cache
def _cpu() -> str:
    """Name, family, model and stepping of the processor: sums in another order differ in their last bits."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    numbers = [f"{name} {facts[name]}" for name in ("cpu family", "model", "stepping") if name in facts]
    return ", ".join([facts.get("model name", platform.machine()), *numbers])


def _git_state(folder: Path) -> dict[str, str | None] | None:
    def git(*words: str) -> bytes:
        return subprocess.run(["git", *words], cwd=folder, capture_output=True, check=True, timeout=10).stdout

    try:
        commit = git("rev-parse", "HEAD").decode().strip()
        diff = git("diff", "HEAD")
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "dirty_sha256": sha256_hex(diff) if diff else None}


def _is_alive(fields: Mapping[str, Any]) -> bool:
    if fields.get("host") == socket.gethostname() and fields.get("boot_id") == boot_id():
        try:
            os.kill(fields["pid"] or 0, 0)
            if _is_zombie(fields["pid"]):
                return False
        except (ProcessLookupError, OverflowError):  # no process has so great a number
            return False
        except PermissionError:
            pass
    age = datetime.now(UTC) - datetime.fromisoformat(fields.get("heartbeat") or fields["created"])
    return age.total_seconds() < STALE_S


def _is_zombie(pid: int) -> bool:
    """Tell whether a process has ended and nobody has asked how, as in containers without an init process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False


_LISTS = "`holdfast runs {}` lists the runs"


def _empty() -> dict[str, Any]:
    outcome = ("stop_reason", "finished", "best", "data", "error", "ensemble")
    nulls = (*outcome, "device", "precision", "threads", "parameters")
    lists = ("overrides", "history", "checks", "diagnosis", "resumes", "pretrained")
    objects = ("choices", "config", "timings")
    return {**dict.fromkeys(nulls), **{name: [] for name in lists}, **{name: {} for name in objects}}


def _as_json(fields: Mapping[str, Any]) -> str:
    """The fields as a JSON object, a field a line: json indents in Python, which takes ten times as long."""
    lines = (f" {json.dumps(name)}: {_value_as_json(value)}" for name, value in fields.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _value_as_json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (ValueError, TypeError):  # it holds a NaN, or a mapping that is no dictionary
        return json.dumps(finite(value), ensure_ascii=False)


def _as_csv(history: list[dict[str, Any]]) -> str:
    columns = list(dict.fromkeys(key for entry in history for key in entry))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()
