"""The val rows as the members of an ensemble predict them: all rows by each, or each row out of fold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.core.metrics import metrics_of
from holdfast.core.tasks import Combine, PerTarget, task_of
from holdfast.ensembles.calibration import calibration
from holdfast.ensembles.diversity import disagreement, error_correlation
from holdfast.ensembles.scores import score_by_target, score_each, scorer
from holdfast.training.metric_names import asked_for, metric_and_target

if TYPE_CHECKING:
    from holdfast.training.restore import Restored


@dataclass(frozen=True, eq=False)
class ValTerms:
    """The values that are averaged over members, for every val row, and the targets.

    Attributes:
        terms: (members, n, ...) as of `combine.term_of`; out of fold (1, n, ...): that of the one member that was not
            trained on the row.
        fold_of: (n,) that member; None where all members predict all rows.
        targets: (n,), (n, labels) or (n, targets).
        combine: What is averaged.
        task, num_outputs, target_std: As of `scores.score`.
        asked_for: The metrics of the members beside the usual ones (`metric_names.asked_for`).
        monitored: The bare name of the metric by which the members' epochs were chosen.
        target_names: The names of several targets.
    """

    terms: NDArray[np.float32]
    fold_of: NDArray[np.int64] | None
    targets: NDArray[Any]
    combine: Combine
    task: str
    num_outputs: int
    target_std: PerTarget
    asked_for: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    monitored: str = "loss"
    target_names: Sequence[str] = ()

    def mean(self, shares: Sequence[float]) -> NDArray[np.float32]:
        """(n, ...) the terms averaged; out of fold there is but one of a row, whatever the shares."""
        if self.fold_of is not None:
            return np.asarray(self.terms[0])
        return np.asarray(np.tensordot(np.array(shares), self.terms, axes=1), np.float32)

    def predicted(self, mean: NDArray[np.float32], temperature: float = 1.0) -> NDArray[np.float32]:
        """(n, ...) predictions of averaged terms."""
        import torch

        from holdfast.training.combine import prediction_of

        predictions = prediction_of(torch.from_numpy(mean), self.task, self.combine, temperature)
        return np.asarray(predictions.numpy())

    def metrics(self, predictions: NDArray[np.float32], rows: Any = slice(None)) -> dict[str, float]:
        """Val metrics of predictions for some of the rows."""
        return self._metrics_of_each(predictions[None], rows)[0]

    def _metrics_of_each(self, predictions: NDArray[np.float32], rows: Any = slice(None)) -> list[dict[str, float]]:
        values = score_each(predictions, self.targets[rows], names=self._names, **self._facts)
        return [{f"val/{name}": value for name, value in own.items()} for own in values]

    def metrics_by_target(self, predictions: NDArray[np.float32]) -> dict[str, list[float]]:
        """Metrics of predictions for each of several targets, as of `scores.score_by_target`."""
        facts: dict[str, Any] = {"task": self.task, "num_outputs": self.num_outputs, "own": self.asked_for}
        names = [name for name in self._names if metric_and_target(name)[1] is None]
        return score_by_target(predictions[None], self.targets, names=names, **facts)[0]

    def scorer(self, monitor: str) -> Callable[[NDArray[np.float32]], float]:
        """A function that gives one val metric of predictions."""
        return scorer(monitor.removeprefix("val/"), self.targets, **self._facts)

    @property
    def _names(self) -> list[str]:
        return list(dict.fromkeys([*metrics_of(self.task, asked_for=False), *self.asked_for, self.monitored]))

    @property
    def _facts(self) -> dict[str, Any]:
        facts = {"task": self.task, "num_outputs": self.num_outputs, "target_std": self.target_std}
        return {**facts, "own": self.asked_for, "target_names": self.target_names}

    def metrics_of_members(self) -> list[dict[str, float]]:
        """The val metrics of every member alone; out of fold on its own fold."""
        if self.fold_of is None:
            return self._metrics_of_each(np.stack([self.predicted(term) for term in self.terms]))
        folds = [np.flatnonzero(self.fold_of == number) for number in range(int(self.fold_of.max()) + 1)]
        return [self.metrics(self.predicted(self.terms[0][rows]), rows) for rows in folds]

    def diversity(self) -> dict[str, Any]:
        """Curve, disagreement and correlation for the record; nothing where no row is new to all members."""
        if self.fold_of is not None:
            return {"curve": [], "disagreement": None, "error_correlation": None}
        members = np.stack([self.predicted(term) for term in self.terms])
        counts = range(1, len(self.terms) + 1)
        totals = np.cumsum(self.terms, axis=0, dtype=np.float64)
        means = [(total / count).astype(np.float32) for count, total in zip(counts, totals, strict=True)]
        return {
            "curve": self._metrics_of_each(np.stack([self.predicted(mean) for mean in means])),
            "disagreement": disagreement(members, self.task),
            "error_correlation": error_correlation(members, self.targets, self.task),
        }

    def calibration(self, mean: NDArray[np.float32], temperature: float) -> dict[str, Any] | None:
        """Calibration before and after the temperature; None for values."""
        if task_of(self.task).is_values:
            return None
        temperatures = {"before": 1.0, "after": temperature}
        return {
            name: calibration(self.predicted(mean, number), self.targets, self.task)
            for name, number in temperatures.items()
        }


def val_terms(
    records: Sequence[Mapping[str, Any]], runs: Sequence[Restored], combine: Combine, *, out_of_fold: bool
) -> ValTerms:
    """Predict the val rows of members.

    Args:
        records: Of the members, of which all have the same val rows, or each a fold of its own.
        runs: Their networks.
        combine: What is averaged.
        out_of_fold: Whether each has its own.

    Raises:
        InputError: The store no longer has the rows, or the folds are not those of one division.
    """
    from holdfast.data.loading.train_val import rows_of_run
    from holdfast.training.restore import Network

    networks = [Network([run.module], [1.0], combine=combine) for run in runs]
    first = rows_of_run(records[0]["config"]["split"], records[0]["data"])
    x, y, data = first.prepared.x, first.prepared.y, records[0]["data"]
    facts: dict[str, Any] = {"combine": combine, "task": str(data["task"]), "num_outputs": int(data["num_outputs"])}
    facts |= {"target_std": first.target_std, "asked_for": asked_for(records[0]["config"])}
    facts |= {"monitored": records[0]["monitor"].removeprefix("val/"), "target_names": data["class_names"]}
    if not out_of_fold:
        rows = np.asarray(x[first.val])
        terms = np.concatenate([network.predict_terms(rows) for network in networks])
        return ValTerms(terms, None, first.targets, **facts)
    folds = [rows_of_run(record["config"]["split"], record["data"]).val for record in records]
    fold_of = fold_of_rows(folds, len(y))
    of_folds = [network.predict_terms(np.asarray(x[fold]))[0] for network, fold in zip(networks, folds, strict=True)]
    terms = np.empty((1, len(y), *of_folds[0].shape[1:]), np.float32)
    for fold, term in zip(folds, of_folds, strict=True):
        terms[0, fold] = term
    return ValTerms(terms, fold_of, np.asarray(y), **facts)


def fold_of_rows(folds: Sequence[NDArray[np.int64]], num_rows: int) -> NDArray[np.int64]:
    """(num_rows,) the fold of every row.

    Args:
        folds: The val rows of each.
        num_rows: Train and val rows together.

    Raises:
        InputError: A row is in none or in several.
    """
    counts = np.bincount(np.concatenate(folds), minlength=num_rows)
    if len(counts) != num_rows or not (counts == 1).all():
        problem = "the members' val rows are not the folds of one division: a row is in none or in several"
        raise InputError("ensemble", problem, next="train all folds anew")
    fold_of = np.empty(num_rows, np.int64)
    for number, rows in enumerate(folds):
        fold_of[rows] = number
    return fold_of
