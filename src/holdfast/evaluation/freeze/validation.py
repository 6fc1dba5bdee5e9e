"""The val rows of a frozen model, predicted and scored by the same evaluator that will see the test rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError, VaultRefused
from holdfast.core.messages import ArrayBlocks
from holdfast.core.tasks import PerTarget, task_of
from holdfast.data.loading.train_val import RunRows
from holdfast.data.statistics import input_columns
from holdfast.ensembles.scores import score
from holdfast.ensembles.val_terms import fold_of_rows
from holdfast.evaluation.processes import OwnMetrics, Predictor

BLOCK_ROWS = 4096
SCORE_RTOL = 1e-5
STATISTICS_RTOL = 1e-5
PREDICTION_ATOL = 1e-4
FLOAT32_STEP = 6e-8
# Another order and other batch sizes, and some rows one by one.
OTHER_BATCH_ROWS = 61
SINGLE_ROWS = 16
STANDARD_LOSSES = tuple(f"holdfast.losses.{name}" for name in ("auto", "cross_entropy", "binary_cross_entropy", "mse"))


def predict_val(
    predictor: Predictor,
    val: RunRows,
    columns: tuple[int, ...],
    *,
    places: NDArray[np.int64] | None = None,
    batch_size: int = 1024,
) -> NDArray[np.float32]:
    """Predictions of a single model for the val rows, or for those at some places among them."""
    rows = val.val if places is None else val.val[places]
    (predictions,) = predictor.predict(_stored(val, rows), columns, is_sealed=False, batch_size=batch_size)
    return np.asarray(predictions)


def predict_out_of_fold(
    predictor: Predictor, folds: Sequence[RunRows], columns: tuple[int, ...]
) -> tuple[NDArray[np.float32], RunRows]:
    """Predictions for all train and val rows, each by the one of several models that has it in its fold; these rows.

    Raises:
        VaultRefused: The folds are not those of one division.
    """
    every = replace(folds[0], val=np.arange(len(folds[0].prepared.y)))
    try:
        fold_of = fold_of_rows([fold.val for fold in folds], len(every.val))
    except InputError as error:
        raise VaultRefused("ensemble", error.problems[0].what, next="train all folds anew") from None
    of_models = predictor.predict(_stored(every, every.val), columns, is_sealed=False)
    return np.asarray(of_models[fold_of, every.val]), every


def exact_loss(predictor: Predictor, val: RunRows, task: str, num_outputs: int) -> tuple[float, float]:
    """The val loss from float64 log-probabilities, and how far rounding in float32 can have moved a recorded one."""
    kind = task_of(task)
    columns = (num_outputs, 2) if kind.is_labels else (kind.num_columns(num_outputs),)
    logs = predictor.log_probabilities(_stored(val, val.val), columns)
    chosen = np.take_along_axis(logs, val.targets.astype(np.int64)[..., None], axis=-1)
    return float(-chosen.mean()), float(8 * FLOAT32_STEP * np.abs(logs).max(axis=-1).mean())


def refuse_other_predictions(
    predictor: Predictor, fields: Mapping[str, Any], models: Sequence[Mapping[str, Any]], folder: Path, val: RunRows
) -> None:
    """Refuse models that predict the val rows otherwise than when they were frozen, by the same evaluator."""
    columns = task_of(fields["task"]).row_shape(fields["num_outputs"])
    of_models = predictor.predict(_stored(val, val.val), columns, is_sealed=False)
    for model, predictions in zip(models, of_models, strict=True):
        frozen = np.load(folder / model["val_predictions"], allow_pickle=False)
        worst = _distance(predictions, frozen, val.target_std)
        if not worst <= PREDICTION_ATOL:
            problem = f"the models predict the val rows otherwise than when they were frozen (by {worst:.3g})"
            raise VaultRefused("preflight", problem, next="restore the environment of the freeze; nothing was spent")


def refuse_unstable(predictor: Predictor, val: RunRows, predictions: NDArray[np.float32], tolerance: float) -> None:
    """Refuse predictions that depend on the rows that come with a row: by more than 1e-4 (2e-2 in half precision).

    The val rows are predicted in reverse order and in batches of another size, and some of them alone.
    """
    tolerance = max(tolerance, PREDICTION_ATOL)
    num = len(predictions)
    reverse, single = np.arange(num)[::-1], np.unique(np.linspace(0, num - 1, SINGLE_ROWS).astype(np.int64))
    for places, batch_size, words in ((reverse, OTHER_BATCH_ROWS, "the order of rows or"), (single, 1, "")):
        again = predict_val(predictor, val, predictions.shape[1:], places=places, batch_size=batch_size)
        worst = _distance(again, predictions[places], val.target_std)
        if not worst <= tolerance:
            problem = f"predictions change with {words} the size of a batch (by {worst:.3g})".replace("  ", " ")
            hint = "a prediction must depend on its own row alone: no batch statistics, no state, no dropout"
            raise VaultRefused("predictor", problem, next=hint)


def refuse_other_statistics(where: str, expected: Mapping[str, NDArray[Any]], state: Mapping[str, Any]) -> None:
    """Refuse a checkpoint whose statistics are not what the train rows alone give, as where val rows had a part."""
    for name, value in expected.items():
        far = _relative_difference(np.asarray(state.get(name, np.empty(0))), value)
        if not far <= STATISTICS_RTOL:
            problem = f"{name} is not what the train rows alone give (relative difference {far:.2g})"
            raise VaultRefused(where, problem, next="train again: statistics must come from train rows")


def refuse_other_record(where: str, record: Mapping[str, Any], content: Mapping[str, Any]) -> None:
    """Refuse a record that was edited: its checkpoint says how the epoch was chosen, by which rows and weights."""
    state = content.get("holdfast", {})
    best, data = state.get("best") or {}, state.get("data") or {}
    pairs = {f"best.{name}": (record["best"][name], best.get(name)) for name in ("monitor", "mode", "epoch")}
    pairs |= {f"data.{name}": (record["data"].get(name), data.get(name)) for name in ("vault", "rows", "val_sha256")}
    pairs["pretrained"] = (record.get("pretrained", []), state.get("pretrained"))
    for name, (recorded, held) in pairs.items():
        if recorded != held:
            problem = f"{name} is {recorded!r:.80} in run.json, and {held!r:.80} in the checkpoint"
            raise VaultRefused(where, problem, next="restore run.json; or train the run again")


def _relative_difference(held: NDArray[Any], value: NDArray[Any]) -> float:
    """The largest one; equal numbers, NaN and infinite ones included, have none."""
    if held.shape != value.shape:
        return float("inf")
    held, value = held.astype(np.float64), value.astype(np.float64)
    is_equal = (held == value) | (np.isnan(held) & np.isnan(value))
    with np.errstate(invalid="ignore"):
        far = np.abs(held - value) / np.maximum(np.abs(value), 1e-7)
    return float(np.where(is_equal, 0.0, far).max(initial=0.0))


def refuse_other_columns(where: str, val: RunRows, content: Mapping[str, Any]) -> None:
    """Refuse a checkpoint with another view than the val rows, or vocabularies of more than the train rows."""
    shapes = content.get("holdfast", {}).get("shapes", {})
    if shapes.get("view") != val.prepared.view:
        raise VaultRefused(where, "has another view of its rows than the store", next="train again")
    held = shapes.get("columns")
    if held and held != [column.as_dict() for column in input_columns(val.prepared.columns, val.statistics)]:
        problem = "columns are not what the train rows alone give"
        raise VaultRefused(where, problem, next="train again: vocabularies must come from train rows")


def has_standard_loss(config: Mapping[str, Any]) -> bool:
    """Tell whether the loss follows from probabilities or values: ours, without smoothing."""
    loss = config["loss"]
    return loss.get("_target_") in STANDARD_LOSSES and not loss.get("label_smoothing")


def tolerance_of(record: Mapping[str, Any]) -> float:
    """The largest distance between predictions in float32 on a CPU and those of the run that is recorded."""
    if "16" in str(record["precision"]):
        return 2e-2
    # Convolutions on a GPU multiply with ten bits of mantissa (TF32).
    return 1e-6 if str(record["device"] or "cpu").startswith("cpu") else 1e-3


def val_scores(
    predictions: NDArray[np.float32],
    val: RunRows,
    task: str,
    num_outputs: int,
    tolerance: float,
    *,
    names: Sequence[str] | None = None,
    target_names: Sequence[str] = (),
) -> dict[str, tuple[float, float]]:
    """The val metrics, and how far each can move when no prediction moves by more than `tolerance`.

    A metric is best where all predictions move towards the truth, and worst where all move away from it. For a
    regression the tolerance is in units of the train targets' spread. `names` and `target_names` are those of
    `scores.score`.
    """
    y = val.targets
    options: dict[str, Any] = {"task": task, "num_outputs": num_outputs, "target_std": val.target_std}
    options |= {"names": names, "target_names": target_names}
    scores = _with_slack(lambda moved: score(moved, y, **options), predictions, val, task, tolerance)
    if not task_of(task).is_values:
        # A loss does not move with small probabilities, but with what is lost where they round to 0 or 1.
        losses = [task_of(task).row_losses(moved, y).mean() for moved in _moved(predictions, y, task, 8 * FLOAT32_STEP)]
        loss = scores["loss"][0]
        scores["loss"] = (loss, tolerance + max(abs(float(moved) - loss) for moved in losses))
    return scores


def own_val_scores(
    metrics: OwnMetrics, predictions: NDArray[np.float32], val: RunRows, task: str, tolerance: float
) -> dict[str, tuple[float, float]]:
    """The val metrics of the user's own, and how far each can move, as `val_scores` has it."""
    return _with_slack(lambda moved: metrics.values(moved, val.targets), predictions, val, task, tolerance)


