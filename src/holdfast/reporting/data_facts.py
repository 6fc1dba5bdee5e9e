"""Facts about a data set, by its train and val rows alone: of the test rows only their number is known here.

name, task, kind, vault, target, notes
rows         {"train", "val", "test", "left_out", "looked_at"}: columns and leaks are taken from a sample
row          {"shape", "dtype"}
classes      [{"name", "train", "val"}], or null
values       the targets of a regression, each described like a number column with its name, or null
columns      [{"name", "type", "missing_train", "missing_val", "distinct", ...}] of a table
pixels       all numbers of images and arrays, described like a number column, or null
examples     {"header", "rows"}: train rows of a table as texts, or null
checks       [{"name", "verdict": "good" | "look" | "bad", "what"}]
"""

from __future__ import annotations

from typing import Any

import numpy as np

from holdfast.core.tasks import task_of
from holdfast.data.loading.train_val import RunRows
from holdfast.data.store.store import is_open
from holdfast.reporting.dataset import (
    MAX_NUMBERS,
    Facts,
    class_facts,
    column_facts,
    example_rows,
    number_facts,
    take_sample,
)
from holdfast.reporting.leak_checks import leak_checks


def dataset_facts(rows: RunRows, target: Any = None) -> Facts:
    """Gather everything that is told of a data set, as JSON would have it; of `target` one name is shown."""
    prepared = rows.prepared
    target = target if isinstance(target, str) else None
    sample = take_sample(rows)
    is_table = prepared.kind == "table"
    columns = [
        column_facts(column, sample.x_train[:, index], sample.x_val[:, index])
        for index, column in enumerate(prepared.columns if is_table else ())
    ]
    counts = {"train": len(rows.train), "val": len(rows.val), "test": prepared.num_test}
    return {
        "name": prepared.name,
        "task": prepared.task,
        "kind": prepared.kind,
        "vault": None if is_open(prepared.vault) else prepared.vault,
        "target": target,
        "notes": list(prepared.notes),
        "rows": {**counts, "left_out": prepared.num_left_out, "looked_at": len(sample.train) + len(sample.val)},
        "row": {"shape": list(prepared.x.shape[1:]), "dtype": str(prepared.x.dtype)},
        "classes": class_facts(rows),
        "values": _value_facts(rows, target) if task_of(prepared.task).is_values else None,
        "columns": columns,
        "pixels": None if is_table else number_facts(sample.x_train[:: 1 + sample.x_train.size // MAX_NUMBERS]),
        "examples": example_rows(rows, target) if is_table else None,
        "checks": leak_checks(rows, sample, columns),
    }


def _value_facts(rows: RunRows, target: str | None) -> list[Facts]:
    """The targets of train rows, one by one; `target` is the name of a single one."""
    names = rows.prepared.class_names or (target or "target",)
    columns = np.asarray(rows.prepared.y[rows.train]).reshape(len(rows.train), -1).T
    return [{"name": name, **number_facts(column)} for name, column in zip(names, columns, strict=True)]
