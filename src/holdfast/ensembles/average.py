"""The ensemble's prediction: a weighted mean of its members' probabilities, or of their values in a regression.

Averaging the predictions of independently trained models (CS231n, "Model ensembles").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.training.restore import load_model

Predict = Callable[[NDArray[Any]], NDArray[np.float32]]


@dataclass(frozen=True)
class Member:
    """One trained model of an ensemble; a single run is an ensemble of one.

    Attributes:
        run: The run's folder.
        checkpoint: The file of its weights, relative to the folder.
        weight: Its share; the shares of an ensemble sum to 1.
        sha256: What its files must hash to when they are loaded, by name; None: they may be any.
    """

    run: Path
    checkpoint: str
    weight: float
    sha256: Mapping[str, str] | None = None


def average_predictions(members: Sequence[Member], x: NDArray[Any], *, batch_size: int = 1024) -> NDArray[np.float32]:
    """Predict rows with every member, one after the other, and average.

    Args:
        members: At least one.
        x: (n, ...) rows as they are stored.
        batch_size: Rows in one forward pass.

    Returns:
        (n, classes) or (n, labels) probabilities, (n,) P(1), or (n,) values in original units.
    """
    total: NDArray[np.float64] | None = None
    for member in members:
        restored = load_model(member.run, member.checkpoint, sha256=member.sha256)
        predictions = restored.predict(x, batch_size=batch_size)
        share = member.weight * predictions.astype(np.float64)
        total = share if total is None else total + share
    assert total is not None
    return total.astype(np.float32)
