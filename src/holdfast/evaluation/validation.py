"""The val rows of a frozen run, predicted and scored by the same evaluator that will see the test rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import VaultRefused
from holdfast.data.derived import compute
from holdfast.data.store import open_prepared
from holdfast.data.targets import call_target
from holdfast.evaluation.processes import Predictor
from holdfast.evaluation.wire import layout_of

BLOCK_ROWS = 4096
SCORE_RTOL = 1e-5
PREDICTION_ATOL = 1e-4
STANDARD_LOSSES = tuple(
    f"holdfast.training.losses.{name}" for name in ("auto", "cross_entropy", "binary_cross_entropy", "mse")
)


@dataclass(frozen=True)
class ValRows:
    """Val rows and what the scorer must know of the train rows; taken from the rows, not from a cache.

    Attributes:
        x: (n, ...) development rows, a memory map.
        y: (n, ...) their targets.
        rows: (v,) indices of the val rows.
        sha256: Hash over the digests of the val rows.
        target_std: Spread of the train targets of a regression; else 1.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    rows: NDArray[np.int64]
    sha256: str
    target_std: float


def val_rows(vault: str, split: Mapping[str, Any], expected_sha256: str) -> ValRows:
    """The val rows that a run was chosen by.

    Raises:
        InputError: The store no longer has rows for the vault.
        VaultRefused: The rows are others than those of the run.
    """
    prepared = open_prepared(vault)
    mask, statistics = compute(prepared, call_target(split, "split"))
    sha256 = hashlib.sha256(prepared.digests[mask].tobytes()).hexdigest()
    if sha256 != expected_sha256:
        raise VaultRefused("val rows", "the val rows in the store are not those of the run", next="train the run again")
    return ValRows(prepared.x, prepared.y, np.flatnonzero(mask), sha256, statistics.target_std or 1.0)


def predict_val(predictor: Predictor, val: ValRows, columns: tuple[int, ...]) -> NDArray[np.float32]:
    """Predictions of the val rows."""
    layout = layout_of(val.x[val.rows[:0]])
    layout["shape"][0] = len(val.rows)
    return predictor.predict(layout, _blocks(val), columns, is_sealed=False)


def val_targets(val: ValRows) -> NDArray[Any]:
    """Targets of the val rows."""
    return np.asarray(val.y[val.rows])


def columns_of(task: str, num_outputs: int) -> tuple[int, ...]:
    """The shape of one row's prediction."""
    return () if task in ("binary", "regression") else (num_outputs,)


def has_standard_loss(config: Mapping[str, Any]) -> bool:
    """Whether the loss follows from probabilities or values: ours, without smoothing."""
    loss = config["loss"]
    return loss["_target_"] in STANDARD_LOSSES and not loss.get("label_smoothing")


def tolerance_of(record: Mapping[str, Any]) -> float:
    """How far predictions in float32 on a CPU may lie from those of the run that is recorded."""
    if "16" in str(record["precision"]):
        return 2e-2
    # Convolutions on a GPU multiply with ten bits of mantissa (TF32).
    return 1e-6 if str(record["device"] or "cpu").startswith("cpu") else 1e-3


def refuse_other_scores(recorded: Mapping[str, float], scored: Mapping[str, Any], tolerance: float) -> None:
    """Compare recorded val metrics with those of the evaluator.

    Raises:
        VaultRefused: One of them is not reproduced.
    """
    for name, entry in scored["metrics"].items():
        told, found = recorded.get(f"val/{name}"), entry["value"]
        if told is None or found is None:
            if (told is None) != (found is None):
                raise VaultRefused(
                    f"val/{name}", f"was {told} when the run was recorded, and is {found} from its files"
                )
            continue
        rtol = SCORE_RTOL if tolerance <= PREDICTION_ATOL else 2 * tolerance
        if not abs(told - found) <= rtol * abs(told) + scored["slack"][name] + 1e-7:
            what = f"was {told:.6g} when the run was recorded, and is {found:.6g} from its files"
            hint = "run.json, the checkpoint or the code was changed since: train the run again"
            raise VaultRefused(f"val/{name}", what, next=hint)


def _blocks(val: ValRows) -> Iterator[bytes]:
    for start in range(0, len(val.rows), BLOCK_ROWS):
        block = np.ascontiguousarray(val.x[val.rows[start : start + BLOCK_ROWS]])
        yield block.astype(block.dtype.newbyteorder("<"), copy=False).tobytes()
