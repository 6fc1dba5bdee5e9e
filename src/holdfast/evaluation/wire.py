"""What goes over a pipe between the evaluation and its two short processes: JSON and raw arrays, nothing that can run.

A message is 8 bytes with the length of a JSON header, the header, and the bytes of the arrays it lists under "arrays".
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from holdfast.core.files import canonical_json

Array = NDArray[Any]
MAX_HEADER_BYTES = 2**28


def layout_of(array: Array) -> dict[str, Any]:
    """The entry of an array in the header."""
    return {"dtype": array.dtype.newbyteorder("<").str, "shape": list(array.shape)}


def send(file: BinaryIO, header: Mapping[str, Any], *arrays: Array) -> None:
    """Write a message."""
    send_blocks(file, header, [layout_of(array) for array in arrays], (little_endian(a).tobytes() for a in arrays))


def little_endian(array: Array) -> Array:
    """The array in the order of bytes that a message has."""
    return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))


def send_blocks(
    file: BinaryIO, header: Mapping[str, Any], layouts: list[dict[str, Any]], blocks: Iterable[bytes]
) -> None:
    """Write a message whose arrays come in blocks, so that they are never whole in this process."""
    head = canonical_json({**header, "arrays": layouts})
    file.write(len(head).to_bytes(8, "big") + head)
    for block in blocks:
        file.write(block)
    file.flush()


def receive(file: BinaryIO) -> tuple[dict[str, Any], list[Array]] | None:
    """Read a message; None at the end of the stream.

    Raises:
        EOFError: The stream ends within it.
        ValueError, TypeError, KeyError, AttributeError, MemoryError, OverflowError, RecursionError: It is no message.
    """
    length = file.read(8)
    if not length:
        return None
    if (size := int.from_bytes(length, "big")) > MAX_HEADER_BYTES:
        raise ValueError("is no header")
    header = json.loads(_exactly(file, size))
    arrays = [_read_array(file, np.dtype(item["dtype"]), item["shape"]) for item in header.pop("arrays")]
    return header, arrays


def forbid_core_dumps() -> None:
    """A crash must not write the rows in memory to a file (a no-op where there are no such limits)."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def forbid_files() -> None:
    """No byte can be written to a file from now on; pipes stay open (a no-op where there are no such limits)."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _read_array(file: BinaryIO, dtype: np.dtype[Any], shape: list[int]) -> Array:
    return np.frombuffer(_exactly(file, dtype.itemsize * math.prod(shape)), dtype).reshape(shape)


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
