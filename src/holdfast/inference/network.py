"""The network of a run or an ensemble, from their folders alone: no data and no HOLDFAST_HOME is needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.core.errors import InputError, VaultRefused
from holdfast.core.files import sha256_file
from holdfast.core.run_record import read_run
from holdfast.inference.checks import read_predicting_run
from holdfast.training.restore import Network, Restored, load_model


@dataclass(frozen=True)
class Loaded:
    """A run that predicts: its network, and what was restored of each member, with its record."""

    folder: Path
    record: dict[str, Any]
    network: Network
    members: tuple[tuple[dict[str, Any], Restored], ...]

    @property
    def data(self) -> dict[str, Any]:
        """The part of the record that is about the data."""
        data: dict[str, Any] = self.record["data"]
        return data


def load_run(folder: Path) -> Loaded:
    """Restore a run, or all members of an ensemble, on the CPU.

    Raises:
        InputError: A folder is no run, a member is gone, or a checkpoint does not fit.
        VaultRefused: A member was changed since the ensemble was made.
    """
    record = read_predicting_run(folder)
    if record["kind"] != "ensemble":
        restored = load_model(folder)
        return Loaded(folder, record, Network([restored.module], [1.0]), ((record, restored),))
    ensemble = record["ensemble"]
    members = tuple(_member(folder, entry) for entry in ensemble["members"])
    network = Network(
        [restored.module for _, restored in members],
        [entry["weight"] for entry in ensemble["members"]],
        combine=ensemble["combine"],
        temperature=ensemble["temperature"],
    )
    return Loaded(folder, record, network, members)


def _member(ensemble: Path, entry: dict[str, Any]) -> tuple[dict[str, Any], Restored]:
    run = member_folder(ensemble, entry)
    path = run / entry["checkpoint"]
    if sha256_file(path) != entry["sha256"]:
        raise VaultRefused(str(path), "was changed since the ensemble was made", next="make the ensemble again")
    return read_run(run), load_model(run, entry["checkpoint"])


def member_folder(ensemble: Path, entry: dict[str, Any]) -> Path:
    """Find the folder of a member, which may have been moved together with its ensemble.

    Raises:
        InputError: Its checkpoint is gone.
    """
    recorded = Path(entry["run"])
    places = (
        ensemble / recorded,
        ensemble.parent / recorded.name,
        ensemble.parent.parent.joinpath(*recorded.parts[-2:]),
    )
    run = next((place for place in places if (place / entry["checkpoint"]).is_file()), places[0])
    if not (run / entry["checkpoint"]).is_file():
        raise InputError(str(ensemble), f"its member {run} has no {entry['checkpoint']} any more", next="restore it")
    return run
