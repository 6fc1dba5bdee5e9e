"""Starts the predictor and the scorer, two short processes, and asks them.

The predictor runs a user's code, which may write to any of its descriptors. So it is confined (`core.child`), all that
it says is withheld once it has sealed rows, and what it answers then is let out as predictions of a known shape.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.config.resolve import search_path
from holdfast.core.child import Child
from holdfast.core.cores import threads_allowed
from holdfast.core.errors import InputError, RunFailed, VaultRefused
from holdfast.core.messages import ArrayBlocks
from holdfast.core.run_record import read_run
from holdfast.data.statistics import TrainStatistics, statistics_as_arrays
from holdfast.evaluation.criterion import parse_criterion
from holdfast.evaluation.statistics.intervals import complete
from holdfast.evaluation.statistics.resampling import interval_of_draws, num_measured
from holdfast.evaluation.statistics.sampling import DEFAULT, Sampling

BATCH_ROWS = 1024


class Predictor:
    """A process with the models of a selection; a context manager."""

    def __init__(self, models: Sequence[Mapping[str, Any]], folder: Path) -> None:
        """Start it.

        Args:
            models: Of each "members", [{"folder", "checkpoint", "weight"}], with "sha256" of their files where they are
                known; "combine" and "temperature", as of `restore.Network`.
            folder: What their folders are relative to.
        """
        self._models = [
            {
                "members": [{**member, "folder": str(folder / member["folder"])} for member in model["members"]],
                **{name: model[name] for name in ("combine", "temperature")},
            }
            for model in models
        ]
        threads = _threads([member for model in self._models for member in model["members"]])
        self._child = _start("predictor", threads, path=search_path(), is_confined=True)
        self.not_confined = self._child.not_confined

    def __enter__(self) -> Predictor:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.close()

    def predict(
        self, rows: ArrayBlocks, columns: tuple[int, ...], *, is_sealed: bool, batch_size: int = BATCH_ROWS
    ) -> NDArray[np.float32]:
        """(models, n, ...) predictions of stored rows by each model; of sealed rows nothing else comes back.

        `columns` is the shape of one row's prediction.

        Raises:
            RunFailed: The models failed, or gave something else than finite predictions of the right shape.
        """
        header = {"ask": "predict", "batch_size": batch_size}
        answers = self._ask(header, rows, is_sealed=is_sealed)[1]
        return _checked(answers, np.float32, (len(self._models), rows.shape[0], *columns))

    def log_probabilities(self, rows: ArrayBlocks, columns: tuple[int, ...]) -> NDArray[np.float64]:
        """Log-probabilities of open rows in float64, of a single model; errors as of `predict`."""
        header = {"ask": "log_probabilities", "batch_size": BATCH_ROWS}
        return _checked(self._ask(header, rows)[1], np.float64, (rows.shape[0], *columns))

    def statistics_state(self, statistics: TrainStatistics) -> dict[str, NDArray[Any]]:
        """The buffers that modules built with these train statistics hold, by "<number of the member>/<name>"."""
        arrays = statistics_as_arrays(statistics)
        kind = str(arrays.pop("kind"))
        answer, state = self._ask({"ask": "statistics", "kind": kind, "names": list(arrays)}, *arrays.values())
        return dict(zip(answer["names"], state, strict=True))

    def _ask(
        self, header: dict[str, Any], *arrays: NDArray[Any] | ArrayBlocks, is_sealed: bool = False
    ) -> tuple[dict[str, Any], list[NDArray[Any]]]:
        if is_sealed:
            self._child.withhold()
        try:
            return self._child.ask({**header, "models": self._models}, *arrays)
        except VaultRefused:
            problem = "a frozen file was changed while the vault was being opened"
            raise VaultRefused("predictor", problem, next="open the same selection again") from None


@dataclass(frozen=True, eq=False)
class Scored:
    """The answer of the scorer, with the metrics of the user's own.

    Attributes:
        models: {"name", "metrics"} of each; metrics as {"value", "low", "high", "method"}.
        comparisons: The first model against each other one (`comparison.compare`).
        details: {"name", "confusion", "per_class"} of each; they leave the vault by `disclose` only.
        outcomes: (n, models, ...) what each model made of each row (`Task.outcomes`). They stay encrypted.
        not_confined: What code of the user's own could have done with predictions and targets, in words.
    """

    models: list[dict[str, Any]]
    comparisons: list[dict[str, Any]]
    details: list[dict[str, Any]]
    outcomes: NDArray[np.float32]
    not_confined: Sequence[str] = ()


def score(
    fields: Mapping[str, Any],
    predictions: Sequence[NDArray[np.float32]],
    y: NDArray[Any],
    *,
    confidence: float,
    groups: NDArray[np.int64] | None,
) -> Scored:
    """Score the models of a selection, in its order, on the test rows; `fields` are those of the selection."""
    header = {
        **{key: fields[key] for key in ("task", "num_outputs", "target_std", "class_names")},
        "seed": fields["intervals"]["seed"],
        "models": [
            {"name": model["name"], "has_loss": model["has_loss"], "metrics": _asked(fields, model)}
            for model in fields["models"]
        ],
        "confidence": confidence,
        "has_groups": groups is not None,
    }
    with _start("scorer", 1) as child:
        answer, (outcomes,) = child.ask(header, y, *([] if groups is None else [groups]), *predictions)
    sampling, not_confined = Sampling(confidence, groups, header["seed"]), set()
    for model, scored, p in zip(fields["models"], answer["models"], predictions, strict=True):
        if model.get("own_metrics"):
            with OwnMetrics(model, fields["task"], fields["num_outputs"]) as own:
                scored["metrics"] |= own.intervals(p, y, sampling)
                not_confined.update(own.not_confined)
    return Scored(answer["models"], answer["comparisons"], answer["details"], outcomes, sorted(not_confined))


class OwnMetrics:
    """A process that computes the metrics of a model whose classes are the user's own; a context manager."""

    def __init__(self, model: Mapping[str, Any], task: str, num_outputs: int) -> None:
        """Start it for a model of a selection, which has "config" and the names "own_metrics"."""
        self._names: list[str] = list(model["own_metrics"])
        config = {"metrics": model["config"]["metrics"], "trusted_modules": model["config"]["trusted_modules"]}
        self._header = {"config": config, "names": self._names, "task": task, "num_outputs": num_outputs}
        self._child = _start("own_metrics", 1, path=search_path(), is_confined=True)
        self.not_confined = self._child.not_confined

    def __enter__(self) -> OwnMetrics:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.close()

    def values(self, predictions: NDArray[np.float32], y: NDArray[Any]) -> dict[str, float]:
        """The metrics of open rows; RunFailed where the code failed."""
        return dict(zip(self._names, self._ask(predictions, y, DEFAULT, 0)[0].tolist(), strict=True))

    def intervals(self, predictions: NDArray[np.float32], y: NDArray[Any], sampling: Sampling) -> dict[str, Any]:
        """The metrics of sealed rows with their intervals; null where the code fails on them."""
        self._child.withhold()
        try:
            values = self._ask(predictions, y, sampling, num_measured(len(y)))
        except RunFailed:
            failed = {"value": None, "low": None, "high": None, "method": "none (the metric failed on these rows)"}
            return {name: dict(failed) for name in self._names}
        return {
            name: complete(float(column[0]), interval_of_draws(float(column[0]), column[1:], sampling))
            for name, column in zip(self._names, values.T, strict=True)
        }

    def _ask(
        self, predictions: NDArray[np.float32], y: NDArray[Any], sampling: Sampling, draws: int
    ) -> NDArray[np.float64]:
        header = {**self._header, "draws": draws, "seed": sampling.seed}
        arrays = [y, predictions, *([] if sampling.groups is None else [sampling.groups])]
        _, answers = self._child.ask(header, *arrays)
        shape = (1 + draws, len(self._names))
        if len(answers) != 1 or answers[0].dtype != np.float64 or answers[0].shape != shape:
            raise RunFailed("own_metrics", f"gave no numbers of shape {shape}")
        return answers[0]


def _asked(fields: Mapping[str, Any], model: Mapping[str, Any]) -> list[str]:
    """The metrics of a model: those that its val rows had, and the one of the criterion."""
    criterion = fields["criterion"]
    return [*model["metrics"], *([parse_criterion(criterion).metric] if criterion else [])]


def _start(name: str, threads: int, **options: Any) -> Child:
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    return Child(f"holdfast.evaluation.{name}", name=name, environment=environment, **options)


def _threads(members: Sequence[dict[str, Any]]) -> int:
    """The number of threads that the models were trained with: their predictions have the same bits then."""
    with contextlib.suppress(InputError):  # a record that cannot be read is the predictor's to tell
        recorded = [read_run(Path(member["folder"])).get("threads") or 1 for member in members]
        return min(max(recorded, default=1), threads_allowed())
    return 1


def _checked(arrays: Sequence[NDArray[Any]], dtype: type[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    if len(arrays) != 1 or arrays[0].dtype != dtype or arrays[0].shape != shape:
        raise RunFailed("predictor", f"gave no predictions of shape {shape}")
    if not np.isfinite(arrays[0]).all():
        raise RunFailed("predictor", "gave predictions that are not finite")
    return arrays[0]
