"""Checks for what gives the target away and should not, by train and val rows alone.

A check is {"name", "verdict", "what"}: "good", "look" (a person should), or "bad" (almost surely a mistake).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.tasks import task_of
from holdfast.data.loading.train_val import RunRows
from holdfast.reporting.column_scores import MAX_COLUMNS, column_scores
from holdfast.reporting.dataset import Facts, Sample, class_facts, in_quotes, missing_share
from holdfast.vault.rows.digest_sets import DigestSet, ascending

MAX_COMPARED = 2_000_000
# Above chance, in [0, 1]: iris' petal width alone reaches 0.97, the best of 30 measures of breast_cancer 0.88.
GIVES_AWAY, IS_STRONG = 0.98, 0.9
MOSTLY_MISSING = 0.5
RARE_ROWS = 10
MANY_TO_ONE = 20
NUM_LOOKS = (2_000, 10_000)
# 6 of 2,000 images of MNIST are as near to one of 10,000 others, all of them ones; 2 of CIFAR-10, which are copies.
LOOKS_ALIKE = 0.98
THUMBNAIL = 32
BLOCK = 2_000

Array = NDArray[Any]


def leak_checks(rows: RunRows, sample: Sample, columns: Sequence[Facts]) -> list[Facts]:
    """Make the checks that apply to rows, by a sample of them and by facts of a table's columns."""
    prepared, x_train, x_val = rows.prepared, sample.x_train, sample.x_val
    y_train, y_val = np.asarray(prepared.y[sample.train]), np.asarray(prepared.y[sample.val])
    checks = [*_duplicates(rows)]
    if prepared.kind == "table" or (x_train.ndim == 2 and x_train.shape[1] <= MAX_COLUMNS):
        scores = column_scores(x_train, y_train, x_val, y_val, [column["type"] == "category" for column in columns])
        names = [column["name"] for column in columns] or [f"feature {index}" for index in range(len(scores))]
        checks += [_given_away(names, scores), *_identifiers(columns, x_train, scores)]
    places = [part[:, None].astype(np.float64) for part in (sample.train, sample.val)]
    is_sorted = prepared.y.ndim == 1 and _is_sorted(np.asarray(prepared.y))
    checks.append(_row_order(column_scores(places[0], y_train, places[1], y_val)[0], is_sorted=is_sorted))
    checks += _columns(columns)
    checks += _classes(rows)
    if prepared.kind == "image" and len(x_val):
        checks.append(_near_duplicates(x_train, x_val))
    return checks


def _given_away(names: Sequence[str], scores: NDArray[np.float64]) -> Facts:
    name = "one column gives the target away"
    order = np.argsort(-scores, kind="stable")
    if given := [index for index in order if scores[index] >= GIVES_AWAY]:
        evidence = ", ".join(f"'{names[index]}' ({scores[index]:.3f})" for index in given[:5])
        message = f"{evidence} alone predicts the target: is it known when the prediction is needed?"
        return _check(name, "bad", message)
    best = order[0]
    evidence = f"'{names[best]}' alone reaches {scores[best]:.2f} (0 as by chance, 1 always right)"
    if scores[best] >= IS_STRONG:
        return _check(name, "look", f"{evidence}: make sure that it is known when the prediction is needed")
    return _check(name, "good", f"the best, {evidence}")


def _identifiers(columns: Sequence[Facts], x: Array, scores: NDArray[np.float64]) -> Iterator[Facts]:
    if not columns:
        return
    identifiers = [index for index, column in enumerate(columns[: len(scores)]) if _is_identifier(column, x[:, index])]
    verdict, message = "good", "none"
    if telling := [index for index in identifiers if scores[index] >= 0.5]:
        evidence = ", ".join(f"'{columns[index]['name']}' ({scores[index]:.2f})" for index in telling)
        advice = "looks like an identifier and predicts the target: leave it out (data.drop)"
        verdict, message = "bad", f"{evidence} {advice}"
    elif identifiers:
        names = in_quotes([columns[index]["name"] for index in identifiers])
        verdict, message = "look", f"{names}: a different value in every row; leave it out (data.drop) if it is a name"
    yield _check("identifiers among the columns", verdict, message)


def _is_identifier(column: Facts, values: Array) -> bool:
    """Recognise texts that hardly repeat, and whole numbers, each once, close together."""
    num_rows = column["rows_train"] - column["missing_train"]
    if num_rows < 30:
        return False
    if column["type"] == "category":
        return bool(column["distinct"] > 0.9 * num_rows)
    if column["distinct"] < num_rows:
        return False
    numbers = values[~np.isnan(values)]
    return bool((numbers == np.rint(numbers)).all() and numbers.max() - numbers.min() < 4 * num_rows + 100)


def _is_sorted(y: Array) -> bool:
    """Tell whether the rows of each class, or values that ascend or descend, come one after the other."""
    if y.dtype.kind == "f":
        return bool((y[1:] >= y[:-1]).all() or (y[1:] <= y[:-1]).all())
    return int((y[1:] != y[:-1]).sum()) < len(np.unique(y))