def _with_slack(
    scored: Callable[[NDArray[np.float32]], dict[str, float]],
    predictions: NDArray[np.float32],
    val: RunRows,
    task: str,
    tolerance: float,
) -> dict[str, tuple[float, float]]:
    """Each score of the predictions, and how far it is from those of predictions that have moved."""
    step = tolerance * np.asarray(val.target_std)
    bounds = [scored(moved) for moved in _moved(predictions, val.targets, task, step)]
    values = scored(predictions)
    return {name: (value, max(abs(bound[name] - value) for bound in bounds)) for name, value in values.items()}


def _moved(
    predictions: NDArray[np.float32], y: NDArray[Any], task: str, step: float | NDArray[np.float64]
) -> list[NDArray[np.float32]]:
    """Predictions that have moved by a step, or one for each target, towards the truth, and away from it."""
    kind = task_of(task)
    if kind.is_values:
        truth, is_above = y, y > predictions
    else:
        truth = y > 0 if kind.is_flat else kind.truth(y, predictions.shape[1])
        is_above = truth
    nearer = predictions + np.clip(truth - predictions, -step, step)
    farther = predictions - np.where(is_above, step, -step)
    if not kind.is_values:
        farther = np.clip(farther, 0.0, 1.0)
    return [nearer.astype(np.float32), farther.astype(np.float32)]


