"""The process that sees all rows: loads a source, seals the test rows, writes the others into the store, and exits.

`python -m holdfast.data.store.worker` is asked (`core.child`) with a request (`store.make_request`), and answers with
the vault's id; progress goes to stderr. It works under one lock per `HOLDFAST_HOME`. First the test rows are sealed;
then what is known of the others, their view and the answer are written. Each appears by one rename, so a process killed
at any moment leaves nothing half-made.
"""

from __future__ import annotations

import errno
import json
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from holdfast.core import child, places
from holdfast.core.errors import HoldfastError, InputError, RunFailed
from holdfast.core.files import canonical_json, write_atomic
from holdfast.core.messages import Array, Header
from holdfast.data.rows import Rows, check_rows
from holdfast.data.sources.call import rows_of
from holdfast.data.splits.facts import check_subset
from holdfast.data.store import store
from holdfast.data.store.partition import Division, divide
from holdfast.data.store.row_keys import common_rows, forms_of, raw_rows
from holdfast.data.store.source_files import state_of_files
from holdfast.data.store.write import (
    REASONS,
    MadeView,
    make_view,
    notes_of,
    recall,
    remember,
    remove_rows,
    write_raw,
    write_view,
)
from holdfast.vault import known_rows, lifecycle, policies, project_lock, registry
from holdfast.vault.manifest import read_manifest
from holdfast.vault.rows.digest_sets import content_id
from holdfast.vault.sealing import SealRequest, seal

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
MORE_ROOM = "free some space, or set HOLDFAST_HOME to a folder on a larger disk"


def answer(header: Header, _: Sequence[Array]) -> tuple[Header, Sequence[Array]]:
    """Answer one question."""
    return {"vault": answer_request(header["request"])}, ()


def answer_request(request: Mapping[str, Any]) -> str:
    """Prepare what `request` asks for, unless another process has just done so; returns the vault's id."""
    with _lock(), _full_disk_refused():
        _remove_leftovers()
        prepared = store.find_prepared(request)
        return _prepare(request) if prepared is None else prepared.vault


def _prepare(request: Mapping[str, Any]) -> str:
    start = time.monotonic()
    rows = rows_of(request["source"])
    check_rows(rows)
    for note in rows.notes:
        _say(note)
    _say(f"preparing {request['name']} (once)")  # not before: a source that cannot be read is told in one line
    with registry.locked():
        lifecycle.recover()
        known = None if project_lock.unknown(request.get("locked", ())) else recall(request, rows)
        folder, division, made = _decide(request, rows) if known is None else (*known, _view_of(request, known[1]))
        vault = store.vault_of(folder)
    _remove_replaced_rows()
    notes = [*made.notes, *_vault_notes(vault, made.plain), *notes_of(division)]
    _finish(request, folder, division, made, [*rows.notes, *notes])
    for note in notes:
        _say(note)
    _say(f"{_summary(vault, division)} ({time.monotonic() - start:.1f} s)")
    return vault


def _decide(request: Mapping[str, Any], rows: Rows) -> tuple[Path, Division, MadeView]:
    """Decide about every row, seal those that are to be sealed, and write down what is known of the others."""
    elsewhere = project_lock.unknown(request.get("locked", ()))
    forms = forms_of(rows, {tuple(entry["columns"]) for entry in elsewhere})
    project_lock.refuse_other(elsewhere, forms)
    division = divide(request, rows, forms)
    made = _view_of(request, division)  # what cannot be seen is told before anything is sealed
    folder = write_raw(request["name"], _vault_of(request, division), division)
    remember(request, rows, folder, division)
    return folder, division, made


def _view_of(request: Mapping[str, Any], division: Division) -> MadeView:
    check_subset(request.get("subset"), division.counts["development"])
    return make_view(division.rows, division.development)


def _vault_of(request: Mapping[str, Any], division: Division) -> str:
    """The vault of a division: the one that goes on, a new one, or what stands for none."""
    store.pending_file().touch()
    if request["vault"]["policy"] == policies.NONE:
        rows = np.flatnonzero(division.development)
        content = content_id(division.forms.digests[rows], division.rows.y[rows])
        return f"{store.OPEN}{content[: 32 - len(store.OPEN)]}"
    if division.vault is not None:
        return division.vault
    try:
        vault = seal(seal_request(request, division))
    except HoldfastError:
        # A refusal changes nothing, so the rows that are in the store stay good.
        store.pending_file().unlink()
        raise
    _remove_sealed_rows(vault)
    return vault


def seal_request(request: Mapping[str, Any], division: Division) -> SealRequest:
    """The request to seal the test rows of a division."""
    rows = division.rows
    raw = raw_rows(rows, division.forms)
    source = {"name": request["name"], **{key: _placed(key, value) for key, value in request["source"].items()}}
    return SealRequest(
        source=source,
        test_rule=request["test_rule"],
        task=rows.task,
        kind=rows.kind,
        target=rows.target_name,
        layout=raw.layout,
        pieces=raw.pieces,
        forms=division.forms,
        test=division.test,
        development=division.development,
        is_common=common_rows(rows),
        settings=request["vault"],
        counts=division.counts,
        strata=division.strata,
        groups=rows.groups,
        first_time=division.first_time,
        replaces=division.replaces,
        shares=division.shares,
    )


