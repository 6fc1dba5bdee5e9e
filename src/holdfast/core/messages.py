"""Messages between processes: 8 bytes with the length of a JSON header, the header, and the bytes of its arrays.

The header lists type and shape of the arrays under "arrays". Nothing is unpickled here, so nothing in a message can
run; only `experiment.warm` unpickles what the process that has started it sends.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from holdfast.core.files import canonical_json

MAX_HEADER_BYTES = 2**28
# What reading bytes that are no message may raise.
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, MemoryError, OverflowError, RecursionError)

Array = NDArray[Any]
Header = dict[str, Any]
Message = tuple[Header, list[Array]]


@dataclass(frozen=True)
class ArrayBlocks:
    """An array that is sent in blocks of rows, so that it is never whole in this process."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    blocks: Iterable[Array]


def send(file: BinaryIO, header: Mapping[str, Any], *arrays: Array | ArrayBlocks) -> None:
    """Write a message."""
    layouts = [{"dtype": array.dtype.newbyteorder("<").str, "shape": list(array.shape)} for array in arrays]
    head = canonical_json({**header, "arrays": layouts})
    file.write(len(head).to_bytes(8, "big") + head)
    for array in arrays:
        for block in array.blocks if isinstance(array, ArrayBlocks) else (array,):
            file.write(np.ascontiguousarray(block, array.dtype.newbyteorder("<")).tobytes())
    file.flush()


def receive(file: BinaryIO) -> Message:
    """Read a message.

    Raises:
        EOFError: The stream ends before it, or within it.
        UNREADABLE: It is no message.
    """
    if (size := int.from_bytes(_exactly(file, 8), "big")) > MAX_HEADER_BYTES:
        raise ValueError("is no header")
    header = json.loads(_exactly(file, size))
    arrays = []
    for layout in header.pop("arrays"):
        dtype, shape = np.dtype(layout["dtype"]), layout["shape"]
        arrays.append(np.frombuffer(_exactly(file, dtype.itemsize * math.prod(shape)), dtype).reshape(shape))
    return header, arrays


def _exactly(file: BinaryIO, size: int) -> bytearray:
    content = bytearray(size)
    view, place = memoryview(content), 0
    while place < size:
        piece = file.read(min(size - place, 2**20))
        if not piece:
            raise EOFError(f"{size - place} bytes are missing")
        view[place : place + len(piece)] = piece
        place += len(piece)
    return content
