"""A trained run as something that predicts: from its folder alone, without its data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from holdfast.config.check import check_recorded
from holdfast.core.errors import InputError, VaultRefused
from holdfast.core.files import sha256_file
from holdfast.core.run_record import FILE_NAME, read_run
from holdfast.core.tasks import task_of
from holdfast.data.statistics import TrainStatistics
from holdfast.training.build import Shapes, build_untrained, reconstructs
from holdfast.training.checkpoints import FOLDER, LAST, STATE, read_checkpoint
from holdfast.training.module import SupervisedModule

BUILT = ("model", "transform", "tta")


@dataclass(frozen=True)
class Restored:
    """A network with its weights and the statistics of its transform.

    Attributes:
        module: In evaluation mode.
        shapes: What it takes and gives.
        epoch: Epochs that it was trained for.
        checkpoint: The file it came from.
    """

    module: SupervisedModule
    shapes: Shapes
    epoch: int
    checkpoint: Path

    def predict(self, x: NDArray[Any], *, batch_size: int = 1024) -> NDArray[np.float32]:
        """Predict rows as they are stored: uint8 images (n, H, W, C) or tables (n, features).

        Returns:
            Class probabilities (n, classes), P(1) (n,) for binary, label probabilities (n, labels), or values (n,) in
            original units.
        """
        parts = [self._predict_batch(x[start : start + batch_size]) for start in range(0, len(x), batch_size)]
        columns = task_of(self.shapes.task).row_shape(self.shapes.num_outputs)
        return np.concatenate([np.zeros((0, *columns), np.float32), *parts])

    @torch.inference_mode()
    def _predict_batch(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        batch = torch.from_numpy(np.array(rows)).to(self.module.device)
        return self.module.predict(batch).float().cpu().numpy()


def load_model(
    run_folder: Path,
    checkpoint: str | Path | None = None,
    *,
    device: str = "cpu",
    sha256: Mapping[str, str] | None = None,
) -> Restored:
    """Build the network of a run again and load its weights.

    Args:
        run_folder: Holds `run.json`, whose `config` says what to build.
        checkpoint: A checkpoint file, relative to the folder; by default the best one, or the last where no epoch
            was best.
        device: Where to predict.
        sha256: What the files must hash to, by name; None: they may be any.

    Raises:
        InputError: The folder is no run, or the checkpoint is missing, damaged, or of another network.
        VaultRefused: A file is not the one that was hashed.
    """
    record = read_run(run_folder)
    best = record["best"]
    path = run_folder / (checkpoint or (best["checkpoint"] if best else f"{FOLDER}/{LAST}"))
    if sha256 is not None and sha256_file(run_folder / FILE_NAME) != sha256[FILE_NAME]:
        raise VaultRefused(str(run_folder / FILE_NAME), "was changed since the freeze")
    expected = None if sha256 is None else sha256[str(path.relative_to(run_folder))]
    return _load(record["config"], path, device, expected)


def _load(config: Mapping[str, Any], path: Path, device: str, sha256: str | None) -> Restored:
    check_recorded(config, BUILT)
    if reconstructs(config):
        hint = "train with model.pretrained set to this run"
        raise InputError(str(path), "gives rows back and predicts nothing (loss=reconstruction)", next=hint)
    content = read_checkpoint(path, sha256)
    shapes = Shapes.from_dict(content[STATE]["shapes"])
    module = build_untrained(config, shapes)
    try:
        module.load_state_dict(content["state_dict"])
    except RuntimeError as error:
        raise InputError(str(path), f"does not fit the network that run.json names ({error})") from None
    module.eval().requires_grad_(False)
    return Restored(module.to(device), shapes, len(content[STATE]["history"]), path)


def statistics_state(run_folder: Path, checkpoint: str, statistics: TrainStatistics) -> list[tuple[str, NDArray[Any]]]:
    """The buffers that a run's module would hold if it were built with these train statistics.

    Args:
        run_folder: Holds `run.json`.
        checkpoint: Says what the data is like.
        statistics: Of the train rows.
    """
    config = read_run(run_folder)["config"]
    check_recorded(config, BUILT)
    shapes = Shapes.from_dict(read_checkpoint(run_folder / checkpoint)[STATE]["shapes"])
    state = build_untrained(config, shapes, statistics).state_dict()
    held = {name: value for name, value in state.items() if not name.startswith("model.")}
    return [(name, value.numpy()) for name, value in held.items()]
