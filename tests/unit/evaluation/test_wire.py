from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from holdfast.evaluation import wire
from holdfast.evaluation.predictor import describe


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


def test_an_error_on_sealed_rows_is_a_code_and_a_type() -> None:
    class Row1234(ValueError):
        """A type of the user's own, whose name can carry rows too."""

    assert describe(ValueError("row 1 2 3"), is_sealed=True) == {"code": "predict", "type": "ValueError"}
    assert describe(MemoryError(), is_sealed=True) == {"code": "memory", "type": "MemoryError"}
    told = describe(Row1234("row 1 2 3"), is_sealed=True)
    assert told == {"code": "predict", "type": "an exception type of the model's own"}
    assert describe(ValueError("shape"), is_sealed=False)["text"] == "shape"
