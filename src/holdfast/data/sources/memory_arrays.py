"""Arrays that `holdfast.train(data=x, target=y)` was given, known by the SHA-256 of their content."""

from __future__ import annotations

from holdfast.data.arrays import Layout
from holdfast.data.in_memory import handed_over
from holdfast.data.rows import Rows
from holdfast.data.sources import arrays
from holdfast.data.tables.settings import Task


def load(*, content: str | None = None, layout: Layout = "auto", task: Task = "auto") -> Rows:
    """Read features and targets; see `data.sources.arrays.load`.

    Raises:
        InputError: The rows are not in memory any more, or the arrays cannot be used.
    """
    return arrays.load(str(handed_over(content)), layout=layout, task=task)
