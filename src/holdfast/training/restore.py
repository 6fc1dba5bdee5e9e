"""A trained run as something that predicts: from its folder alone, without its data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from holdfast.config.check import check_recorded
from holdfast.core.errors import InputError, VaultRefused, blamed
from holdfast.core.files import sha256_file
from holdfast.core.run_record import FILE_NAME, read_run
from holdfast.core.tasks import Combine
from holdfast.data.statistics import TrainStatistics
from holdfast.training.build import Shapes, build_untrained, reconstructs
from holdfast.training.checkpoints import FOLDER, LAST, STATE, read_checkpoint
from holdfast.training.combine import mean_of, prediction_of, term_of
from holdfast.training.module import SupervisedModule

BUILT = ("model", "transform", "tta")


class Network(nn.Module):
    """The weighted mean of what its members predict, each with its own transform; a single run is an ensemble of one.

    The predictions of independently trained models are averaged (CS231n, "Model ensembles"): probabilities or logits,
    or the values of a regression.

    Members are in evaluation mode; `weights` are shares that sum to 1; `temperature` is that of the probabilities that
    come out (`combine.prediction_of`).
    """

    def __init__(
        self,
        members: Sequence[SupervisedModule],
        weights: Sequence[float],
        *,
        combine: Combine = "probabilities",
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.weights = tuple(weights)
        self.task = members[0].spec.task
        self.combine: Combine = combine
        self.temperature = temperature

    def forward(self, rows: Tensor) -> Tensor:
        """(n, ...) rows as stored -> float32: (n, classes) or (n, labels) probabilities, (n,) P(1), or (n,) values."""
        return self.prediction_of(mean_of(self.terms(rows), self.weights))

    def terms(self, rows: Tensor) -> list[Tensor]:
        """The values that are averaged: of every member (n, ...) probabilities, logits or values."""
        outputs = [member.outputs_in_units(rows) for member in self.members]  # type: ignore[operator]
        return [term_of(each, self.task, self.combine) for each in outputs]

    def prediction_of(self, mean: Tensor) -> Tensor:
        """The prediction of averaged terms."""
        return prediction_of(mean, self.task, self.combine, self.temperature)

    def predict(self, x: NDArray[Any], *, batch_size: int = 1024) -> NDArray[np.float32]:
        """Predict rows as they are stored, in batches; shapes as of `forward`."""
        return self._in_batches(self, x, batch_size, axis=0)

    def predict_terms(self, x: NDArray[Any], *, batch_size: int = 1024) -> NDArray[np.float32]:
        """(members, n, ...) terms of rows as they are stored."""
        return self._in_batches(lambda rows: torch.stack(self.terms(rows)), x, batch_size, axis=1)

    def predict_members(
        self, x: NDArray[Any], *, batch_size: int = 1024
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(members, n, ...) predictions of every member alone, without temperature, and (n, ...) of all together."""
        terms = torch.from_numpy(self.predict_terms(x, batch_size=batch_size))
        members = torch.stack([prediction_of(term, self.task, self.combine) for term in terms])
        return members.numpy(), self.prediction_of(mean_of(terms, self.weights)).numpy()

    @torch.inference_mode()
    def _in_batches(
        self, function: Callable[[Tensor], Tensor], x: NDArray[Any], batch_size: int, *, axis: int
    ) -> NDArray[np.float32]:
        starts = range(0, max(1, len(x)), batch_size)
        return np.concatenate(
            [function(torch.from_numpy(np.array(x[start : start + batch_size]))).numpy() for start in starts], axis=axis
        )


@dataclass(frozen=True)
class Restored:
    """A network in evaluation mode, with its weights and the statistics of its transform."""

    module: SupervisedModule
    shapes: Shapes
    checkpoint: Path

    def predict(self, x: NDArray[Any], *, batch_size: int = 1024) -> NDArray[np.float32]:
        """Predict rows as they are stored; see `Network`."""
        return Network([self.module], [1.0]).predict(x, batch_size=batch_size)


def load_model(
    run_folder: Path, checkpoint: str | Path | None = None, *, sha256: Mapping[str, str] | None = None
) -> Restored:
    """Build the network of a run again and load its weights, on the CPU.

    Without a checkpoint, a path relative to the folder, it is the best one, or the last where no epoch was best.
    `sha256` are what the files must hash to, by name; None: they may be any.

    Raises:
        InputError: The folder is no run, or the checkpoint is missing, damaged, or of another network.
        VaultRefused: A file is not the one that was hashed.
    """
    record = read_run(run_folder)
    config, best = record["config"], record["best"]
    path = run_folder / (checkpoint or (best["checkpoint"] if best else f"{FOLDER}/{LAST}"))
    if sha256 is not None and sha256_file(run_folder / FILE_NAME) != sha256[FILE_NAME]:
        raise VaultRefused(str(run_folder / FILE_NAME), "was changed since the freeze")
    content = read_checkpoint(path, None if sha256 is None else sha256[str(path.relative_to(run_folder))])
    check_recorded(config, BUILT)
    if reconstructs(config):
        hint = "train with model.pretrained set to this run"
        raise InputError(str(path), "gives rows back and predicts nothing (loss=reconstruction)", next=hint)
    problem = f"the network that {run_folder / FILE_NAME} names cannot be built"
    with blamed(str(path), problem, next="restore run.json and the checkpoint"):
        shapes = Shapes.from_dict(content[STATE]["shapes"])
        module = build_untrained(config, shapes)
    try:
        module.load_state_dict(content["state_dict"])
    except RuntimeError as error:
        raise InputError(str(path), f"does not fit the network that run.json names ({error})") from None
    return Restored(module.eval().requires_grad_(False), shapes, path)


def statistics_state(run_folder: Path, checkpoint: str, statistics: TrainStatistics) -> list[tuple[str, NDArray[Any]]]:
    """The buffers that a run's module would hold if it were built with these statistics of the train rows."""
    config = read_run(run_folder)["config"]
    check_recorded(config, BUILT)
    shapes = Shapes.from_dict(read_checkpoint(run_folder / checkpoint)[STATE]["shapes"])
    state = build_untrained(config, shapes, statistics).state_dict()
    held = {name: value for name, value in state.items() if not name.startswith("model.")}
    return [(name, value.numpy()) for name, value in held.items()]
