from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from holdfast.core.messages import UNREADABLE, ArrayBlocks, receive, send


@pytest.mark.parametrize("array", [np.arange(6.0).reshape(2, 3), np.zeros((0, 4), np.float32), np.array([1, 2], ">i8")])
def test_arrays_arrive_as_they_were_sent(array: np.ndarray[Any, Any]) -> None:
    file = io.BytesIO()
    blocks = (array[index : index + 1] for index in range(len(array)))
    send(file, {"n": 1}, array, ArrayBlocks(array.dtype, array.shape, blocks))
    file.seek(0)
    header, (first, second) = receive(file)
    assert header == {"n": 1}
    assert np.array_equal(first, array)
    assert np.array_equal(second, array)
    with pytest.raises(EOFError):
        receive(file)


def test_a_cut_message_is_told() -> None:
    file = io.BytesIO()
    send(file, {}, np.arange(10))
    with pytest.raises(EOFError, match="3 bytes are missing"):
        receive(io.BytesIO(file.getvalue()[:-3]))


@pytest.mark.parametrize("content", [b"row 1 2 3", b"\0" * 7 + b"\2[]", b"\0" * 7 + b"\2{}", b"\0" * 7 + b"\3row"])
def test_what_is_no_message_is_told(content: bytes) -> None:
    with pytest.raises(UNREADABLE):
        receive(io.BytesIO(content))
