"""What formats whose files know their types have in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from holdfast.core.errors import InputError


def clean_names(path: Path, names: Sequence[str]) -> list[str]:
    """The names of columns without white space around them.

    Raises:
        InputError: A name stands for several columns.
    """
    stripped = [name.strip() for name in names]
    twice = sorted({name for name in stripped if stripped.count(name) > 1})
    if twice:
        raise InputError("data.path", f"{path} has columns more than once: {', '.join(twice)}")
    return stripped
