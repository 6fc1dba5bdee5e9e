"""Mistakes in the rows themselves: val rows among train rows, sentinels, rows that an augmentation mixes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from holdfast.checks.probes.causes import Finding, finding
from holdfast.checks.subject import Subject, inputs_of, plain_number
from holdfast.vault.rows.digest_sets import DigestSet, num_distinct

MAX_ROWS = 200_000
SHARE = 0.01
FEW = 10
BEYOND_NATURAL = 10.0
NUM_ROWS = 16
FEW_VALUES, FEW_ROWS, SQUEEZED, BY_TAIL = 3, 0.2, 0.2, 1e-6
NUM_DIMENSIONS, NUM_NEIGHBOURS, NUM_COPIES = 32, 20, 5
MAX_VAL, MAX_TRAIN, MAX_NUMBERS = 300, 10_000, 20_000_000
BY_CHANCE, NEAREST, SHARE_OF_COPIES = 0.002, 0.25, 0.04
OTHER_COLUMNS = 30.0  # times the size of the usual column
OTHER_UNITS = 10.0  # times the root mean square of what the model gets without augmentation


def data_mistakes(subject: Subject) -> Iterator[Finding]:
    """Rows that are in two parts, and targets that say nothing."""
    datamodule = subject.datamodule
    targets = np.asarray(datamodule.prepared.y[datamodule.train_rows[:MAX_ROWS]])
    if len(datamodule.val_rows) and len(datamodule.train_rows) <= MAX_ROWS:
        yield from _shared_rows(subject)
    if targets.ndim == 1 and len(targets) and (targets == targets[0]).all():
        yield finding("one_target", {"rows": len(targets)})
    elif subject.task.is_values and (apart := [*filter(None, map(_apart, targets.reshape(len(targets), -1).T))]):
        yield finding("targets_apart", apart[0])
    yield from _columns_apart(subject)
    yield from _columns_of_rows(subject)


def _apart(values: NDArray[Any]) -> dict[str, float]:
    """Numbers for a few values that are so far from all others that they make up the spread; none where there are none.

    They are those beyond the largest step, by its factor, of the distances to the median. It is larger than what all
    others span. Where the tail of a distribution falls as 1 / x, the k largest of its values are, by chance, f times
    as large as the others in f^-k of the cases.
    """
    values = values[np.isfinite(values)].astype(np.float64)
    if len(values) < FEW_VALUES / FEW_ROWS:
        return {}
    distances = np.abs(values - np.median(values))
    values, distances = values[distances.argsort()], np.sort(distances)
    first, end = len(values) - int(FEW_ROWS * len(values)), len(values) - FEW_VALUES + 1
    factors = distances[first:end] / np.maximum(distances[first - 1 : end - 1], np.finfo(np.float64).tiny)
    place = first + int(factors.argmax())
    many, few = values[:place], values[place:]
    gap, span = distances[place] - distances[place - 1], np.ptp(many)
    is_by_chance = len(few) * math.log(max(1.0, factors.max())) < -math.log(BY_TAIL)
    if is_by_chance or gap < span or len(np.unique(many)) <= FEW or many.std() > SQUEEZED * values.std():
        return {}
    numbers = {"value": few[0], "low": many.min(), "high": many.max()}
    return {"rows": len(few), **{name: plain_number(number) for name, number in numbers.items()}}


def _columns_apart(subject: Subject) -> Iterator[Finding]:
    """Columns of a table in which a few numbers are far from all others."""
    datamodule = subject.datamodule
    if datamodule.prepared.kind != "table":
        return
    rows = np.asarray(datamodule.prepared.x[datamodule.train_rows[: MAX_NUMBERS // len(datamodule.prepared.x[0])]])
    num_numbers = rows.shape[1] - len(subject.category_sizes)
    apart = {place: numbers for place in range(num_numbers) if (numbers := _apart(rows[:, place]))}
    if apart:
        names = datamodule.prepared.feature_names or [f"column {place}" for place in range(num_numbers)]
        place, numbers = next(iter(apart.items()))
        yield finding("values_apart", {**numbers, "columns": [names[place] for place in apart]}, column=names[place])


def _columns_of_rows(subject: Subject) -> Iterator[Finding]:
    """A table whose rows are scaled by their own numbers, though one column has far larger ones than the others."""
    prepared, rows = subject.datamodule.prepared, subject.datamodule.train_rows[:MAX_TRAIN]
    if prepared.kind != "table" or subject.config.transform.get("scope") != "sample":
        return
    sizes = np.sqrt(np.nanmean(np.square(np.asarray(prepared.x[rows], dtype=np.float64)), axis=0))
    largest, usual = int(sizes.argmax()), float(np.median(sizes))
    if sizes[largest] > OTHER_COLUMNS * usual:
        names = prepared.feature_names or [f"column {place}" for place in range(len(sizes))]
        numbers = {"largest": plain_number(sizes[largest]), "usual": plain_number(usual)}
        yield finding("columns_scaled_by_row", numbers, column=names[largest])


def _shared_rows(subject: Subject) -> Iterator[Finding]:
    """Val rows that equal a train row.

    Rows of a few categories repeat by nature, and a split by chance then puts equal ones on both sides: as many train
    rows equal each other. Where train rows hardly repeat, the same rows were handed to both parts, which is certain.
    """
    datamodule = subject.datamodule
    train, val = datamodule.train_rows, datamodule.val_rows[:MAX_ROWS]
    train_digests, val_digests = (np.asarray(datamodule.prepared.digests[rows]) for rows in (train, val))
    count = int(DigestSet(train_digests).has(val_digests).sum())
    if count <= SHARE * len(val):
        yield from _near_copies(subject)
        return
    repeated = len(train) - num_distinct(train_digests)
    is_natural = count < FEW or count / len(val) < BEYOND_NATURAL * repeated / len(train)
    numbers = {"val_rows_in_train": count, "val_rows": len(val), "train_rows_repeated": repeated}
    yield finding("val_rows_in_train", numbers, word="doubtful" if is_natural else "fail")


@torch.no_grad()
def _near_copies(subject: Subject) -> Iterator[Finding]:
    """Val rows that are much nearer to a train row than chance allows.

    Among k neighbours of a row in d dimensions, one lies within the share r of the distance of the last one in about
    k r^d of the cases. The dimension is that of the rows themselves, by the distances of further neighbours (Levina
    and Bickel 2004), so that several copies of a row do not count. Columns of a table with whole numbers, which may be
    ids, or with few values have no distances, and are left out.
    """
    datamodule, module, generator = subject.datamodule, subject.module(), torch.Generator().manual_seed(0)
    width = max(1, math.prod(datamodule.prepared.x.shape[1:]))

    def some(rows: NDArray[Any], limit: int) -> Tensor:
        limit = min(limit, len(rows), MAX_NUMBERS // width)
        chosen = rows[np.linspace(0, len(rows), limit, endpoint=False).astype(np.int64)]
        inputs = inputs_of(module, torch.from_numpy(np.array(datamodule.prepared.x[chosen])))
        return inputs.flatten(1).float()

    val, train = some(datamodule.val_rows, MAX_VAL), some(datamodule.train_rows, MAX_TRAIN)
    raw = np.asarray(datamodule.prepared.x[datamodule.val_rows[:MAX_VAL]])
    if raw.shape == val.shape:
        has_distances = [(column % 1).any() and len(np.unique(column)) > len(column) / 2 for column in raw.T]
        val, train = val[:, has_distances], train[:, has_distances]
    if len(val) < FEW or len(train) < 2 * NUM_NEIGHBOURS or not val.shape[1]:
        return
    if width > NUM_DIMENSIONS:
        directions = torch.randn(val.shape[1], NUM_DIMENSIONS, generator=generator)
        val, train = val @ directions, train @ directions
    distances = torch.cdist(val, train, compute_mode="donot_use_mm_for_euclid_dist")
    nearest = distances.topk(NUM_NEIGHBOURS, largest=False).values
    nearest = nearest[nearest[:, NUM_COPIES] > 0]
    if len(nearest) < FEW:
        return
    shares = nearest / nearest[:, -1:]
    ranks = torch.arange(1, NUM_NEIGHBOURS) / NUM_NEIGHBOURS
    # shares are as (rank / k) ^ (1 / d)
    dimension = float(
        ranks[NUM_COPIES:].log().sum() / shares[:, NUM_COPIES:-1].log().mean(dim=0).sum().clamp(max=-1e-6)
    )
    near = min(NEAREST, (BY_CHANCE / NUM_NEIGHBOURS) ** (1.0 / dimension))
    is_copy = (shares[:, 0] < near) & (shares[:, 0] > 0)
    count = int(is_copy.sum())
    if count >= FEW and count > SHARE_OF_COPIES * len(shares):
        numbers = {"val_rows_near_train_rows": count, "val_rows": len(shares), "dimension": plain_number(dimension)}
        yield finding("val_rows_near_train_rows", numbers, near=near)


@torch.no_grad()
def augmentation_mistakes(subject: Subject) -> Iterator[Finding]:
    """An augmentation that gives other units, or in which a row that is exchanged changes others by equal draws."""
    module, (x, _) = subject.module(), subject.rows(NUM_ROWS)
    if module.augmentation is None or len(x) < NUM_ROWS:
        return

    def augmented(rows: torch.Tensor) -> torch.Tensor:
        assert module.augmentation is not None
        torch.manual_seed(0)
        return module.augmentation(rows.clone())

    sizes = [float(inputs_of(module, rows).square().mean().sqrt()) for rows in (x, augmented(x))]
    if not 1 / OTHER_UNITS < sizes[1] / max(sizes[0], 1e-30) < OTHER_UNITS:
        numbers = {"without": plain_number(sizes[0]), "augmented": plain_number(sizes[1])}
        yield finding("augmentation_changes_units", numbers)
    before, moved, kept = augmented(x), list[int](), list[int]()
    for place in (0, NUM_ROWS // 2, NUM_ROWS - 1):
        exchanged = x.clone()
        exchanged[place] = x[(place + 3) % NUM_ROWS]
        changed = torch.nonzero((augmented(exchanged) != before).flatten(1).any(dim=1)).flatten().tolist()
        moved += [row for row in changed if row != place]
        kept += [place] if changed and place not in changed else []
    if moved:
        how = "gives the rows of a batch in another order" if len(kept) > 1 else "mixes the rows of a batch"
        yield finding("augmentation_mixes_rows", {"rows_moved_by_others": len(moved)}, how=how)
