from __future__ import annotations

import pytest

from holdfast.core.errors import InputError
from holdfast.inference.checks import NEEDED, check_format
from holdfast.inference.export import random_rows


def test_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    check_format("torch_export")
    with pytest.raises(InputError, match=r"is 'onyx'; allowed: onnx, torch_export, safetensors; next: did you mean"):
        check_format("onyx")
    monkeypatch.setitem(NEEDED, "onnx", ("no_such_package",))
    with pytest.raises(InputError, match=r"onnx needs no_such_package, not installed here; next: pip install no_such"):
        check_format("onnx")


def test_random_rows_are_like_stored_ones() -> None:
    columns = [
        {"name": "age", "type": "number", "has_missing": True},
        {"name": "town", "type": "category", "categories": ["", "Bonn", "Ulm"]},
        {"name": "size", "type": "number"},
    ]
    x = random_rows({"row_shape": [3], "dtype": "float32", "columns": columns}, 500)
    assert x.dtype == "float32"
    assert set(x[:, 1]) == {-1.0, 0.0, 1.0, 2.0}
    assert 20 < sum(x[:, 0] != x[:, 0]) < 90
    assert (x[:, 2] == x[:, 2]).all()
    assert random_rows({"row_shape": [2, 2, 1], "dtype": "uint8"}, 90).max() > 200
