"""A run that has ended, beside the baselines: whether the network was worth it, and whether it had a leak."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from holdfast.checks.baseline import leak, leaking_columns, metric_of, score_of_constant
from holdfast.checks.run import untouched
from holdfast.checks.subject import Subject, plain_number
from holdfast.checks.verdict import Verdict
from holdfast.experiment.experiment import Experiment

NEAR_PERFECT = 0.98
WORDS = {"majority": "the majority class", "mean": "the mean", "linear": "a linear model", "trees": "boosted trees"}


def compare_with_baseline(
    experiment: Experiment, verdicts: Sequence[Verdict], metrics: Mapping[str, float], *, seeks_leaks: bool = True
) -> list[Verdict]:
    """Give the verdicts of before the training, that of the baseline compared with what the run has reached.

    With `seeks_leaks` a nearly perfect score is followed up, which takes a moment a column.
    """
    before = next((verdict for verdict in verdicts if verdict.name == "baseline"), None)
    others = [verdict for verdict in verdicts if verdict is not before]
    try:
        with untouched(experiment.config.seed):
            later = look_back(Subject(experiment), metrics, before, seeks_leaks=seeks_leaks)
    except Exception:  # the run is done: nothing that is said of it may break it
        later = before
    return others if later is None else [*others, later]


def look_back(
    subject: Subject, metrics: Mapping[str, float], before: Verdict | None, *, seeks_leaks: bool = True
) -> Verdict | None:
    """Compare what a run has reached with the baselines, or with the majority class where they were not fitted.

    Returns:
        What the record is to hold; None where there is nothing to say.
    """
    metric = metric_of(subject.task)
    own = metrics.get(metric)
    if subject.task.is_rows or own is None or not math.isfinite(own):
        return before
    if before is None or before.verdict == "skipped":
        datamodule = subject.datamodule
        train, val = (np.asarray(datamodule.prepared.y[rows]) for rows in (datamodule.train_rows, datamodule.val_rows))
        evidence: dict[str, Any] = {"metric": metric, "scores": score_of_constant(subject.task, train, val)}
    else:
        evidence = dict(before.evidence)
    evidence["run"] = plain_number(own)
    if seeks_leaks and own >= NEAR_PERFECT and (leaks := leaking_columns(subject)):
        return leak(evidence, leaks)
    better = {name: score for name, score in evidence["scores"].items() if score >= own}
    if not better:
        return Verdict("baseline", "pass", evidence) if before is not None else None
    name = max(better, key=lambda name: better[name])
    causes = (
        f"the network is not better than {WORDS[name]}: {metric} {own:.4f} against {better[name]:.4f}",
        "a rate that does not suit, too few epochs, or a bug",
        *(["the data are too few for a network, or simple"] if name in ("linear", "trees") else []),
    )
    return Verdict("baseline", "doubtful", evidence, causes, "`python train.py stage=check` looks for bugs")
