"""The store: prepared train and val rows on disk, memory-mapped. No test row is ever in it.

    store/rows/<id>/raw/              what is known of the rows, whatever the view: meta.json, y.npy, digests.npy; where
                                      there are any, units.npy, groups.npy, times.npy, parts.npy, is_new.npy
    store/rows/<id>/views/<view>/     what a run sees of them: meta.json, x.npy; kept.npy where rows are left out;
                                      sealed.fingerprints, of the sealed rows as the view shows them
    store/rows/<id>/views/<view>/derived/   val masks and train statistics, one file a split
    store/decided/<key>.npz           which rows of a table are which (`store.decided`)
    store/requests/<sha256>.json      a request that was answered: which rows and view, and the state of its files
    store/pending                     a preparation is going on, or was killed
    store/downloads/                  raw files that a source fetched

<id> is the vault (or none-<content>, of rows prepared with vault=none) and the content of the rows: rows that were
appended to, and views, stand beside each other. `prepare` answers a known request from these files alone. For anything
else it starts `holdfast.data.store.worker`, the one process that ever sees all rows.
"""

from __future__ import annotations

import contextlib
import json
import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.config.resolve import arguments, as_plain, call_target, search_path
from holdfast.core import places
from holdfast.core.child import Child
from holdfast.core.errors import InputError, RunFailed
from holdfast.core.files import canonical_json, sha256_hex
from holdfast.data.columns import Column, column_from_dict
from holdfast.data.in_memory import HANDED_OVER
from holdfast.data.rows import Array
from holdfast.data.store.source_files import source_state, state_of_files
from holdfast.vault import policies, project_lock, registry
from holdfast.vault.manifest import FILE_NAME, folder_of
from holdfast.vault.rows.digest_sets import ascending, keys_of

FORMAT = 3
OPEN = "none-"
# What reading a damaged or half-deleted file may raise.
UNREADABLE = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile)


