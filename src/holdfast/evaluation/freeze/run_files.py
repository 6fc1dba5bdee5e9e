"""The files of a run as they go into a selection: copied from inside the run's folder, and from nowhere else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError, VaultRefused
from holdfast.core.files import copy_hashed
from holdfast.core.run_record import FILE_NAME, read_run
from holdfast.vault import registry


@dataclass(frozen=True)
class Copied:
    """A run whose files were copied.

    Attributes:
        index: Of the model in the selection.
        run: Its folder.
        record: Its record.
        members: As a selection names them.
        records: Of the members.
    """

    index: int
    run: Path
    record: Mapping[str, Any]
    members: list[dict[str, Any]]
    records: list[dict[str, Any]]


@dataclass(frozen=True)
class _Member:
    """One member of a run or an ensemble: folder, record, file of weights, share, and hash where one was noted."""

    folder: Path
    record: Mapping[str, Any]
    checkpoint: str
    weight: float
    sha256: str | None


def copy_run(staging: Path, index: int, run: Path, record: Mapping[str, Any]) -> Copied:
    """Copy record and checkpoint of every member of a run to `models/<index>/members/<number>`.

    Raises:
        VaultRefused: A file is missing, was changed since the ensemble was made, or leaves the run's folder.
    """
    members, records = [], []
    for number, member in enumerate(_members(run, record)):
        place = f"models/{index}/members/{number}"
        _copy(staging / place, member)
        members.append(
            {
                "folder": place,
                "checkpoint": member.checkpoint,
                "weight": member.weight,
                "run": member.record["id"],
                "seed": member.record["seed"],
            }
        )
        records.append(read_run(staging / place))
    return Copied(index, run, record, members, records)


def refuse_former(where: str, vault: str) -> None:
    """Refuse a run whose vault is not the one in force.

    Raises:
        VaultRefused: It is unknown here, or its rows were sealed anew.
    """
    try:
        record = registry.record_of(vault)
    except InputError:
        problem = f"belongs to vault {vault[:8]}, which is not in this HOLDFAST_HOME"
        raise VaultRefused(
            where, problem, next="set HOLDFAST_HOME to where it was trained, or train it again"
        ) from None
    if record["status"] != registry.SEALED:
        problem = f"belongs to the former vault {vault[:8]}"
        if record["replaced_by"]:
            problem += f": its rows were sealed anew as {str(record['replaced_by'])[:8]}"
        raise VaultRefused(
            where, problem, next="train it again with the split and the vault settings that are in force"
        )


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Write an array, durably, to a new file."""
    with path.open("xb") as file:
        np.save(file, array, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())


def _members(run: Path, record: Mapping[str, Any]) -> list[_Member]:
    if record["kind"] != "ensemble":
        return [_Member(run, record, str(record["best"]["checkpoint"]), 1.0, None)]
    members: list[_Member] = []
    for member in record["ensemble"]["members"]:
        folder = run / member["run"]
        own = read_run(folder)
        for name in ("vault", "val_sha256"):
            if own["data"][name] != record["data"][name]:
                raise VaultRefused(str(folder), f"has another {name} than the ensemble")
        members.append(_Member(folder, own, str(member["checkpoint"]), float(member["weight"]), str(member["sha256"])))
    return members


def _copy(target: Path, member: _Member) -> None:
    for name in (FILE_NAME, member.checkpoint):  # the checkpoint comes last: its hash is compared
        source = _inside(member.folder, name)
        sha256 = copy_hashed(source, target / name)
    if member.sha256 is not None and sha256 != member.sha256:
        where = str(member.folder / member.checkpoint)
        raise VaultRefused(where, "was changed since the ensemble was made", next="make the ensemble again")


def _inside(folder: Path, name: str) -> Path:
    """A file of a run, which must lie in the run's folder itself."""
    path = folder / name
    if Path(name).is_absolute() or not path.resolve().is_relative_to(folder.resolve()) or path.is_symlink():
        raise VaultRefused(str(path), "leaves the run's folder", next="freeze a run whose files are its own")
    if not path.is_file():
        raise VaultRefused(str(path), "is missing", next="train the run again")
    return path
