"""Scores of simple models on the same train and val rows, and columns that alone give the target away."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from holdfast.checks.run import check
from holdfast.checks.subject import Subject, inputs_of, plain_number
from holdfast.checks.verdict import Verdict, skipped
from holdfast.core.advice import column_type
from holdfast.core.tasks import Task
from holdfast.models.layers import one_hot_layers
from holdfast.reporting.column_scores import MAX_COLUMNS, column_scores
from holdfast.reporting.leak_checks import GIVES_AWAY, IS_STRONG

MAX_TRAIN, MAX_VAL = 10_000, 5_000
MAX_NUMBERS = 20_000_000
MAX_LABELS = 20
FEW = 30
RARE = 0.8
R2_BY_CHANCE = 0.02

Array = NDArray[Any]


@check
def baseline(subject: Subject) -> Verdict:
    """Fit the majority class or the mean, a linear model and boosted trees, and score them on the val rows.

    The trees are scikit-learn's HistGradientBoosting. Each label and each of several targets has a model of its own; a
    row counts as right with all labels, and the score of targets is the mean of theirs. A column that alone gives the
    target away is told.
    """
    if subject.task.is_rows:
        return skipped("baseline", "rows are given back, and no target is predicted")
    if not len(subject.datamodule.val_rows):
        return skipped("baseline", "there are no val rows")
    train, val = (
        _rows(subject, subject.datamodule.train_rows, MAX_TRAIN),
        _rows(subject, subject.datamodule.val_rows, MAX_VAL),
    )
    scores = score_of_constant(subject.task, train[1], val[1])
    for name, model in _models(subject).items():
        x_train, x_val = (_one_hot(subject, x) if name == "linear" else x for x in (train[0], val[0]))
        scores[name] = plain_number(model.fit(x_train, train[1]).score(x_val, val[1]))
    evidence: dict[str, Any] = {"metric": metric_of(subject.task), "scores": scores}
    evidence |= {"train_rows": len(train[1]), "val_rows": len(val[1])}
    leaks = leaking_columns(subject)
    if leaks:
        return leak(evidence, leaks)
    simple, *others = scores.values()
    # the R2 of values, and the share of classes that are right, differ by chance
    if subject.task.is_values:
        is_telling, enough = True, max(simple, 0.0) + R2_BY_CHANCE  # the mean of the train rows has an R2 below 0
    else:
        is_telling = simple < RARE  # of rare classes accuracy says little
        enough = simple + 2.0 * math.sqrt(simple * (1.0 - simple) / len(val[1]))
    if len(val[1]) >= FEW and is_telling and max(others) <= enough:
        causes = (
            "neither a linear model nor trees predict the target better than without the inputs: "
            "targets of other rows, or at random",
            "inputs that say nothing row by row, as the pixels of photographs",
        )
        return Verdict("baseline", "doubtful", evidence, causes, "look at the data: `holdfast data inspect`")
    return Verdict("baseline", "pass", evidence)


def metric_of(task: Task) -> str:
    """The metric by which a network is compared with the baselines."""
    return "val/r2" if task.is_values else "val/accuracy"


def score_of_constant(task: Task, train: Array, val: Array) -> dict[str, float]:
    """R2 of the mean of the train rows, the mean over targets; or the accuracy of the majority class or labels."""
    if task.is_values:
        spread = np.square(val - val.mean(axis=0)).sum(axis=0)
        error = np.square(val - train.mean(axis=0)).sum(axis=0)
        score = 1.0 - np.divide(error, spread, out=np.ones_like(spread), where=spread > 0)
        return {"mean": plain_number(score.mean())}
    if task.is_labels:
        return {"majority": plain_number((val == (train.mean(axis=0) > 0.5)).all(axis=1).mean())}
    return {"majority": plain_number((val == np.bincount(train.astype(np.int64)).argmax()).mean())}


def leaking_columns(subject: Subject) -> dict[str, float]:
    """Columns of a table that alone predict the target of val rows, with their scores (1: always right)."""
    prepared = subject.datamodule.prepared
    if prepared.kind != "table" or prepared.x.shape[1] > MAX_COLUMNS:
        return {}
    train, val = subject.datamodule.train_rows[:MAX_TRAIN], subject.datamodule.val_rows[:MAX_VAL]
    if not len(val):
        return {}
    columns = prepared.columns
    is_category = [column.type == "category" for column in columns]
    x_train, x_val = np.asarray(prepared.x[train]), np.asarray(prepared.x[val])
    scores = column_scores(x_train, np.asarray(prepared.y[train]), x_val, np.asarray(prepared.y[val]), is_category)
    best, second = (*sorted(scores, reverse=True), 0.0)[:2]
    # of classes, a column that tells nearly all by itself while no other tells half as much is suspect as well
    is_alone = not subject.task.is_values and best >= IS_STRONG and second < best / 2
    least = best if is_alone else GIVES_AWAY
    return {columns[i].origin: plain_number(scores[i]) for i in np.argsort(-scores) if scores[i] >= least}


def leak(evidence: dict[str, Any], leaks: Mapping[str, float]) -> Verdict:
    """The verdict on columns that give the target away."""
    name = next(iter(leaks))
    cause = f"the column '{name}' alone predicts the target ({leaks[name]:.3f}, 1 is always right): is it a leak?"
    evidence["columns_that_give_the_target_away"] = dict(leaks)
    advice = f"{column_type(name, 'drop')}, if it is not known when one predicts"
    return Verdict("baseline", "doubtful", evidence, (cause,), advice)


def _rows(subject: Subject, rows: Array, limit: int) -> tuple[Array, Array]:
    """Rows as a network sees them, flat, and their targets; evenly over all where they are many."""
    prepared = subject.datamodule.prepared
    width = max(1, math.prod(prepared.x.shape[1:]))
    limit = min(limit, max(64, MAX_NUMBERS // width))
    chosen = rows[np.linspace(0, len(rows), min(limit, len(rows)), endpoint=False).astype(np.int64)]
    module = subject.module()
    with torch.no_grad():
        inputs = inputs_of(module, torch.from_numpy(np.array(prepared.x[chosen])))
    return inputs.reshape(len(inputs), -1).double().numpy(), np.asarray(prepared.y[chosen])


def _one_hot(subject: Subject, x: Array) -> Array:
    layers, _ = one_hot_layers(x.shape[1], subject.category_sizes)
    with torch.no_grad():
        return np.asarray(torch.nn.Sequential(*layers)(torch.from_numpy(x)))


def _models(subject: Subject) -> dict[str, Any]:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.multioutput import MultiOutputRegressor
    from sklearn.pipeline import make_pipeline

    is_values = subject.task.is_values
    linear: Any = (
        RidgeCV(alpha_per_target=subject.task.is_multitarget) if is_values else LogisticRegression(max_iter=300)
    )
    trees: Any = HistGradientBoostingRegressor if is_values else HistGradientBoostingClassifier
    trees = trees(max_iter=50, early_stopping=False, random_state=0)
    if subject.task.is_multitarget:
        trees = MultiOutputRegressor(trees)
    if not subject.task.is_labels:
        return {"linear": make_pipeline(SimpleImputer(), linear), "trees": trees}
    models = {"linear": make_pipeline(SimpleImputer(), OneVsRestClassifier(linear))}
    # a hundred labels would take a minute
    return models | ({"trees": OneVsRestClassifier(trees)} if subject.num_outputs <= MAX_LABELS else {})
