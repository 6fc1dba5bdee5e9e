"""Members that are trained: each is a whole run in `members/<n>/` of the ensemble's folder, and is trained once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from holdfast.core.errors import RunFailed
from holdfast.core.run_record import FILE_NAME, RunRecord, best_checkpoint, read_run
from holdfast.ensembles.make import Candidate, Trains

FOLDER = "members"


def train_members(
    experiment: Trains, record: RunRecord, changes: Sequence[Mapping[str, Any]], *, together: bool
) -> list[Candidate]:
    """Train the members that are not there yet, each with other values of some keys.

    Args:
        experiment: The ensemble's.
        record: The ensemble's.
        changes: Of each member, key -> value.
        together: Whether they are stacked where that is possible and faster.

    Raises:
        RunFailed: A member failed.
        Interrupted: A signal came; the ensemble can go on.
    """
    from holdfast.training.stacking import train

    folders = [Path(FOLDER) / str(number) for number in range(len(changes))]
    missing = [
        experiment.member(record.folder / folder, own)
        for folder, own in zip(folders, changes, strict=True)
        if not is_completed(record.folder / folder)
    ]
    if together:
        train(missing)
    for member in () if together else missing:
        print(f"\nmember {member.folder.name}, the last is {len(changes) - 1}", flush=True)
        train([member])
    refuse_failed(record.folder, folders)
    records = [read_run(record.folder / folder) for folder in folders]
    return [
        Candidate(folder, own, best_checkpoint(record.folder / folder, own))
        for folder, own in zip(folders, records, strict=True)
    ]


def refuse_failed(ensemble: Path, folders: Sequence[Path]) -> None:
    """Tell of members that are not completed.

    Args:
        ensemble: Its folder.
        folders: Of the members, relative to it.

    Raises:
        RunFailed: With the reason of the first one.
    """
    failed = [folder for folder in folders if not is_completed(ensemble / folder)]
    if failed:
        reason = read_run(ensemble / failed[0])["stop_reason"]
        problem = f"{len(failed)} of {len(folders)} failed; {failed[0]}: {reason}"
        raise RunFailed("members", problem, next=f"resume={ensemble} trains them again")


def is_completed(folder: Path) -> bool:
    """Tell whether a folder holds a run that came to its end."""
    return (folder / FILE_NAME).exists() and read_run(folder)["status"] == "completed"
