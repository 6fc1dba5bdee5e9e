from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from holdfast.evaluation import wire
from holdfast.evaluation.predictor import describe
from holdfast.evaluation.processes import _failure


@pytest.mark.parametrize("array", [np.arange(6.0).reshape(2, 3), np.zeros((0, 4), np.float32), np.array([1, 2], ">i8")])
def test_arrays_arrive_as_they_were_sent(array: np.ndarray[Any, Any]) -> None:
    file = io.BytesIO()
    wire.send(file, {"n": 1}, array, array[:1])
    file.seek(0)
    message = wire.receive(file)
    assert message is not None
    header, (first, second) = message
    assert header == {"n": 1}
    assert np.array_equal(first, array)
    assert np.array_equal(second, array[:1])
    assert wire.receive(file) is None


def test_a_cut_message_is_told() -> None:
    file = io.BytesIO()
    wire.send(file, {}, np.arange(10))
    with pytest.raises(EOFError, match="3 bytes are missing"):
        wire.receive(io.BytesIO(file.getvalue()[:-3]))


@pytest.mark.parametrize("content", [b"row 1 2 3", b"\0" * 7 + b"\2[]", b"\0" * 7 + b"\2{}", b"\0" * 7 + b"\3row"])
def test_what_is_no_message_is_told(content: bytes) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        wire.receive(io.BytesIO(content))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ({"code": "predict", "type": "ValueError", "text": "row 1"}, "predict failed with ValueError; its text"),
        ({"code": "memory", "type": "MemoryError", "text": "row 1"}, "memory failed with MemoryError; its text"),
        ({"code": "row 1", "type": "row 1"}, "predict failed with an exception type of the model's own"),
        ({"code": ["row 1"], "type": ["row 1"]}, "predict failed with an exception type of the model's own"),
        ("row 1", "predict failed with an exception type of the model's own"),
    ],
)
def test_an_error_on_sealed_rows_is_told_in_known_words(error: Any, told: str) -> None:
    failure = str(_failure(error, is_sealed=True))
    assert told in failure
    assert "row 1" not in failure


def test_an_error_on_open_rows_is_told_as_it_is() -> None:
    assert "predict failed with ValueError: shape" in str(_failure(describe(ValueError("shape")), is_sealed=False))