def _placed(key: str, value: Any) -> Any:
    """A path as it can be found from any folder: the report says whether the source still lies there."""
    is_path = "path" in key and isinstance(value, str) and value and Path(value).exists()
    return str(Path(value).absolute()) if is_path else value


def _finish(request: Mapping[str, Any], folder: Path, division: Division, made: MadeView, notes: list[str]) -> None:
    """Write the view, and then the answer that points at it."""
    rows = division.rows
    answer = {
        **{key: request[key] for key in ("name", "files")},
        "rows": folder.name,
        "view": write_view(folder, division, made, notes),
        "others": state_of_files(rows.files),
        "pixel_scale": rows.pixel_scale,
        "notes": notes,
        "num_left_out": division.counts["left_out"],
        "kind": rows.kind,
        "columns": rows.table.names if rows.table is not None else [],
        "vaults": sorted(record["vault"] for record in registry.in_force()),
    }
    store.request_file(request["id"]).parent.mkdir(parents=True, exist_ok=True)
    write_atomic(store.request_file(request["id"]), canonical_json(answer))
    store.pending_file().unlink(missing_ok=True)


def _vault_notes(vault: str, view: Mapping[str, Any]) -> list[str]:
    """Notes on the columns of a view that are to be known before its run is opened."""
    if store.is_open(vault) or view["form"] != "table":
        return []
    names = list(dict.fromkeys(column.get("source", column["name"]) for column in view["columns"]))
    sealed = read_manifest(vault)["parts"]["x"]
    lacking = [name for name in names if name not in sealed.get("columns", names)]
    notes = [f"column {name!r} is not in the sealed rows: an opening takes it as missing in each" for name in lacking]
    siblings = {
        registry.record_of(sibling)["target"]: sibling for sibling in lifecycle.family_of(vault) if sibling != vault
    }
    return notes + [
        f"column {name!r} is what vault {siblings[name][:8]} predicts of the same test rows"
        for name in names
        if name in siblings
    ]


def _remove_replaced_rows() -> None:
    """Remove the rows of vaults that were sealed anew: rows that were train are test now."""
    for folder in store.rows_folders():
        vault = store.vault_of(folder)
        if not store.is_open(vault) and not registry.is_current(vault):
            remove_rows(folder)


def _remove_sealed_rows(vault: str) -> None:
    """Remove rows of other vaults, or of none, that are sealed in this one now: no view of them may stay."""
    sealed = known_rows.sealed_rows(vault)
    columns = registry.record_of(vault)["columns"]
    for folder in store.rows_folders():
        others = json.loads((folder / "raw" / "meta.json").read_bytes())["digested"]
        if others != columns:  # other digests, of which none is the same
            # Rows without a vault may be the same ones over other columns, and nothing is lost with them.
            if store.is_open(store.vault_of(folder)) and 2 * len(set(others) & set(columns)) >= len(columns) > 0:
                remove_rows(folder)
            continue
        if sealed.are_sealed(np.load(folder / "raw" / "digests.npy", mmap_mode="r")).any():
            remove_rows(folder)


def _remove_leftovers() -> None:
    """Finish what a killed preparation left: its vault may have been sealed, and may know rows of the store."""
    if store.pending_file().exists():
        with registry.locked():
            lifecycle.recover()
        _remove_replaced_rows()
        for record in registry.in_force():
            _remove_sealed_rows(record["vault"])
        store.pending_file().unlink()
    for pattern in (".*.old", "*/.*.tmp", "*/views/.*.tmp"):
        for folder in (places.store() / "rows").glob(pattern):
            shutil.rmtree(folder)


@contextmanager
def _full_disk_refused() -> Iterator[None]:
    """Turn a disk that is full into one line; what was begun is swept."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        with suppress(OSError, HoldfastError):
            _remove_leftovers()
        problem = f"the rows could not be stored ({error.strerror})"
        raise RunFailed(str(places.home()), problem, next=MORE_ROOM) from None


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


def _summary(vault: str, division: Division) -> str:
    counts = division.counts
    stored = f"{counts['development']:,} train and val rows in the store"
    if store.is_open(vault):
        return f"{stored}, no vault"
    equal = counts["left_out"] - sum(count for key, count in counts.items() if key in REASONS)
    left_out = f", {equal:,} left out (equal to a test row)" if equal > 0 else ""
    return f"{stored}, {division.num_sealed:,} test rows sealed in vault {vault[:12]}{left_out}"


def _say(line: str) -> None:
    print(f"holdfast: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(child.answer_questions(answer))
