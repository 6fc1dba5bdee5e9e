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
from holdfast.data import leaks, store
from holdfast.data.rows import Rows, check_rows, stratum_of
from holdfast.data.splits import SplitFacts
from holdfast.data.targets import call_target
from holdfast.vault import fingerprints, keys, lineage, policies, registry, tripwire
from holdfast.vault.identity import RowArray, content_id, digests_with_target, row_digests
from holdfast.vault.sealing import NO_DIGESTS, Sealed, SealRequest, ensure_sealed

Mask = NDArray[np.bool_]
Digests = NDArray[np.uint8]


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
        if prepared is None:
            return _prepare(request)
        store.refuse_other_vault(prepared, request.get("locked", ()))
        return prepared.vault


@dataclass(frozen=True, eq=False)
class _Parts:
    """All rows, and which of them are which; `full` digests are with the target, `units` of what stays together."""

    rows: Rows
    digests: Digests
    full: Digests
    units: Digests
    test: Mask
    development: Mask
    counts: dict[str, int]
    content: str
    strata: list[dict[str, Any]]


class _Chosen:
    """Some rows of an array, gathered only where they are read: the test rows are never in memory as a whole."""

    def __init__(self, x: RowArray, rows: NDArray[np.int64]) -> None:
        self._x, self._rows = x, rows
        self.dtype, self.shape = x.dtype, (len(rows), *x.shape[1:])

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place: Any) -> NDArray[Any]:
        return np.asarray(self._x[self._rows[place]])


def _prepare(request: Mapping[str, Any]) -> str:
    start = time.monotonic()
    parts = _load_parts(request)
    _say(f"preparing {request['name']} (once)")  # not before: a source that cannot be read is told in one line
    if request["vault"]["policy"] == policies.NONE:
        return _prepare_open(request, parts, start)
    store.pending_file().touch()
    try:
        sealed = ensure_sealed(_seal_request(request, parts))
    except HoldfastError:
        # A refusal changes nothing, so the rows that are in the store stay good.
        store.pending_file().unlink()
        raise
    _remove_replaced_rows()
    _remove_open_rows(sealed.vault)
    _finish(request, sealed.vault, parts)
    _report(parts.counts, sealed, time.monotonic() - start)
    return sealed.vault


def _prepare_open(request: Mapping[str, Any], parts: _Parts, start: float) -> str:
    """Rows without a vault: all of them may be trained on, but those that are sealed in one."""
    forms = [digests[parts.development] for digests in (parts.digests, parts.full) if len(digests)]
    with registry.locked():
        lineage.recover()
        tripwire.refuse_sealed_rows(request["name"], forms, [NO_DIGESTS], set())
    name = store.open_name(parts.content)
    store.pending_file().touch()
    _finish(request, name, parts)
    _say(
        f"{parts.counts['development']:,} train and val rows in the store, no vault ({time.monotonic() - start:.1f} s)"
    )
    return name


def _finish(request: Mapping[str, Any], vault: str, parts: _Parts) -> None:
    _write_rows(request["name"], vault, parts)
    answer = {"vault": vault, "name": request["name"], "files": request["files"]}
    store.request_file(request["id"]).parent.mkdir(parents=True, exist_ok=True)
    write_atomic(store.request_file(request["id"]), canonical_json(answer))
    store.pending_file().unlink()


def _load_parts(request: Mapping[str, Any]) -> _Parts:
    rows: Rows = call_target(request["source"], "data.source")
    check_rows(rows)
    digests = row_digests(rows.x, kind=rows.kind, feature_names=rows.feature_names)
    has_full = rows.kind == "table" and rows.y.ndim == 1
    full = NO_DIGESTS
    if has_full:
        full = digests_with_target(rows.x, rows.y, feature_names=rows.feature_names, target_name=rows.target_name)
    units = leaks.units_of(digests, rows.groups)
    content = content_id(digests, rows.y)
    if request["vault"]["policy"] == policies.NONE:
        test = np.zeros(len(rows.x), bool) if rows.official_test is None else rows.official_test
        development = ~test & ~_equal_to(units, test)
        counts = {"test": 0, "development": int(development.sum()), "left_out": int((~development).sum())}
        return _Parts(rows, digests, full, units, test, development, counts, content, [])
    split, facts = call_target(request["split"], "split"), _facts_of(rows, units)
    test = split.test_rows(facts)
    development = ~test & ~_equal_to(units, test)
    counts = _count(rows, digests, test, development, with_looks=request["vault"]["near_duplicates"])
    cuts = split.test_cuts(facts, test) if hasattr(split, "test_cuts") else []
    return _Parts(rows, digests, full, units, test, development, counts, content, cuts)


