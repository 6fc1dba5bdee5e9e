"""Scores of single columns as predictors of the target: one that predicts it alone may be the target in disguise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_COLUMNS = 500
MAX_LABELS = 10
LEAVES = 128

Array = NDArray[Any]


def column_scores(
    x_train: Array, y_train: Array, x_val: Array, y_val: Array, is_category: Sequence[bool] = ()
) -> NDArray[np.float64]:
    """Score each column alone as a predictor of the target of val rows: 0 as by chance, 1 always right.

    A tree on the one column is grown on train rows; a category gives its most frequent class or its mean. Classes are
    scored by balanced accuracy above chance, values by R2 or squared rank correlation; of labels and of several
    targets the best one counts.
    """
    if y_train.ndim == 2:
        columns = [y.T[:MAX_LABELS].astype(y.dtype if y.dtype.kind == "f" else np.int64) for y in (y_train, y_val)]
        pairs = zip(*columns, strict=True)
        scores_by_target = [column_scores(x_train, train, x_val, val, is_category) for train, val in pairs]
        return np.asarray(np.max(scores_by_target, axis=0))
    scores = np.zeros(min(x_train.shape[1], MAX_COLUMNS))
    if not len(y_val) or len(np.unique(y_train)) < 2:
        return scores
    for index in range(len(scores)):
        guess = _by_category if index < len(is_category) and is_category[index] else _by_tree
        guessed = guess(x_train[:, index], y_train, x_val[:, index])
        if y_val.dtype.kind == "f":
            scores[index] = max(_r2(guessed, y_val), _rank_correlation(x_val[:, index], y_val) ** 2)
        else:
            scores[index] = _above_chance(guessed, y_val)
    return scores


def _by_tree(train: Array, y: Array, val: Array) -> Array:
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    if y.dtype.kind == "f":
        tree: Any = DecisionTreeRegressor(max_leaf_nodes=LEAVES, min_samples_leaf=3, random_state=0)
    else:
        tree = DecisionTreeClassifier(
            max_leaf_nodes=LEAVES, min_samples_leaf=3, class_weight="balanced", random_state=0
        )
    # A value of its own, below all others: trees of scikit-learn before 1.8 can lose what a missing value tells.
    low = float(np.nanmin(train)) if not np.isnan(train).all() else 0.0
    below = max(low - 1.0 - abs(low) / 1000, float(np.finfo(np.float32).min))
    filled = [np.where(np.isnan(x), below, x)[:, None] for x in (train, val)]
    return np.asarray(tree.fit(filled[0], y).predict(filled[1]))


def _by_category(train: Array, y: Array, val: Array) -> Array:
    codes = np.unique(train)
    places = np.searchsorted(codes, train)
    if y.dtype.kind == "f":
        of_codes = np.bincount(places, y) / np.bincount(places)
        rest: Any = y.mean()
    else:
        counts = np.zeros((len(codes), int(y.max()) + 1))
        np.add.at(counts, (places, y), 1 / np.bincount(y)[y])
        of_codes, rest = counts.argmax(axis=1), np.bincount(y).argmax()
    place = np.minimum(np.searchsorted(codes, val), len(codes) - 1)
    return np.where(codes[place] == val, of_codes[place], rest)


def _above_chance(guessed: Array, y: Array) -> float:
    """Balanced accuracy, scaled so that guessing gives 0."""
    classes = np.unique(y)
    if len(classes) < 2:
        return 0.0
    recall = np.mean([(guessed[y == label] == label).mean() for label in classes])
    return float(max(0.0, (recall - 1 / len(classes)) / (1 - 1 / len(classes))))


def _rank_correlation(x: Array, y: Array) -> float:
    """Spearman's, of the rows that have a number; a monotone curve that a tree follows badly in long tails has 1."""
    from scipy.stats import rankdata

    has = ~np.isnan(x)
    if has.sum() < max(3, len(x) / 2) or len(np.unique(x[has])) < 2 or len(np.unique(y[has])) < 2:
        return 0.0
    return float(np.corrcoef(rankdata(x[has]), rankdata(y[has]))[0, 1])


def _r2(guessed: Array, y: Array) -> float:
    spread = float(np.square(y - y.mean(dtype=np.float64)).sum())
    return max(0.0, 1.0 - float(np.square(y - guessed).sum()) / spread) if spread > 0 else 0.0
