from __future__ import annotations

import pytest

from holdfast.data.columns import Column, column_from_dict


@pytest.mark.parametrize("column", [Column("size", "number"), Column("color", "category", ("", "blue", "red"))])
def test_a_column_survives_json(column: Column) -> None:
    assert column_from_dict(column.as_dict()) == column


def test_a_number_has_no_categories_in_json() -> None:
    assert Column("size", "number").as_dict() == {"name": "size", "type": "number"}


@pytest.mark.parametrize(
    "plain", [{}, {"name": "a", "type": "text"}, {"name": 1, "type": "number"}, {"name": "a", "type": "category"}]
)
def test_what_describes_no_column(plain: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"describes no column|are no texts"):
        column_from_dict({"categories": [1], **plain})
