"""The forms in which stored rows turn up elsewhere: in a checkpoint, or handed to a model by somebody's code.

A candidate is any run of numbers that could be a row as it is stored: the rows of a matrix, its columns, its rows with
some columns more, also standardised by the statistics of the train rows, scaled to 0..1 or by any factor and offset of
a channel, and channels first. What was changed in another way (augmented, projected, summed up) is none; nor are rows
of fewer than four different numbers, which would be found everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.data.statistics import TrainStatistics, channel_statistics
from holdfast.vault.rows.identity import row_digests

FEWEST_NUMBERS = 4
EXTRA_COLUMNS = 4
# A standardised float32 gives its row back to about seven digits: a table of fewer is found exactly.
DIGITS = (4, 5, 6)
PIXEL_ATOL = 0.2  # of 255: half precision
BLOCK_NUMBERS = 2**22
LOOK_NUMBERS = 4096

Array = NDArray[Any]


def numbers_in(content: Any, fewest: int, name: str = "") -> Iterator[tuple[str, Array]]:
    """Every tensor, array, list of numbers and byte string with at least `fewest` numbers, by its place."""
    if isinstance(content, Mapping):
        parts = {f"{name}.{key}".lstrip("."): value for key, value in content.items()}
    elif isinstance(content, Sequence) and not isinstance(content, str | bytes | bytearray):
        parts = {f"{name}.{index}": value for index, value in enumerate(content) if not isinstance(value, int | float)}
        flat = list(_plain_numbers(content))
        if len(flat) >= fewest:
            yield name, np.array(flat, np.float64)
    else:
        parts = {}
        yield from ((name, array) for array in _arrays_of(content) if array.size >= fewest)
    for place, value in parts.items():
        yield from numbers_in(value, fewest, place)


def candidates(numbers: Array, train: TrainStatistics, fewest: int = FEWEST_NUMBERS) -> Iterator[NDArray[np.uint8]]:
    """Digests of everything in an array of any shape that may be rows, block by block.

    A row has the shape, type and kind of the train rows, and at least `fewest` different numbers: others are found by
    chance among many weights.
    """
    width = int(np.prod(train.mean.shape))
    for rows in _row_views(numbers, width):
        size = max(1, BLOCK_NUMBERS // width)
        for start in range(0, len(rows), size):
            block = np.ascontiguousarray(rows[start : start + size])
            if len(block := block[~np.isinf(block).any(axis=1) & _is_varied(block, fewest)]):
                yield from _digests(block, train)


def _arrays_of(value: Any) -> Iterator[Array]:
    if hasattr(value, "detach"):
        tensor = value.detach().cpu()
        if not tensor.is_complex():
            is_half = tensor.is_floating_point() and tensor.dtype.itemsize < 4
            yield (tensor.float() if is_half else tensor).numpy()
    elif isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        yield value
    elif isinstance(value, bytes | bytearray):
        for dtype in ("u1", "<f4", "<f8"):
            yield np.frombuffer(value, dtype, len(value) // np.dtype(dtype).itemsize)


def _plain_numbers(content: Sequence[Any]) -> Iterator[float]:
    for value in content:
        if isinstance(value, bool | int | float):
            yield float(value) if abs(value) < 2**53 else float("nan")
        elif isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
            yield from _plain_numbers(value)


def _row_views(numbers: Array, width: int) -> Iterator[Array]:
    """(n, width) views of an array."""
    is_whole = numbers.size % width == 0
    last = numbers.shape[-1] if numbers.ndim else 1
    if is_whole:
        yield numbers.reshape(-1, width)
    if numbers.ndim > 1 and len(numbers) == width:
        yield numbers.reshape(width, -1).T
    rest = numbers.size // len(numbers) if numbers.ndim and len(numbers) else 0
    for columns in {last, rest}:
        if width < columns <= width + EXTRA_COLUMNS:
            matrix = numbers.reshape(-1, columns)
            yield matrix[:, :width]
            yield matrix[:, columns - width :]
    if numbers.ndim == 1 and not is_whole:
        yield numbers[: numbers.size - numbers.size % width].reshape(-1, width)


def _is_varied(block: Array, fewest: int) -> NDArray[np.bool_]:
    ordered = np.sort(block, axis=1)  # a missing number is a NaN, and comes last
    is_new = (ordered[:, 1:] != ordered[:, :-1]) & ~np.isnan(ordered[:, 1:])
    return np.asarray(is_new.sum(axis=1) + 1 >= fewest)


def _digests(block: Array, train: TrainStatistics) -> Iterator[NDArray[np.uint8]]:
    if train.mean.ndim in (2, 3):
        if train.dtype != "uint8":
            yield row_digests(block.astype(train.dtype).reshape(-1, *train.mean.shape), kind=train.kind)
        for pixels in _images(block, train):
            yield row_digests(pixels, kind=train.kind)
        return
    yield row_digests(block.astype(train.dtype), kind=train.kind)
    if block.dtype.kind == "f":
        mean, std = train.mean.ravel(), train.std.ravel()
        raw = block.astype(np.float64) * np.where(std > 0, std, 1.0) + mean
        for digits in DIGITS:
            yield row_digests(_rounded(raw, digits).astype(train.dtype), kind=train.kind)


def _images(block: Array, train: TrainStatistics) -> Iterator[Array]:
    """(n, H, W, C) pixels, from rows that are pixels, pixels / 255, or standardised pixels, channels last or first."""
    height, width, channels = (*train.mean.shape, 1)[:3]
    for is_first in (False, True) if channels > 1 else (False,):
        shape = (-1, channels, height, width) if is_first else (-1, height, width, channels)
        images = block.reshape(shape)
        images = np.moveaxis(images, 1, 3) if is_first else images
        if images.dtype == np.uint8:
            yield np.ascontiguousarray(images)
            continue
        values = images.astype(np.float64)
        for raw in (values, values * 255.0, *_unstandardised(values, train), *_counted_up(values)):
            pixels = np.rint(raw)
            near = (np.abs(raw - pixels) <= PIXEL_ATOL) & (pixels >= 0) & (pixels <= 255)
            is_image = near.reshape(len(raw), -1).all(axis=1)
            if is_image.any():
                yield pixels[is_image].astype(np.uint8)


def _unstandardised(values: NDArray[np.float64], statistics: TrainStatistics) -> Iterator[NDArray[np.float64]]:
    shape = values.shape[1:]
    for mean, std in (channel_statistics(statistics), (statistics.mean, statistics.std)):
        if mean.size in (shape[-1], int(np.prod(shape))):
            place = shape if mean.size > shape[-1] else shape[-1:]
            yield values * np.where(std > 0, std, 1.0).reshape(place) + mean.reshape(place)


def _counted_up(values: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    """Pixels behind any factor and offset of a channel: its few values, counted up from the smallest."""
    pixels = np.empty_like(values)
    for channel in range(values.shape[-1]):
        column = values[..., channel]
        if len(np.unique(column.ravel()[:LOOK_NUMBERS])) > 256:
            return
        levels = np.unique(column)
        if not 2 <= len(levels) <= 256:
            return
        spread = levels[-1] - levels[0]
        steps = np.rint(spread / np.diff(levels).min())
        if steps > 255:
            return
        pixels[..., channel] = (column - levels[0]) * (steps / spread)
    yield pixels


def _rounded(values: NDArray[np.float64], digits: int) -> NDArray[np.float64]:
    """Numbers rounded to `digits` significant digits."""
    with np.errstate(divide="ignore"):
        places = digits - 1 - np.floor(np.log10(np.abs(values)))
    scale = 10.0 ** np.clip(np.where(np.isfinite(places), places, 0.0), -20, 20)
    return np.rint(values * scale) / scale
