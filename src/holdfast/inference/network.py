"""A run's network as one module: from rows as they are stored to probabilities, or values in original units.

A single run is an ensemble of one. Everything comes from folders of runs; no data and no HOLDFAST_HOME is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from holdfast.core.errors import InputError
from holdfast.core.files import sha256_file
from holdfast.core.run_record import read_run
from holdfast.inference.checks import read_predicting_run
from holdfast.training.module import SupervisedModule
from holdfast.training.restore import Restored, load_model


class Network(nn.Module):
    """The weighted mean of what its members predict, each with its own transform.

    Args:
        members: At least one, in evaluation mode.
        weights: Shares that sum to 1.
    """

    def __init__(self, members: Sequence[SupervisedModule], weights: Sequence[float]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.weights = tuple(weights)

    def forward(self, rows: Tensor) -> Tensor:
        """(n, ...) rows as stored -> float32: (n, classes) or (n, labels) probabilities, (n,) P(1), or (n,) values."""
        predictions: list[Tensor] = [member.predict(rows).float() for member in self.members]  # type: ignore[operator]
        if len(predictions) == 1:
            return predictions[0]
        return torch.stack([w * prediction for w, prediction in zip(self.weights, predictions, strict=True)]).sum(dim=0)


@dataclass(frozen=True)
class Loaded:
    """A run that predicts.

    Attributes:
        folder: Of the run.
        record: Its `run.json`.
        network: Of the run, or of all members of an ensemble.
        members: What was restored, with the config that each was built from.
    """

    folder: Path
    record: dict[str, Any]
    network: Network
    members: tuple[tuple[dict[str, Any], Restored], ...]

    @property
    def data(self) -> dict[str, Any]:
        """The part of the record that is about the data."""
        data: dict[str, Any] = self.record["data"]
        return data

    @torch.inference_mode()
    def predict(self, x: NDArray[Any], *, batch_size: int = 1024) -> NDArray[np.float32]:
        """Predict rows as they are stored; shapes as of `Network.forward`."""
        parts = [
            self.network(torch.from_numpy(np.array(x[start : start + batch_size]))).numpy()
            for start in range(0, max(1, len(x)), batch_size)
        ]
        return np.concatenate(parts)


def load_run(folder: Path) -> Loaded:
    """Restore a run, or all members of an ensemble, on the CPU.

    Raises:
        InputError: A folder is no run, a member is gone or has changed, or a checkpoint does not fit.
    """
    record = read_predicting_run(folder)
    if record["kind"] != "ensemble":
        restored = load_model(folder)
        return Loaded(folder, record, Network([restored.module], [1.0]), ((record["config"], restored),))
    listed = record["ensemble"]["members"]
    members = tuple(_member(folder, entry) for entry in listed)
    weights = [entry["weight"] for entry in listed]
    return Loaded(folder, record, Network([restored.module for _, restored in members], weights), members)


def _member(ensemble: Path, entry: dict[str, Any]) -> tuple[dict[str, Any], Restored]:
    recorded = Path(entry["run"])
    # The folders may have been moved together since.
    places = (
        ensemble / recorded,
        ensemble.parent / recorded.name,
        ensemble.parent.parent.joinpath(*recorded.parts[-2:]),
    )
    run = next((place for place in places if (place / entry["checkpoint"]).is_file()), places[0])
    path = run / entry["checkpoint"]
    if not path.is_file():
        raise InputError(str(ensemble), f"its member {run} has no {entry['checkpoint']} any more", next="restore it")
    if sha256_file(path) != entry["sha256"]:
        raise InputError(str(path), "is not the checkpoint that was averaged", next="average the runs again")
    return read_run(run)["config"], load_model(run, entry["checkpoint"])
