"""The files of a run as they go into a selection: copied from inside the run's folder, and from nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.core.errors import InputError, VaultRefused
from holdfast.core.files import copy_hashed
from holdfast.core.run_record import FILE_NAME, best_checkpoint, read_run

SINGLE = {"combine": "probabilities", "temperature": 1.0, "out_of_fold": False}


@dataclass(frozen=True)
class Copied:
    """A run whose files were copied."""

    index: int  # of the model in the selection
    run: Path  # its folder
    record: Mapping[str, Any]  # its record
    members: list[dict[str, Any]]  # as a selection names them
    records: list[dict[str, Any]]  # of the members
    combined: dict[str, Any]  # how their predictions become one: "combine", "temperature" and "out_of_fold"


def copy_run(staging: Path, index: int, run: Path, record: Mapping[str, Any]) -> Copied:
    """Copy record and checkpoint of every member of a run to `models/<index>/members/<number>`.

    Raises:
        InputError: A checkpoint is gone, or a record lacks what a model is judged by.
        VaultRefused: A file was changed since the ensemble was made, or leaves the run's folder.
    """
    members, records = [], []
    combined = {name: (record["ensemble"] or SINGLE)[name] for name in SINGLE}
    for number, named in enumerate(_members(run, record)):
        folder, checkpoint = run / named["run"], named["checkpoint"]
        place = f"models/{index}/members/{number}"
        for name in (FILE_NAME, checkpoint):  # the checkpoint comes last: its hash is compared
            sha256 = copy_hashed(_inside(folder, name), staging / place / name)
        if named["sha256"] not in (None, sha256):
            problem = "was changed since the ensemble was made"
            raise VaultRefused(str(folder / checkpoint), problem, next="make the ensemble again")
        own = read_run(staging / place)
        if missing := [name for name in ("split", "loss") if not own["config"].get(name)]:
            raise InputError(str(folder), f"its record says nothing of its {missing[0]}", next="restore run.json")
        for name in ("vault",) if combined["out_of_fold"] else ("vault", "val_sha256"):
            if own["data"][name] != record["data"][name]:
                raise VaultRefused(str(folder), f"has another {name} than the ensemble")
        for name in ("monitor", "mode"):  # what the members' checkpoints say, the ensemble's record must say
            if own["best"][name] != record["best"][name]:
                problem = f"was chosen by the {name} {own['best'][name]!r}, and {run} by {record['best'][name]!r}"
                hint = "restore run.json; or make the ensemble again, of members with one monitor"
                raise VaultRefused(str(folder), problem, next=hint)
        chosen = {"folder": place, "checkpoint": checkpoint, "weight": float(named["weight"])}
        members.append({**chosen, "run": own["id"], "seed": own["seed"]})
        records.append(own)
    return Copied(index, run, record, members, records, combined)


def _members(run: Path, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The members of an ensemble as its record names them; a single run is its own."""
    if record["kind"] == "ensemble":
        return list(record["ensemble"]["members"])
    return [{"run": ".", "checkpoint": best_checkpoint(run, record), "weight": 1.0, "sha256": None}]


def _inside(folder: Path, name: str) -> Path:
    """A file of a run, which must lie in the run's folder itself."""
    path = folder / name
    if Path(name).is_absolute() or not path.resolve().is_relative_to(folder.resolve()) or path.is_symlink():
        raise VaultRefused(str(path), "leaves the run's folder", next="freeze a run whose files are its own")
    if not path.is_file():
        raise InputError(str(path), "there is no such checkpoint", next="restore it, or train the run again")
    return path
