"""Mistakes in the rows themselves: val rows among train rows, targets that are all the same, rows that are mixed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from holdfast.checks.probes.causes import Finding, finding
from holdfast.checks.subject import Subject, inputs_of, plain_number
from holdfast.vault.rows.digest_sets import DigestSet, num_distinct

MAX_ROWS = 200_000
SHARE = 0.01
FEW = 10
BEYOND_NATURAL = 10.0
NUM_ROWS = 16
CORE = 0.02
OTHER_UNITS = 10.0  # times the root mean square of what the model gets without augmentation


def data_mistakes(subject: Subject) -> Iterator[Finding]:
    """Rows that are in two parts, and targets that say nothing."""
    datamodule = subject.datamodule
    targets = np.asarray(datamodule.prepared.y[datamodule.train_rows[:MAX_ROWS]])
    if len(datamodule.val_rows) and len(datamodule.train_rows) <= MAX_ROWS:
        yield from _shared_rows(subject)
    if targets.ndim == 1 and len(targets) and (targets == targets[0]).all():
        yield finding("one_target", {"rows": len(targets)})
    elif targets.ndim == 1 and subject.task.is_values:
        low, high = np.quantile(targets, (0.25, 0.75))
        if high - low < CORE * targets.std():
            numbers = {"middle_half_against_spread": plain_number((high - low) / targets.std())}
            yield finding("targets_apart", numbers)


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
        return
    repeated = len(train) - num_distinct(train_digests)
    is_natural = count < FEW or count / len(val) < BEYOND_NATURAL * repeated / len(train)
    numbers = {"val_rows_in_train": count, "val_rows": len(val), "train_rows_repeated": repeated}
    yield finding("val_rows_in_train", numbers, word="doubtful" if is_natural else "fail")


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