def refuse_other_scores(
    recorded: Mapping[str, float], scores: Mapping[str, tuple[float, float]], tolerance: float
) -> None:
    """Refuse recorded val metrics that the evaluator does not reproduce (`val_scores`)."""
    rtol = SCORE_RTOL if tolerance <= PREDICTION_ATOL else 2 * tolerance
    for name, (value, slack) in scores.items():
        before, now = recorded.get(f"val/{name}"), value if np.isfinite(value) else None
        if before is None or now is None:
            is_reproduced = before is now
        else:
            is_reproduced = abs(before - now) <= rtol * abs(before) + slack + 1e-7
        if not is_reproduced:
            was, is_now = ("undefined" if number is None else f"{number:.6g}" for number in (before, now))
            problem = f"was {was} when the run was recorded, and is {is_now} from its files"
            hint = "run.json, the checkpoint or the code was changed since: train the run again"
            raise VaultRefused(f"val/{name}", problem, next=hint)


def _distance(predictions: NDArray[Any], expected: NDArray[Any], target_std: PerTarget) -> float:
    """The largest difference of two predictions; of values in units of their targets' spread."""
    if predictions.shape != expected.shape:
        return float("inf")
    return float((np.abs(predictions - expected) / np.asarray(target_std)).max(initial=0.0))


def _stored(val: RunRows, rows: NDArray[np.int64]) -> ArrayBlocks:
    x = val.prepared.x
    blocks = (x[rows[start : start + BLOCK_ROWS]] for start in range(0, len(rows), BLOCK_ROWS))
    return ArrayBlocks(x.dtype, (len(rows), *x.shape[1:]), blocks)
