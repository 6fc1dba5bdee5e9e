"""An ensemble is made: its members are trained or chosen, weighed and judged on val rows, and written into the record.

`ensemble` in `run.json`:

    members         [{"run", "checkpoint", "sha256", "weight", "metrics"}] of those that have a weight; "run" is
                    relative to the ensemble's folder where it lies there; "metrics" are those of the member alone
    left_out        [{"run", "metrics"}] of those that have none
    combine, temperature    what is averaged; the temperature of the mean, 1 where there is none
    out_of_fold     whether every row was predicted by the one member that was not trained on it
    mean, std       of the members' metrics
    curve           the metrics of the first 1, 2, ... members with equal weights; empty where out of fold
    disagreement    (members, members) the share of rows in which two members decide differently; of values the root
                    mean square distance; null where out of fold
    error_correlation       (members, members) of the losses of rows, or of the errors of values; null where out of fold
    calibration     null for values, else {"before", "after"} the temperature: as `calibration.calibration`
    cost            {"parameters", "seconds_per_1000_rows"} of a prediction
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from omegaconf import DictConfig

from holdfast.config.check import check_recorded
from holdfast.core.errors import InputError
from holdfast.core.files import sha256_file
from holdfast.core.run_record import RunRecord
from holdfast.core.tasks import Combine, task_of
from holdfast.ensembles.calibration import fit_temperature
from holdfast.ensembles.val_terms import val_terms
from holdfast.ensembles.weights import Weights, check_weights, given_shares, greedy
from holdfast.training.metric_names import named_by_target

if TYPE_CHECKING:
    from holdfast.training.fit import Built
    from holdfast.training.stacking.member import Trainable

Temperature = float | Literal["fit"]


class Trains(Protocol):
    """The experiment of an ensemble, as its options know it."""

    config: DictConfig  # resolved

    def build(self) -> Built:
        """Build what each member trains."""
        ...

    def member(self, folder: Path, changes: Mapping[str, Any]) -> Trainable[Any]:
        """The experiment of one of its members, with other values of some keys."""
        ...


@dataclass(frozen=True)
class Candidate:
    """A completed run that may be a member."""

    run: Path  # its folder; relative to that of the ensemble where it lies there
    record: dict[str, Any]  # its `run.json`
    checkpoint: str  # that it predicts with, relative to its folder


class Ensemble(Protocol):
    """An option of the group `ensemble`."""

    @property
    def combine(self) -> Combine:
        """The outputs that are averaged: of classes or labels; of a regression it is the values."""
        ...

    @property
    def weights(self) -> Weights:
        """Equal, greedy, or one number a member."""
        ...

    @property
    def temperature(self) -> Temperature:
        """The temperature of the mean; "fit": the one with the least val loss."""
        ...

    @property
    def out_of_fold(self) -> bool:
        """Tell whether each member has val rows of its own."""
        ...

    def check(self, experiment: Trains) -> None:
        """Refuse what is wrong, before a folder is made.

        Raises:
            InputError: It is.
        """
        ...

    def members(self, experiment: Trains, record: RunRecord) -> list[Candidate]:
        """Train what is missing, or choose; gives the candidates in the order in which they are counted.

        Raises:
            RunFailed: A member failed.
            Interrupted: A signal came; the ensemble can go on.
        """
        ...


def make(ensemble: Ensemble, experiment: Trains, record: RunRecord) -> None:
    """Make an ensemble and write into the record what it is and what it brings.

    Raises:
        InputError: The store no longer has the val rows.
        RunFailed: A member failed.
        Interrupted: A signal came; the ensemble can go on.
    """
    candidates = ensemble.members(experiment, record)
    check_settings(ensemble, len(candidates), candidates[0].record["data"]["task"])
    records = [candidate.record for candidate in candidates]
    record.update(data=records[0]["data"], checks=checks_of(records))
    judged, scored = judge(ensemble, candidates, record.folder, str(record.fields["monitor"]), record.fields["mode"])
    monitor = record.fields["monitor"]
    best = {"monitor": monitor, "mode": record.fields["mode"], "value": scored["metrics"][monitor], "epoch": None}
    trained = "averaged" if "runs" in experiment.config.ensemble else "trained and averaged"
    record.update(
        ensemble=judged,
        best={**best, "checkpoint": None, **scored},
        stop_reason=f"{trained} {len(candidates)} runs",
    )


def check_settings(ensemble: Ensemble, num_members: int, task: str | None = None) -> None:
    """Refuse weights and temperatures that cannot be; a task that is None is not known yet.

    Raises:
        InputError: They cannot.
    """
    check_weights(ensemble.weights, num_members)
    temperature = ensemble.temperature
    if temperature != "fit" and not 0.0 < temperature < math.inf:
        raise InputError("ensemble.temperature", f"is {temperature}", "fit, or a number above 0")
    if task is not None and task_of(task).is_values and temperature != 1.0:
        problem = f"is {temperature}, and the values of a regression have no probabilities"
        raise InputError("ensemble.temperature", problem, next="leave it out")


def judge(
    ensemble: Ensemble, candidates: Sequence[Candidate], folder: Path, monitor: str, mode: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Weigh and judge candidates on val rows; gives what the record says of the ensemble, and how good it is.

    The second has the fields `metrics` and, of several targets, `by_target` of the record's `best`.

    Args:
        ensemble: The option.
        candidates: With val rows in common, or each with a fold of its own.
        folder: Of the ensemble, to which their folders are relative.
        monitor: The metric that greedy weights go by.
        mode: "min" or "max".

    Raises:
        InputError: The store no longer has the val rows.
    """
    from holdfast.training.restore import load_model

    runs = [load_model(folder / candidate.run, candidate.checkpoint) for candidate in candidates]
    records = [candidate.record for candidate in candidates]
    check_recorded(records[0]["config"], ("metrics",))  # the user's own are computed here
    started = time.perf_counter()
    val = val_terms(records, runs, ensemble.combine, out_of_fold=ensemble.out_of_fold)
    seconds_per_row = (time.perf_counter() - started) / len(val.targets) / len(val.terms)
    if ensemble.weights == "greedy":
        sign = 1.0 if mode == "max" else -1.0
        of_metric = val.scorer(monitor)
        shares = greedy(val.terms, lambda mean: sign * of_metric(val.predicted(mean)))
    else:
        shares = given_shares(ensemble.weights, len(runs))
    mean, temperature = val.mean(shares), ensemble.temperature
    if temperature == "fit":
        loss_of = val.scorer("val/loss")
        temperature = fit_temperature(lambda number: loss_of(val.predicted(mean, number)))
    metrics = val.metrics_of_members()
    names = {name: [each[name] for each in metrics] for name in metrics[0]}
    used = [place for place, share in enumerate(shares) if share > 0.0 or ensemble.out_of_fold]
    parameters = sum(weights.numel() for place in used for weights in runs[place].module.parameters())
    facts = {
        "members": [_member(candidates[place], folder, shares[place], metrics[place]) for place in used],
        "left_out": [
            {"run": str(candidate.run), "metrics": metrics[place]}
            for place, candidate in enumerate(candidates)
            if place not in used
        ],
        "combine": ensemble.combine,
        "temperature": temperature,
        "out_of_fold": ensemble.out_of_fold,
        "mean": {name: statistics.fmean(values) for name, values in names.items()},
        "std": {name: statistics.stdev(values) for name, values in names.items()},
        **val.diversity(),
        "calibration": val.calibration(mean, temperature),
        "cost": {"parameters": parameters, "seconds_per_1000_rows": 1000 * seconds_per_row * len(used)},
    }
    predictions = val.predicted(mean, temperature)
    by_target = named_by_target(val.metrics_by_target(predictions), records[0]["data"])
    return facts, {"metrics": val.metrics(predictions), **by_target}


def checks_of(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The verdicts on the members of an ensemble, equal ones once: a check is made of a kind of run."""
    verdicts: dict[Any, dict[str, Any]] = {}
    for record in records:
        for verdict in record["checks"]:
            verdicts.setdefault((verdict["name"], verdict["verdict"], *verdict["causes"]), verdict)
    return list(verdicts.values())


def _member(candidate: Candidate, folder: Path, share: float, metrics: Mapping[str, float]) -> dict[str, Any]:
    return {
        "run": str(candidate.run),
        "checkpoint": candidate.checkpoint,
        "sha256": sha256_file(folder / candidate.run / candidate.checkpoint),
        "weight": share,
        "metrics": dict(metrics),
    }
