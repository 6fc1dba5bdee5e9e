"""Text for a terminal: names and messages may come from strangers' files."""

from __future__ import annotations

import unicodedata
from typing import Any

from rich import console
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
