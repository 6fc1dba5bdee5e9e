"""`ensemble=members`: a run that trains nothing and averages runs that were trained before."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from omegaconf import DictConfig

from holdfast.core.errors import InputError, Problem, raise_problems
from holdfast.core.files import sha256_file
from holdfast.core.metrics import metrics_of
from holdfast.core.run_record import RunRecord, best_checkpoint, check_predicts, read_run
from holdfast.ensembles.scores import score
from holdfast.training.metric_names import asked_for, check_monitor

if TYPE_CHECKING:
    from holdfast.training.stacking.member import Trainable

SHARED = {
    "vault": "vault",
    "val_sha256": "val rows",
    "view": "view of its rows",
    "task": "task",
    "num_outputs": "number of outputs",
    "subset": "part of the train rows",
}


class Ensemble(Protocol):
    """The experiment of an ensemble, as its options know it.

    Attributes:
        config: Resolved.
    """

    config: DictConfig

    def member(self, folder: Path, seed: int) -> Trainable[Any]:
        """The experiment of one of its members."""
        ...


def check_members(config: DictConfig) -> None:
    """Refuse members that cannot be averaged, before a folder is made.

    Raises:
        InputError: Fewer than two runs, a run twice, one that is not completed, or runs of other rows; all at once.
    """
    _, records, _ = _checked(config.ensemble.runs, config.ensemble.weights)
    check_monitor(config.monitor, records[0]["data"]["task"], config.get("metrics"))


def members(
    *, experiment: Ensemble, record: RunRecord, runs: Sequence[str], weights: Sequence[float] | None = None
) -> None:
    """Average the members on the val rows and write what the ensemble is into the record.

    Args:
        experiment: The monitor of its config names the score of the ensemble.
        record: Of the ensemble's own run.
        runs: Folders of completed runs.
        weights: One positive number a run; None: all equal. They are scaled to sum 1.

    Raises:
        InputError: As `check_members`, or the store no longer has the val rows.
    """
    folders, records, shares = _checked(runs, weights)
    check_monitor(experiment.config.monitor, records[0]["data"]["task"], experiment.config.get("metrics"))
    shared = {group: records[0]["config"][group] for group in ("data", "split", "vault")}
    chosen_groups = {group: records[0]["choices"].get(group) for group in shared}
    record.update(config=record.fields["config"] | shared, choices=record.fields["choices"] | chosen_groups)
    judge(record, [folder.absolute() for folder in folders], shares)
    record.update(stop_reason=f"averaged {len(folders)} runs")


def judge(record: RunRecord, folders: Sequence[Path], shares: Sequence[float]) -> None:
    """Average completed runs on the val rows and write members and scores into the record.

    Args:
        record: Of the ensemble; its monitor names the score.
        folders: Of the runs, absolute or relative to that of the ensemble; checked.
        shares: One a run, of sum 1.

    Raises:
        InputError: The store no longer has the val rows.
    """
    from holdfast.data.loading.train_val import rows_of_run
    from holdfast.training.restore import Network, load_model

    places = [record.folder / folder for folder in folders]
    runs = [read_run(place) for place in places]
    data, monitor = runs[0]["data"], record.fields["monitor"]
    averaged = [
        {
            "run": str(folder),
            "checkpoint": run["best"]["checkpoint"],
            "sha256": sha256_file(place / run["best"]["checkpoint"]),
            "weight": share,
            "metrics": run["best"]["metrics"],
        }
        for folder, place, run, share in zip(folders, places, runs, shares, strict=True)
    ]
    record.update(data=data, ensemble={"members": averaged}, checks=checks_of(runs))
    rows = rows_of_run(runs[0]["config"]["split"], data)
    modules = [load_model(place, run["best"]["checkpoint"]).module for place, run in zip(places, runs, strict=True)]
    predictions = Network(modules, shares).predict(np.asarray(rows.prepared.x[rows.val]))
    options = {"task": data["task"], "num_outputs": data["num_outputs"], "target_std": rows.target_std}
    more = asked_for(record.fields["config"])
    names = {*metrics_of(data["task"], asked_for=False), *more}
    scores = score(predictions, rows.targets, names=[*names], own=more, **options)
    metrics = {f"val/{name}": value for name, value in scores.items()}
    best = {"monitor": monitor, "mode": record.fields["mode"], "value": metrics[monitor], "epoch": None}
    record.update(best={**best, "checkpoint": None, "metrics": metrics})


def checks_of(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The verdicts on the members of an ensemble, equal ones once: a check is made of a kind of run."""
    verdicts: dict[Any, dict[str, Any]] = {}
    for record in records:
        for verdict in record["checks"]:
            verdicts.setdefault((verdict["name"], verdict["verdict"], *verdict["causes"]), verdict)
    return list(verdicts.values())


def _checked(
    runs: Sequence[str], weights: Sequence[float] | None
) -> tuple[list[Path], list[dict[str, Any]], list[float]]:
    if len(runs) < 2:
        raise InputError("ensemble.runs", f"names {len(runs)} runs", "two or more", "ensemble.runs=[RUN_A,RUN_B]")
    folders = [Path(run) for run in runs]
    twice = {str(folder) for folder in folders if [f.resolve() for f in folders].count(folder.resolve()) > 1}
    raise_problems([Problem("ensemble.runs", f"names {run} twice") for run in sorted(twice)])
    records = _completed(folders)
    for key, words in SHARED.items():
        raise_problems(
            [
                Problem(
                    str(folder),
                    f"has another {words} than {folders[0]}",
                    next="average runs of the same data and split",
                )
                for folder, record in zip(folders, records, strict=True)
                if record["data"].get(key) != records[0]["data"].get(key)
            ]
        )
    weights = [1.0] * len(runs) if weights is None else list(weights)
    numbers = [w for w in weights if isinstance(w, int | float) and math.isfinite(w) and w > 0]
    if len(numbers) != len(runs) or len(weights) != len(runs):
        raise InputError("ensemble.weights", f"is {weights}", f"{len(runs)} positive numbers, one a run")
    return folders, records, [weight / sum(numbers) for weight in numbers]


def _completed(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """The records of the runs; all that is wrong with any of them is told."""
    problems: list[Problem] = []
    records: list[dict[str, Any]] = []
    for folder in folders:
        try:
            record = read_run(folder)
            check_predicts(folder, record)
        except InputError as error:
            problems += error.problems
            continue
        records.append(record)
        if record["kind"] != "fit":
            problems.append(Problem(str(folder), "is an ensemble itself", next="name its members"))
        elif record["status"] != "completed":
            problems.append(Problem(str(folder), f"is {record['status']}", "completed", f"resume={folder}"))
        else:
            try:
                best_checkpoint(folder, record)
            except InputError as error:
                problems += error.problems
    raise_problems(problems)
    return records