@dataclass(frozen=True, eq=False)
class Prepared:
    """The development rows of one vault as a view shows them: train and val, in the order of the source."""

    folder: Path  # where the view lies in the store
    vault: str  # the id of the vault that holds the test rows
    view: dict[str, Any]  # what made `x` of the raw rows, as `data.views` has it
    name: str  # that of the file, or of the data option (`shown_name`)
    task: str  # "multiclass", "binary", "multilabel" or "regression"
    kind: str  # "image", "table" or "array"
    class_names: tuple[str, ...]  # one per class or label; empty for regression
    num_test: int  # how many rows are sealed
    num_left_out: int  # rows left out because a test row is equal to them, or near
    x: Array  # (n, H, W, C) uint8 images, (n, d) float32 or float64 tables, (n, ...) arrays; a memory map
    y: Array  # (n,) int64 or float32, (n, k) uint8; a memory map
    digests: NDArray[np.uint8]  # (n, 16) content digests of what the source holds; a memory map
    # (n, 16) the same digest for all rows that stay on one side; `digests` where nothing links rows
    units: NDArray[np.uint8]
    columns: tuple[Column, ...] = ()  # the columns of a table; empty otherwise
    notes: tuple[str, ...] = ()  # warnings of the source
    groups: NDArray[np.int64] | None = None  # (n,) numbers of the groups; None where none were declared
    times: Array | None = None  # (n,) when each row was taken; None where that is not known
    parts: NDArray[np.int8] | None = None  # (n,) int8, 0 train, 1 val, as they were declared; None where they were not
    is_new: NDArray[np.bool_] | None = None  # (n,) rows that came after the test rows were sealed; None: there are none
    pixel_scale: float = 1.0  # what the source's numbers were multiplied by to become bytes

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the columns of a table."""
        return tuple(column.name for column in self.columns)

    @property
    def id(self) -> str:
        """The name of these rows and their view in the store."""
        return f"{self.folder.parent.parent.name}/{self.folder.name}"


def val_sha256(prepared: Prepared, val: NDArray[np.int64]) -> str:
    """The SHA-256 that val rows are compared by: over their raw identities in ascending order, whatever the view."""
    digests = np.asarray(prepared.digests[val])
    return sha256_hex(digests[ascending(digests)].tobytes())


def content_sha256(prepared: Prepared, train: NDArray[np.int64], val: NDArray[np.int64]) -> str:
    """The SHA-256 that says which train rows and which val rows there are, with their targets, in whatever order.

    A row's number depends on what it holds and on its target; the numbers of a part are summed up, modulo 2^64.
    """
    sums = []
    for rows in (train, val):
        targets = np.asarray(prepared.y[rows], np.float32).reshape(len(rows), -1).view(np.uint32).astype(np.uint64)
        numbers = keys_of(np.asarray(prepared.digests[rows]))[:, None] * (targets + np.uint64(1))
        sums.append(numbers.sum(axis=0, dtype=np.uint64).tobytes())
    return sha256_hex(b"".join(sums))


def order_sha256(prepared: Prepared, train: NDArray[np.int64], val: NDArray[np.int64]) -> str:
    """The SHA-256 over raw identities of train rows, then of val rows, each in their order."""
    return sha256_hex(b"".join(np.asarray(prepared.digests[rows]).tobytes() for rows in (train, val)))


def prepare(
    data: Mapping[str, Any],
    split: Mapping[str, Any],
    vault: Mapping[str, Any],
    project: Path | None = None,
    rows_in_memory: Path | None = None,
    *,
    before: Callable[[], None] = lambda: None,
) -> Prepared:
    """The development rows of a data set; prepared and sealed first where that has not been done.

    Args:
        data: The `data` group of the config: `name` and `source`, an entry with a `_target_`.
        split: The `split` group.
        vault: The `vault` group: the policy that a new vault is given.
        project: The working folder whose `holdfast.lock` is kept; None: no lock is looked at.
        rows_in_memory: The file with the rows that the caller holds in memory (`data.in_memory`).
        before: Is called where the rows are not prepared yet; what it raises keeps them so.

    Raises:
        InputError: The source, its files or the split are at fault.
        VaultRefused: This content is sealed with another test part, or the lock names another vault for it.
        RunFailed: The preparation died.
    """
    request = make_request(as_plain(data), as_plain(split), as_plain(vault))
    locked = {} if project is None else project_lock.read_lock(project)
    if project is not None:
        request["locked"] = list(locked.values())
    # A vault that is frozen elsewhere may be over these rows: only who sees all of them can tell.
    prepared = None if project_lock.unknown(request.get("locked", ())) else find_prepared(request)
    if prepared is None:
        before()
        _run_preparation(request, rows_in_memory)
        prepared = find_prepared(request)
    if prepared is None:
        raise RunFailed("store", f"{places.store()} changed while the rows were prepared", next="start again")
    if project is not None and not is_open(prepared.vault):
        project_lock.check_heads(locked, prepared.vault)
        if "seal" not in locked.get(prepared.vault, {"heads": {}})["heads"]:
            project_lock.note_head(project, prepared.vault, "seal", registry.read_ledger(prepared.vault)[0])
    return prepared


def is_from_memory(data: Mapping[str, Any]) -> bool:
    """Tell a `data` group whose rows the caller held in memory."""
    return data["source"]["_target_"] in ("holdfast.sources.memory", "holdfast.sources.memory_arrays")


def open_prepared(place: str) -> Prepared:
    """The rows and the view that a run was trained on, by `Prepared.id`; an InputError where they are gone."""
    try:
        rows, _, view = place.partition("/")
        return read_view(rows_folder(rows) / "views" / view)
    except UNREADABLE:
        problem = f"has no rows {place[:12]}"
        raise InputError(str(places.store()), problem, next="run its data option once more") from None


def make_request(data: dict[str, Any], split: dict[str, Any], vault: dict[str, Any]) -> dict[str, Any]:
    """The request of a preparation: what decides its outcome, as JSON."""
    rule = call_target(split, "split").test_rule()
    source = {"_target_": data["source"]["_target_"], **arguments(data["source"])}
    settings = policies.checked_settings(arguments(vault))
    fixed = {"format": FORMAT, "source": source, "test_rule": rule, "vault": settings}
    request_id = sha256_hex(canonical_json(fixed))
    state = {"files": source_state(source), "id": request_id, "name": shown_name(data)}
    return {**fixed, **state, "split": split, "subset": data.get("subset")}


def shown_name(data: Mapping[str, Any]) -> str:
    """The name of a data set where it is shown: that of its file or folder, else that of its option."""
    path = data.get("path")
    paths = [path] if isinstance(path, str) else path or ()
    name = Path(str(paths[0])).name if paths else ""
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return f"{name}{more}" if name else str(data["name"])


def find_prepared(request: Mapping[str, Any]) -> Prepared | None:
    """The answer to a request that was answered before; None when anything has changed since."""
    if pending_file().exists():
        return None
    try:
        answer = json.loads(request_file(request["id"]).read_bytes())
        others = answer["others"]  # files that only the source knew of, such as those in an index
        if answer["files"] != request["files"] or state_of_files(others) != others or not is_up_to_date(answer):
            return None
        # The rows may have been written for another source, from which others were left out.
        of_this_source = {"name": request["name"], "notes": tuple(answer["notes"])}
        of_this_source |= {key: answer[key] for key in ("pixel_scale", "num_left_out")}
        return replace(open_prepared(f"{answer['rows']}/{answer['view']}"), **of_this_source)
    except (*UNREADABLE, InputError):
        return None


def read_view(folder: Path) -> Prepared:
    """Map the rows of a view."""
    meta, arrays = read_raw(folder.parent.parent / "raw")
    if (folder / "kept.npy").exists():
        kept = np.load(folder / "kept.npy")
        arrays = {name: array[kept] for name, array in arrays.items()}
    arrays["x"] = np.load(folder / "x.npy", mmap_mode="c")
    if len(arrays["x"]) != len(arrays["y"]):
        raise ValueError("rows are missing")
    arrays.setdefault("units", arrays["digests"])
    meta |= json.loads((folder / "meta.json").read_bytes())
    for name in ("class_names", "notes"):
        meta[name] = tuple(meta[name])
    meta["columns"] = tuple(column_from_dict(column) for column in meta["columns"])
    return Prepared(folder=folder, **meta, **arrays)


def read_raw(raw: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields and arrays of `Prepared` that are known of rows whatever the view."""
    meta = json.loads((raw / "meta.json").read_bytes())
    if meta.pop("format") != FORMAT:
        raise ValueError("another format")
    num_rows, names, _ = meta.pop("num_rows"), meta.pop("arrays"), meta.pop("digested")
    # Copy on write: torch wants writable memory, the file stays as it is.
    arrays = {name: np.load(raw / f"{name}.npy", mmap_mode="c") for name in names}
    if any(len(array) != num_rows for array in arrays.values()):
        raise ValueError("rows are missing")
    return meta, arrays


