"""Mistakes in the rows themselves: val rows among train rows, targets that are all the same."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from holdfast.checks.probes.finding import Finding
from holdfast.checks.subject import Subject
from holdfast.vault.rows.digest_sets import DigestSet

MAX_ROWS = 200_000
SHARE = 0.01


def data_mistakes(subject: Subject) -> Iterator[Finding]:
    """Rows that are in two parts, and targets that say nothing."""
    datamodule = subject.datamodule
    prepared, train, val = datamodule.prepared, datamodule.train_rows, datamodule.val_rows
    if len(val) and len(train) <= MAX_ROWS:
        val_digests, train_digests = (np.asarray(prepared.digests[rows]) for rows in (val[:MAX_ROWS], train))
        count = int(DigestSet(train_digests).has(val_digests).sum())
        if count > SHARE * len(val):
            cause = f"val rows are among the train rows: {count:,} of {len(val):,} are equal to a train row"
            numbers = {"val_rows_in_train": count, "val_rows": len(val)}
            yield Finding("val_rows_in_train", "doubtful", cause, "split=group, or leave repeated rows out", numbers)
    targets = np.asarray(prepared.y[train[:MAX_ROWS]])
    if targets.ndim == 1 and len(targets) and (targets == targets[0]).all():
        cause = "all train rows have the same target: there is nothing to learn"
        yield Finding(
            "one_target", "doubtful", cause, "look at the data: `holdfast data inspect`", {"rows": len(targets)}
        )
