"""The process that sees all rows: loads a source, seals the test rows, writes the others into the store, and exits.

`python -m holdfast.data.store.worker` reads a request (`store.make_request`) as JSON from stdin and writes its answer,
`{"vault": id}` or `{"error": ...}`, to stdout; progress goes to stderr. It works under one lock per `HOLDFAST_HOME`.
Rows appear in the store by one rename, after the test rows are sealed, so a process killed at any moment leaves nothing
half-made.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from holdfast.core import places
from holdfast.core.errors import HoldfastError, InputError, Problem, RunFailed
from holdfast.core.files import canonical_json, sha256_hex, write_atomic
from holdfast.data.store import store
from holdfast.data.store.partition import Division, divide, seal_request
from holdfast.data.store.source_files import state_of_files
from holdfast.data.store.write import remove_rows, write_rows
from holdfast.vault import known_rows, lifecycle, policies, project_lock, registry
from holdfast.vault.rows import fingerprints
from holdfast.vault.rows.digest_sets import digest_blocks, rows_id
from holdfast.vault.sealing import Sealed, ensure_sealed

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
MORE_ROOM = "free some space, or set HOLDFAST_HOME to a folder on a larger disk"


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
    with _lock(), _told_when_full():
        _sweep()
        prepared = store.find_prepared(request)
        if prepared is None:
            return _prepare(request)
        store.refuse_other_vault(prepared, request.get("locked", ()))
        return prepared.vault


def _prepare(request: Mapping[str, Any]) -> str:
    start = time.monotonic()
    division = divide(request)
    for note in division.rows.notes:
        _say(note)
    _check_room(division)
    _say(f"preparing {request['name']} (once)")  # not before: a source that cannot be read is told in one line
    if request["vault"]["policy"] == policies.NONE:
        return _prepare_open(request, division, start)
    store.pending_file().touch()
    try:
        sealed = ensure_sealed(seal_request(request, division))
    except HoldfastError:
        # A refusal changes nothing, so the rows that are in the store stay good.
        store.pending_file().unlink()
        raise
    _remove_replaced_rows()
    _remove_open_rows(sealed.vault)
    _finish(request, sealed.vault, division)
    _report(division.counts, sealed, time.monotonic() - start)
    return sealed.vault


def _prepare_open(request: Mapping[str, Any], division: Division, start: float) -> str:
    """Rows without a vault: all of them may be trained on, but those that are sealed in one."""
    forms = [division.identity.digests, *division.forms.values(), *division.identity.by_columns.values()]
    with registry.locked():
        lifecycle.recover()
        none = np.zeros(len(division.test), bool)
        rows = rows_id(division.identity.digests, division.test | division.development)
        project_lock.refuse_other(request.get("locked", ()), None, content=division.content, rows=rows)
        known_rows.refuse_sealed_rows(request["name"], forms, division.development, none, set())
    columns = [*division.rows.feature_names, *(column.as_dict() for column in division.columns)]
    name = store.open_name(sha256_hex(canonical_json({"content": division.content, "columns": columns})))
    store.pending_file().touch()
    _finish(request, name, division)
    seconds = time.monotonic() - start
    _say(f"{division.counts['development']:,} train and val rows in the store, no vault ({seconds:.1f} s)")
    return name


def _finish(request: Mapping[str, Any], vault: str, division: Division) -> None:
    write_rows(request["name"], vault, division)
    others = state_of_files(division.rows.files, contents=request["contents"] is not None)
    answer = {"vault": vault, "others": others, "pixel_scale": division.rows.pixel_scale}
    answer |= {key: request[key] for key in ("name", "files", "contents")}
    store.request_file(request["id"]).parent.mkdir(parents=True, exist_ok=True)
    write_atomic(store.request_file(request["id"]), canonical_json(answer))
    store.pending_file().unlink()


def _remove_replaced_rows() -> None:
    """Remove the rows of vaults that were sealed anew: rows that were train are test now."""
    for folder in list((places.store() / "rows").glob("*")):
        if not store.is_open(folder.name) and not registry.is_current(folder.name):
            remove_rows(folder)


def _remove_open_rows(vault: str) -> None:
    """Remove rows that were prepared without a vault and are sealed in one now."""
    key = known_rows.fingerprint_key(vault)
    known = fingerprints.Known(fingerprints.read_records(registry.fingerprints_path(vault)))
    for folder in store.open_folders():
        blocks = digest_blocks(np.load(folder / "digests.npy", mmap_mode="r"))
        if any(known.has(fingerprints.fingerprints_of(digests, key)).any() for _, digests in blocks):
            remove_rows(folder)


def _sweep() -> None:
    """Finish what a killed preparation left: its vault may have been sealed, and may have replaced another."""
    if store.pending_file().exists():
        with registry.locked():
            lifecycle.recover()
        _remove_replaced_rows()
        store.pending_file().unlink()


def _check_room(division: Division) -> None:
    """Refuse rows that the disk cannot take before any is written.

    Raises:
        RunFailed: There is less room than the rows take in the store and in the vault.
    """
    needed = division.x.nbytes + division.rows.y.nbytes + division.identity.digests.nbytes
    free = shutil.disk_usage(places.store()).free
    if needed > free:
        what = f"has {free / 2**20:,.0f} MiB left, and the rows take {needed / 2**20:,.0f} MiB"
        raise RunFailed(str(places.home()), what, next=MORE_ROOM)


@contextmanager
def _told_when_full() -> Iterator[None]:
    """Turn a disk that is full into one line; what was begun is swept."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        with suppress(OSError, HoldfastError):
            _sweep()
        what = f"the rows could not be stored ({error.strerror})"
        raise RunFailed(str(places.home()), what, next=MORE_ROOM) from None


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