def can_be_read(read: Callable[[Path], Any], folder: Path) -> bool:
    """Tell whether a folder of the store is whole and of this format."""
    with contextlib.suppress(*UNREADABLE):
        read(folder)
        return True
    return False


def rows_folder(name: str) -> Path:
    """The folder of rows and their views."""
    return places.store() / "rows" / name


def rows_folders() -> list[Path]:
    """The folders of all rows in the store."""
    return sorted(path.parent.parent for path in (places.store() / "rows").glob("[!.]*/raw/meta.json"))


def vault_of(folder: Path) -> str:
    """The vault of rows in the store."""
    return folder.name.rpartition("-")[0]


def request_file(request_id: str) -> Path:
    """The file that remembers the answer to a request."""
    return places.store() / "requests" / f"{request_id}.json"


def pending_file() -> Path:
    """Exists while rows are sealed and written; left behind by a preparation that was killed."""
    return places.store() / "pending"


def is_up_to_date(answer: Mapping[str, Any]) -> bool:
    """Tell whether an answer's rows are as they would be decided now: its vault stands, and none was sealed since.

    A vault that was sealed since may hold some of the rows.
    """
    newer = [record for record in registry.in_force() if record["vault"] not in answer["vaults"]]
    return stands(vault_of(rows_folder(answer["rows"]))) and not any(_may_hold(record, answer) for record in newer)


def stands(vault: str) -> bool:
    """Tell whether a vault is in force and its folder is there; where rows have none, there is nothing to miss."""
    return is_open(vault) or (registry.is_current(vault) and (folder_of(vault) / FILE_NAME).is_file())


def _may_hold(record: Mapping[str, Any], answer: Mapping[str, Any]) -> bool:
    """Tell whether a vault can know rows of an answer: a table without its columns is of no interest to it."""
    is_alike = (record["kind"] == "table") == (answer["kind"] == "table")
    return is_alike and (set(record["columns"]) <= set(answer["columns"]) or not answer["columns"])


def is_open(vault: str) -> bool:
    """Tell whether rows were prepared with vault=none: no test rows were set aside."""
    return vault.startswith(OPEN)


def _run_preparation(request: Mapping[str, Any], rows_in_memory: Path | None) -> None:
    # Memory that is free goes back to the system at once (glibc), not when the largest array is gone.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(2**20)}
    if rows_in_memory is not None:
        environment[HANDED_OVER] = str(rows_in_memory)
    name = "holdfast.data.store.worker"
    with Child(name, name="data preparation", path=search_path(), environment=environment) as worker:
        worker.ask({"request": request})
