"""Facts about a data set, by its train and val rows alone: of the test rows only their number is known here.

name, task, kind, vault, target, notes
rows         {"train", "val", "test", "left_out", "looked_at"}: columns and leaks are taken from a sample
row          {"shape", "dtype"}
classes      [{"name", "train", "val"}], or null
values       the target of a regression, described like a number column, or null
columns      [{"name", "type", "missing_train", "missing_val", "distinct", ...}] of a table
pixels       all numbers of images and arrays, described like a number column, or null
examples     {"header", "rows"}: train rows of a table as texts, or null
checks       [{"name", "verdict": "good" | "look" | "bad", "what"}]
"""

from __future__ import annotations

from holdfast.core.tasks import task_of
from holdfast.data.store.store import is_open
from holdfast.reporting.dataset import (
    Facts,
    Parts,
    class_facts,
    column_facts,
    example_rows,
    number_facts,
    take_sample,
    thinned,
)
from holdfast.reporting.leak_checks import leak_checks


def dataset_facts(parts: Parts) -> Facts:
    """Gather everything that is told of a data set, as JSON would have it."""
    prepared = parts.prepared
    sample = take_sample(parts)
    is_table = prepared.kind == "table"
    columns = [
        column_facts(column, sample.x_train[:, index], sample.x_val[:, index])
        for index, column in enumerate(parts.columns if is_table else ())
    ]
    rows = {"train": len(parts.train), "val": len(parts.val), "test": prepared.num_test}
    return {
        "name": prepared.name,
        "task": prepared.task,
        "kind": prepared.kind,
        "vault": None if is_open(prepared.vault) else prepared.vault,
        "target": parts.target,
        "notes": list(parts.notes),
        "rows": {**rows, "left_out": prepared.num_left_out, "looked_at": len(sample.train) + len(sample.val)},
        "row": {"shape": list(prepared.x.shape[1:]), "dtype": str(prepared.x.dtype)},
        "classes": class_facts(parts),
        "values": number_facts(prepared.y[parts.train]) if task_of(prepared.task).is_values else None,
        "columns": columns,
        "pixels": None if is_table else number_facts(thinned(sample.x_train)),
        "examples": example_rows(parts) if is_table else None,
        "checks": leak_checks(parts, sample, columns),
    }
