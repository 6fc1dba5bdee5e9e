"""Columns of a table: numbers, or categories with the texts that their codes stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

ColumnType = Literal["number", "category"]
MISSING = ""
UNSEEN = -1


@dataclass(frozen=True)
class Column:
    """One column of a stored table.

    Attributes:
        name: As the source has it.
        type: A "number" is stored as it is, missing as NaN; a "category" is stored as its code.
        categories: Sorted texts of a category column; a code is an index into them, "" is the category of missing
            cells, and the code -1 a text that is not among them.
    """

    name: str
    type: ColumnType
    categories: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        plain: dict[str, Any] = {"name": self.name, "type": self.type}
        return plain | {"categories": list(self.categories)} if self.type == "category" else plain


def column_from_dict(plain: Mapping[str, Any]) -> Column:
    """The inverse of `Column.as_dict`.

    Raises:
        ValueError: The mapping describes no column.
    """
    name, kind, categories = plain.get("name"), plain.get("type"), plain.get("categories", [])
    if not isinstance(name, str) or kind not in ("number", "category"):
        raise ValueError(f"{plain!r} describes no column")
    if not isinstance(categories, list) or not all(isinstance(text, str) for text in categories):
        raise ValueError(f"column {name!r} has categories that are no texts")
    return Column(name, kind, tuple(categories))