def _facts_of(rows: Rows, units: Digests) -> SplitFacts:
    return SplitFacts(
        units,
        strata=stratum_of(rows.y, rows.task),
        official=rows.official_test,
        groups=rows.groups,
        times=rows.times,
        parts=getattr(rows, "parts", None),
        targets=rows.y if rows.task == "regression" else None,
    )


def _equal_to(units: Digests, test: Mask) -> Mask:
    """Which rows must be on the test side because a test row is equal to them or of their group."""
    return leaks.is_among(units, units[test])


def _count(rows: Rows, digests: Digests, test: Mask, development: Mask, *, with_looks: bool) -> dict[str, int]:
    """What was found across the split, as counts; rows that are equal to a test row are left out before training."""
    left_out = ~test & ~development
    counts = {
        "test": int(test.sum()),
        "development": int(development.sum()),
        "left_out": int(left_out.sum()),
        "exact_duplicates": int((leaks.is_among(digests, digests[test]) & ~test).sum()),
        "seen_open": _count_seen_open(digests[test]),
    }
    if rows.groups is not None:
        counts["groups"] = len(np.intersect1d(rows.groups[test], rows.groups[~test]))
    if rows.times is not None:
        counts["time_overlap"] = leaks.count_time_overlap(rows.times, test, development)
    if with_looks and leaks.has_thumbnails(rows.x):
        counts["near_duplicates"] = leaks.count_near_duplicates(rows.x, test, development)
    return counts


def _count_seen_open(digests: Digests) -> int:
    """How many of the rows that will be sealed could be trained on before, under vault=none."""
    found = np.zeros(len(digests), bool)
    for path in store.open_folders():
        found |= leaks.is_among(digests, np.load(path / "digests.npy"))
    return int(found.sum())


def _seal_request(request: Mapping[str, Any], parts: _Parts) -> SealRequest:
    rows, has_full = parts.rows, len(parts.full) > 0
    return SealRequest(
        source={"name": request["name"], **request["source"]},
        content=parts.content,
        test_rule=request["test_rule"],
        task=rows.task,
        class_names=rows.class_names,
        x=_Chosen(rows.x, np.flatnonzero(parts.test)),
        y=rows.y[parts.test],
        digests=parts.digests[parts.test],
        development_digests=parts.digests[parts.development],
        policy=request["vault"],
        counts=parts.counts,
        kind=rows.kind,
        feature_names=rows.feature_names,
        strata=parts.strata,
        full_digests=parts.full[parts.test] if has_full else NO_DIGESTS,
        full_development_digests=parts.full[parts.development] if has_full else NO_DIGESTS,
        groups=rows.groups[parts.test] if rows.groups is not None else None,
        locked=request.get("locked", ()),
    )


def _write_rows(name: str, vault: str, parts: _Parts) -> None:
    """Write a folder of the store, unless a whole one is there."""
    folder = store.rows_folder(vault)
    try:
        store.read_folder(folder)
        return
    except store.UNREADABLE:
        shutil.rmtree(folder, ignore_errors=True)
    temporary = folder.with_name(f".{secrets.token_hex(8)}.tmp")
    temporary.mkdir(parents=True)
    rows = parts.rows
    arrays = {"x": rows.x, "y": rows.y, "digests": parts.digests}
    if rows.groups is not None:
        arrays |= {"units": parts.units, "groups": rows.groups}
    for part, array in arrays.items():
        with (temporary / f"{part}.npy").open("wb") as file:
            np.save(file, np.ascontiguousarray(array[parts.development]), allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
    meta = {
        "format": store.FORMAT,
        "vault": vault,
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
        if not store.is_open(folder.name) and not registry.is_current(folder.name):
            shutil.rmtree(folder)


def _remove_open_rows(vault: str) -> None:
    """Remove rows that were prepared without a vault and are sealed in one now."""
    key = keys.fingerprint_key(vault=vault)
    records = fingerprints.read_records(registry.fingerprints_path(vault))
    for folder in store.open_folders():
        prints = fingerprints.fingerprints_of(np.load(folder / "digests.npy"), key)
        if fingerprints.is_sealed(records, prints).any():
            shutil.rmtree(folder)


def _sweep() -> None:
    """Finish what a killed preparation left: its vault may have been sealed, and may have replaced another."""
    if store.pending_file().exists():
        with registry.locked():
            lineage.recover()
        _remove_replaced_rows()
        store.pending_file().unlink()


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