def _row_order(score: float, *, is_sorted: bool) -> Facts:
    name = "the order of rows tells the target"
    if is_sorted:
        message = "the source is sorted by its target, as class folders are: no harm, as order is no input"
        return _check(name, "good", message)
    if score < 0.5:
        return _check(name, "good", f"no ({score:.2f}, 0 as by chance)")
    message = f"rows near each other have the same target ({score:.2f}): where neighbours belong together"
    return _check(name, "look", f"{message} (one patient, one scene), declare data.group")


def _duplicates(rows: RunRows) -> Iterator[Facts]:
    prepared = rows.prepared
    val, train = (np.asarray(prepared.digests[part[:MAX_COMPARED]]) for part in (rows.val, rows.train))
    across = int(DigestSet(train).has(val).sum())
    name = "val rows that are also train rows"
    yield _check(name, "bad" if across else "good", f"{across:,} of {len(val):,}")
    if prepared.y.ndim == 2:
        return
    repeated, unlike = count_equal(np.asarray(prepared.digests[:MAX_COMPARED]), np.asarray(prepared.y[:MAX_COMPARED]))
    message = f"{repeated:,} rows repeat another one, {unlike:,} of them with another target" if repeated else "none"
    yield _check("equal rows", "look" if unlike else "good", message)


def count_equal(digests: NDArray[np.uint8], y: Array) -> tuple[int, int]:
    """The number of rows that equal an earlier one, and of those among them with another target than the first."""
    order = ascending(digests)
    is_first = np.ones(len(order), bool)
    is_first[1:] = (digests[order[1:]] != digests[order[:-1]]).any(axis=1)
    first_of = order[is_first][np.cumsum(is_first) - 1]
    return int((~is_first).sum()), int((y[first_of] != y[order]).sum())


def _near_duplicates(x_train: Array, x_val: Array) -> Facts:
    val, train = x_val[: NUM_LOOKS[0]], x_train[: NUM_LOOKS[1]]
    count = int((likeness(val, train) > LOOKS_ALIKE).sum())
    message = f"{count:,} of {len(val):,} val images, among {len(train):,} train images"
    return _check("val images that look like a train image", "look" if count > 0.005 * len(val) else "good", message)


def _columns(columns: Sequence[Facts]) -> Iterator[Facts]:
    if missing := [column["name"] for column in columns if missing_share(column) > MOSTLY_MISSING]:
        yield _check("columns that are mostly missing", "look", in_quotes(missing))
    if constant := [column["name"] for column in columns if column["distinct"] <= 1]:
        yield _check(
            "columns with one value only", "look", f"{in_quotes(constant)}: tells nothing; leave out (data.drop)"
        )
    if new := [f"{column['name']} ({column['new_in_val']})" for column in columns if column.get("new_in_val")]:
        yield _check("val rows with a category that no train row has", "look", f"{in_quotes(new)}: treated as unknown")


def _classes(rows: RunRows) -> Iterator[Facts]:
    classes = class_facts(rows)
    if classes is None:
        return
    for part in ("train", "val"):
        if absent := [entry["name"] for entry in classes if entry[part] == 0]:
            yield _check(f"classes without a {part} row", "bad" if part == "train" else "look", in_quotes(absent))
    if rare := [entry["name"] for entry in classes if 0 < entry["train"] < RARE_ROWS]:
        yield _check(f"classes with fewer than {RARE_ROWS} train rows", "look", in_quotes(rare))
    counts = [entry["train"] for entry in classes if entry["train"]]
    if len(counts) > 1 and not task_of(rows.prepared.task).is_labels:
        ratio = max(counts) / min(counts)
        message = f"the largest class has {ratio:.1f} times the rows of the smallest"
        if ratio > MANY_TO_ONE:
            message += "; loss.class_weights=balanced or data.sampling=balanced weigh them alike"
        yield _check("class balance", "look" if ratio > MANY_TO_ONE else "good", message)


def _check(name: str, verdict: str, message: str) -> Facts:
    return {"name": name, "verdict": verdict, "what": message}


def likeness(images: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n,) The greatest correlation of each image with one of `others`, in grey and at most 32 x 32 pixels."""
    small, known = _thumbnails(images), _thumbnails(others)
    best = np.full(len(small), -1.0, np.float32)
    for start in range(0, len(known), BLOCK):
        np.maximum(best, (small @ known[start : start + BLOCK].T).max(axis=1), out=best)
    return best


def _thumbnails(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, pixels) Means over patches, with mean 0 and length 1 in each image."""
    values = images.mean(axis=3, dtype=np.float32)
    for axis in (1, 2):
        edges = np.linspace(0, values.shape[axis], min(THUMBNAIL, values.shape[axis]) + 1).astype(np.int64)
        lengths = np.diff(edges).astype(np.float32)
        values = np.add.reduceat(values, edges[:-1], axis=axis) / (lengths[:, None] if axis == 1 else lengths)
    flat = values.reshape(len(images), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6), np.float32)
