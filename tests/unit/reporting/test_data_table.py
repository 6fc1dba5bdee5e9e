"""The data set on the terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from holdfast.reporting import data_table


@pytest.mark.parametrize("width", [80, 160])
def test_long_texts_leave_the_names_of_columns_whole(width: int) -> None:
    top = [(f"Smith, Mr. John Jacob the {i}th of somewhere", 1) for i in range(6)]
    column: dict[str, Any] = {"name": "PassengerName", "type": "category", "distinct": 300}
    column |= {"missing_train": 0, "missing_val": 0, "rows_train": 300, "rows_val": 80}
    console = Console(file=io.StringIO(), width=width)
    data_table._print_columns([{**column, "histogram": None, "top": top}], console)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "PassengerName  category" in shown
    assert len(shown.splitlines()) <= 6
