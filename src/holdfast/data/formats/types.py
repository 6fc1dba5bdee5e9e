"""Types that columns are read as, by their names in pyarrow, and what is raised when they do not hold."""

from __future__ import annotations

from typing import Any

WORDS = {"int64": "int64", "double": "float64", "string": "string", "bool": "bool_"}


class Conflict(Exception):
    """The source must be read again, with `column` as `type`: a later row does not fit what the first suggested."""

    def __init__(self, column: str, type: str) -> None:
        super().__init__(f"column {column!r} must be read as {type}")
        self.column = column
        self.type = type


def arrow_type(name: str) -> Any:
    """The type of pyarrow's that is called so: int64, double, string or bool."""
    import pyarrow as pa

    return getattr(pa, WORDS[name])()
