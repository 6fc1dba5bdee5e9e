"""`sweep.json`: what a sweep is, written when it starts and read by its workers, by `resume=` and by its table."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from holdfast.core.advice import setting
from holdfast.core.errors import InputError, Problem
from holdfast.core.files import write_atomic
from holdfast.core.sweep_folder import SWEEP_FILE
from holdfast.experiment.resume import MAY_CHANGE
from holdfast.search.space import Space

SCHEMA = 1
GRID = "grid"


@dataclass(frozen=True)
class SweepRecord:
    """A sweep."""

    typed: list[str]  # all overrides as they were typed: what `resume=` repeats
    config_dir: str | None  # the folder of more options, `--config-dir`
    cwd: str  # where the command was typed
    hydra: list[str]  # the overrides of Hydra itself that every job is composed with
    overrides: list[str]  # those that all trials share
    space: Space  # what is searched
    sampler: str  # "grid", or the name of a sampler
    arguments: dict[str, Any]  # of the sampler
    seed: int  # of the sampler
    # the overrides of each run of a trial: its seeds or folds; one empty list where a trial is one run
    repeats: list[list[str]]
    trials: int  # the budget: how many points are trained
    on_failure: Literal["continue", "stop"]  # whether a failed trial ends the sweep ("stop") or not ("continue")
    storage: str | None  # a URL of a database; None for a journal in the folder
    monitor: str  # the val metric that is searched for
    mode: Literal["min", "max"]  # whether less or more of it is better
    workers: int  # how many train at a time
    commands: int = 1  # how many commands have trained it: the one that began it, and each that resumed it

    def create(self, folder: Path) -> None:
        """Write `sweep.json` into a folder that holds none yet; of two sweeps that try, one does.

        Raises:
            InputError: The folder holds a sweep already, or cannot be written.
        """
        draft = folder / f".{SWEEP_FILE}.{os.getpid()}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_atomic(draft, self._as_json())
            os.link(draft, folder / SWEEP_FILE)
        except FileExistsError:
            hint = f"go on with it by -m {setting('resume', folder)}, or choose another folder"
            raise InputError("hydra.sweep.dir", f"{folder} holds a sweep already", next=hint) from None
        except OSError as error:
            raise not_writable(folder, error) from None
        finally:
            draft.unlink(missing_ok=True)

    def rewrite(self, folder: Path) -> None:
        """Replace `sweep.json`: a sweep that goes on may have more trials, or other workers.

        Raises:
            InputError: The folder cannot be written.
        """
        try:
            write_atomic(folder / SWEEP_FILE, self._as_json())
        except OSError as error:
            raise not_writable(folder, error) from None

    def problems_of_resuming(self, now: SweepRecord) -> Iterator[Problem]:
        """Say what another sweep has that this one has not: trials of both could not be compared."""
        before, after = ({entry.key: entry.sorted() for entry in record.space.dimensions} for record in (self, now))
        for key in dict.fromkeys([*before, *after]):
            if before.get(key) != after.get(key):
                yield _changed(key, before.get(key, "no dimension"), after.get(key, "no dimension"))
        if _that_stay(self.overrides) != _that_stay(now.overrides):
            yield _changed("overrides of all trials", _that_stay(self.overrides), _that_stay(now.overrides))
        for name, where in _FIXED.items():
            if getattr(self, name) != getattr(now, name):
                yield _changed(where, getattr(self, name), getattr(now, name))

    def _as_json(self) -> str:
        return json.dumps({"schema": SCHEMA, **asdict(self), "space": self.space.as_dict()}, indent=1) + "\n"


# The other fields that a sweep keeps when it goes on, and what a user knows them by.
_FIXED = {
    "sampler": "hydra.sweeper.sampler",
    "arguments": "hydra.sweeper.arguments",
    "seed": "hydra.sweeper.seed",
    "repeats": "sweep.seeds and split",
    "monitor": "monitor",
    "mode": "mode",
    "storage": "sweep.storage",
}


def read_sweep(folder: Path) -> SweepRecord:
    """Read the record of a sweep.

    Raises:
        InputError: The folder holds no sweep of ours, or a file that cannot be read.
    """
    path = folder / SWEEP_FILE
    try:
        fields = json.loads(path.read_bytes())
        if fields.pop("schema") != SCHEMA:
            raise ValueError("another schema")
        return SweepRecord(**{**fields, "space": Space.from_dict(fields["space"])})
    except FileNotFoundError:
        problem = f"is no sweep: it has no {SWEEP_FILE}"
        raise InputError(str(folder), problem, next="`holdfast runs outputs` lists the runs") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        problem = f"cannot be read ({type(error).__name__}: {error})"
        raise InputError(str(path), problem, next="start the sweep anew in another folder") from None


def not_writable(folder: Path, error: OSError) -> InputError:
    """Make the error of a sweep whose folder cannot be written."""
    problem = f"{folder} cannot be written ({error.strerror})"
    return InputError("hydra.sweep.dir", problem, next="make it writable, or choose another folder")


def _that_stay(overrides: Sequence[str]) -> list[str]:
    """The overrides that a sweep keeps when it goes on, in an order of their own."""
    return sorted(word for word in overrides if re.split(r"[=.]", word.lstrip("+~"))[0] not in MAY_CHANGE)


def _changed(where: str, old: object, new: object) -> Problem:
    problem = f"is {new} now and was {old}"
    return Problem(where, problem, next="undo the change, or start a sweep of its own, without resume=")
