"""The folder of a sweep: what it is known by, and which runs lie in it."""

from __future__ import annotations

from pathlib import Path

from holdfast.core.run_record import FILE_NAME

SWEEP_FILE = "sweep.json"
FOREIGN_FILE = "multirun.yaml"  # what Hydra's own sweeper leaves
LEVELS = ("*", "*/*")  # a trial is a run, or a folder of its repeats


def is_sweep(folder: Path) -> bool:
    """Tell whether a folder is that of a sweep, whichever sweeper made it."""
    return (folder / SWEEP_FILE).is_file() or (folder / FOREIGN_FILE).is_file()


def sweep_of(run: Path) -> Path | None:
    """The folder of the sweep that a run belongs to, as a job or as a repeat of one."""
    return next((folder for folder in run.resolve().parents[: len(LEVELS)] if is_sweep(folder)), None)


def runs_of(sweep: Path) -> list[Path]:
    """The folders of the runs of a sweep, by their numbers."""
    folders = {path.parent for level in LEVELS for path in sweep.glob(f"{level}/{FILE_NAME}")}
    return sorted(folders, key=lambda folder: [_number(name) for name in folder.relative_to(sweep).parts])


def _number(name: str) -> tuple[int, str]:
    return (int(name) if name.isdigit() else -1, name)
