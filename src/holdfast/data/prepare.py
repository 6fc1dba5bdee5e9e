"""The process that sees all rows: loads a source, seals the test rows, writes the others into the store, and exits.

`python -m holdfast.data.prepare` reads a request (`store.make_request`) as JSON from stdin and writes `{"vault": id}`
or `{"error": ...}` to stdout; progress goes to stderr. It works under one lock per `HOLDFAST_HOME`. Rows appear in the
store by one rename, after the test rows are sealed, so a process killed at any moment leaves nothing half-made.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from holdfast.core import places
from holdfast.core.errors import HoldfastError, InputError, Problem
from holdfast.core.files import canonical_json, sync_folder, write_atomic
from holdfast.data import store
from holdfast.data.rows import Rows, check_rows, stratum_of
from holdfast.data.targets import call_target
from holdfast.vault import registry
from holdfast.vault.identity import content_id, row_digests
from holdfast.vault.sealing import Sealed, SealRequest, ensure_sealed, recover

Mask = NDArray[np.bool_]


def main() -> int:
    """Answer one request; the exit code is that of the error, 0 without one."""
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # What a source prints must not get into the answer.
    try:
        request = json.loads(sys.stdin.buffer.read())
        result: dict[str, Any] = {"vault": answer_request(request)}
        code = 0
    except HoldfastError as error:
        result = {"error": {"code": error.code, "problems": [asdict(problem) for problem in error.problems]}}
        code = error.exit_code
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        traceback.print_exc()
        problem = Problem("data preparation", f"{type(error).__name__}: {error}")
        result, code = {"error": {"code": "failed", "problems": [asdict(problem)]}}, 1
    with answer:
        answer.write(canonical_json(result))
    return code


def answer_request(request: Mapping[str, Any]) -> str:
    """Prepare what `request` asks for, unless another process has just done so; returns the vault's id."""
    with _lock():
        _sweep()
        prepared = store.find_prepared(request)
        return prepared.vault if prepared is not None else _prepare(request)


@dataclass(frozen=True, eq=False)
class _Parts:
    """All rows, and which of them are which."""

    rows: Rows
    digests: NDArray[np.uint8]
    test: Mask
    development: Mask
    counts: dict[str, int]
    content: str


def _prepare(request: Mapping[str, Any]) -> str:
    start = time.monotonic()
    parts = _load_parts(request)
    _say(f"preparing {request['name']} (once)")
    store.pending_file().touch()
    try:
        sealed = ensure_sealed(_seal_request(request, parts))
    except HoldfastError:
        # A refusal changes nothing, so the rows that are in the store stay good.
        store.pending_file().unlink()
        raise
    _remove_replaced_rows()
    _write_rows(request["name"], sealed, parts)
    answer = {"vault": sealed.vault, "name": request["name"], "files": request["files"]}
    store.request_file(request["id"]).parent.mkdir(parents=True, exist_ok=True)
    write_atomic(store.request_file(request["id"]), canonical_json(answer))
    store.pending_file().unlink()
    _report(parts.counts, sealed, time.monotonic() - start)
    return sealed.vault


def _load_parts(request: Mapping[str, Any]) -> _Parts:
    rows: Rows = call_target(request["source"], "data.source")
    check_rows(rows)
    digests = row_digests(rows.x, kind=rows.kind, feature_names=rows.feature_names)
    split = call_target(request["split"], "split")
    test = split.test_rows(digests, stratum_of(rows.y, rows.task), rows.official_test)
    equals_test = ~test & np.isin(_as_items(digests), _as_items(digests[test]))
    development = ~test & ~equals_test
    masks = {"test": test, "development": development, "left_out": equals_test}
    counts = {name: int(mask.sum()) for name, mask in masks.items()}
    return _Parts(rows, digests, test, development, counts, content_id(digests, rows.y))


def _seal_request(request: Mapping[str, Any], parts: _Parts) -> SealRequest:
    rows = parts.rows
    return SealRequest(
        source={"name": request["name"], **request["source"]},
        content=parts.content,
        test_rule=request["test_rule"],
        task=rows.task,
        class_names=rows.class_names,
        x=rows.x[parts.test],
        y=rows.y[parts.test],
        digests=parts.digests[parts.test],
        development_digests=parts.digests[parts.development],
        policy=request["vault"],
        counts=parts.counts,
        kind=rows.kind,
        feature_names=rows.feature_names,
    )


def _write_rows(name: str, sealed: Sealed, parts: _Parts) -> None:
    """Write a folder of the store, unless a whole one is there."""
    folder = store.rows_folder(sealed.vault)
    try:
        store.read_folder(folder)
        return
    except store.UNREADABLE:
        shutil.rmtree(folder, ignore_errors=True)
    temporary = folder.with_name(f".{secrets.token_hex(8)}.tmp")
    temporary.mkdir(parents=True)
    rows = parts.rows
    for part, array in (("x", rows.x), ("y", rows.y), ("digests", parts.digests)):
        with (temporary / f"{part}.npy").open("wb") as file:
            np.save(file, np.ascontiguousarray(array[parts.development]), allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
    meta = {
        "format": store.FORMAT,
        "vault": sealed.vault,
        "content": parts.content,
        "name": name,
        "task": rows.task,
        "kind": rows.kind,
        "class_names": list(rows.class_names),
        "feature_names": list(rows.feature_names),
        "num_rows": parts.counts["development"],
        "num_test": parts.counts["test"],
        "num_left_out": parts.counts["left_out"],
    }
    write_atomic(temporary / "meta.json", json.dumps(meta, indent=1, ensure_ascii=False))
    temporary.rename(folder)
    sync_folder(folder.parent)


def _remove_replaced_rows() -> None:
    """Remove the rows of vaults that were sealed anew: rows that were train are test now."""
    for folder in list((places.store() / "rows").glob("*")):
        if not registry.is_current(folder.name):
            shutil.rmtree(folder)


def _sweep() -> None:
    """Finish what a killed preparation left: its vault may have been sealed, and may have replaced another."""
    if store.pending_file().exists():
        with registry.locked():
            recover()
        _remove_replaced_rows()
        store.pending_file().unlink()


def _as_items(digests: NDArray[np.uint8]) -> NDArray[np.void]:
    return np.ascontiguousarray(digests).view(f"V{digests.shape[1]}").ravel()


@contextmanager
def _lock() -> Iterator[None]:
    try:
        places.store().mkdir(parents=True, exist_ok=True)
        lock = FileLock(places.store() / ".lock")
        try:
            lock.acquire(timeout=0.5)
        except Timeout:
            _say("waiting for another preparation")
            lock.acquire()
    except OSError as error:
        where, reason = str(places.store()), error.strerror or str(error)
        raise InputError(
            where, f"cannot be written ({reason})", next="set HOLDFAST_HOME to a folder of yours"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _report(counts: dict[str, int], sealed: Sealed, seconds: float) -> None:
    left_out = f", {counts['left_out']:,} left out (equal to a test row)" if counts["left_out"] else ""
    _say(
        f"{counts['development']:,} train and val rows in the store, {counts['test']:,} test rows sealed in vault "
        f"{sealed.vault[:12]}{left_out} ({seconds:.1f} s)"
    )


def _say(line: str) -> None:
    print(f"holdfast: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
