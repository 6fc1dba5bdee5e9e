"""Text for a terminal: names and messages may come from strangers' files."""

from __future__ import annotations

import unicodedata
from typing import Any

from rich import console
from rich.table import Column, Table
from rich.text import Text


def printable(text: str) -> str:
    """The text with control characters, and those that turn its direction, shown as escapes such as \\x1b."""
    return "".join(repr(char)[1:-1] if _is_control(char) else char for char in text)


def _is_control(char: str) -> bool:
    return char != "\n" and unicodedata.category(char) in ("Cc", "Cf")


class Console(console.Console):
    """Rich's, which shows control characters of what it is given as escapes."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Turn a string into what is shown."""
        return super().render_str(printable(text), **options)


def plain_table(*columns: str | Column) -> Table:
    """A table without lines; a header stands for a column whose long texts are folded."""
    columns = tuple(Column(column, overflow="fold") if isinstance(column, str) else column for column in columns)
    return Table(*columns, box=None, header_style="bold", pad_edge=False)


def numbers_column(header: str) -> Column:
    """A column whose cells end at the right."""
    return Column(header, justify="right", no_wrap=True)
