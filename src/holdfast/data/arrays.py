"""Rows from arrays: what an array is, a table, images or something else, is told by its shape and its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.data.columns import Column, Ranges, number_columns, unnamed
from holdfast.data.encrypted_spool import Spool
from holdfast.data.rows import Rows, blocks_of
from holdfast.data.tables.labels import targets_from_array
from holdfast.vault.rows.identity import row_digests

Layout = Literal["auto", "nhwc", "nchw", "nhw", "array"]
AXES = {"nhwc": 4, "nchw": 4, "nhw": 3}
CHANNELS = (1, 3, 4)
# How far k/255 may be from a byte: rounding, which for float16 is 255 * 2**-12 at most.
TOLERANCE, HALF_TOLERANCE = 1e-3, 0.07


def rows_from_arrays(
    x: Any,
    y: Any,
    *,
    layout: str = "auto",
    task: str = "auto",
    parts: Any = None,
    groups: Any = None,
    times: Any = None,
    class_names: Sequence[str] = (),
    feature_names: Sequence[str] = (),
    where: str = "data.path",
) -> Rows:
    """Rows of a data set that comes as arrays.

    Args:
        x: (n, columns) numbers are a table, (n, H, W) or (n, H, W, C) or (n, C, H, W) bytes are images, and so are
            numbers that are bytes in disguise (0 to 255, or k/255); anything else stays an array, channels first.
        y: (n,) classes, texts or values; (n, k) labels of 0 and 1, or one-hot classes.
        layout: The axes of images where they cannot be told; "array": do not look for images.
        task: "auto", "classes" or "regression".
        parts: (n,) 0 train, 1 val, 2 test.
        groups: (n,) numbers or texts.
        times: (n,) numbers.
        class_names: One for each class 0, 1, ...
        feature_names: Of a table's columns.
        where: The setting to blame.

    Raises:
        InputError: The arrays do not fit each other, or cannot be used.
    """
    x, y = as_array(x, "x", where), as_array(y, "y", where)
    for name, values in {"y": y, "parts": parts, "groups": groups, "times": times}.items():
        if values is not None and len(values) != len(x):
            problem = f"x has {len(x):,} rows and {name} has {len(values):,}"
            raise InputError(where, problem, next="are they of one set?")
    target = targets_from_array(y, task, class_names)
    form: dict[str, Any]
    if x.ndim == 2 and layout in ("auto", "array"):
        columns = _columns(x.shape[1], feature_names, where)
        stored, digests = _table(x, feature_names, where)
        form = {"kind": "table", "columns": columns, "digests": digests}
    else:
        kind, stored, pixel_scale = _images_or_array(x, layout, where)
        form = {"kind": kind, "pixel_scale": pixel_scale}
    return Rows(
        x=stored,
        y=target.y,
        task=target.task,
        class_names=target.class_names,
        parts=None if parts is None else np.asarray(parts, np.int8),
        groups=None if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1].reshape(-1),
        times=None if times is None else np.asarray(times, np.float64),
        **form,
    )


def features_like(x: Any, description: Mapping[str, Any], layout: str, where: str) -> Any:
    """(n, ...) features in the form in which a run's own are stored, by the field `data` of its record; else refused.

    Images of floats become bytes by the rule of the run's own, `Rows.pixel_scale`, whatever the new ones look like: a
    few dark images may hold nothing but 0 and 1.
    """
    kind, row_shape = description["kind"], tuple(description["row_shape"])
    x = as_array(x, "x", where)
    if kind == "table":
        if x.ndim != 2:
            raise InputError(where, f"x is {describe(x)}", allowed=f"(n, {row_shape[0]})")
        dtype = np.dtype(description["dtype"])
        _refuse_infinite(x, dtype, where)
        stored = x.astype(dtype, copy=False)
    else:
        scale = description.get("pixel_scale")
        read_kind, stored, _ = _images_or_array(x, layout, where, scale)
        if read_kind != kind:
            form = " of bytes, or of k/255" if scale == 255 else " of bytes, 0 to 255" if kind == "image" else ""
            raise InputError(where, f"x is {describe(x)}, read as {read_kind}", next=f"the run takes {kind} rows{form}")
    if tuple(stored.shape[1:]) != row_shape:
        raise InputError(where, f"x has rows of shape {tuple(stored.shape[1:])}, the run takes {row_shape}")
    return stored


def describe(x: Any) -> str:
    """An array in words."""
    return f"{x.dtype} of shape {tuple(x.shape)}"


def as_array(values: Any, name: str, where: str) -> NDArray[Any]:
    """An array of rows, "x" of numbers in two axes or more, "y" of numbers or texts; anything else is refused."""
    if hasattr(values, "detach"):  # a tensor
        values = values.detach().cpu().numpy()
    try:
        array = values if isinstance(values, np.ndarray) else np.asarray(values)
    except ValueError:
        raise InputError(where, f"{name} is ragged: its rows have several shapes") from None
    if array.dtype == object and name == "y" and all(isinstance(value, str) for value in array.ravel()):
        array = array.astype(str)
    if array.dtype.kind not in ("biufU" if name == "y" else "biuf"):
        raise InputError(where, f"{name} is {describe(array)}", allowed="numbers" + (" or texts" * (name == "y")))
    if array.dtype == np.longdouble and array.dtype.itemsize > 8:
        raise InputError(where, f"{name} is {describe(array)}", allowed="float64 or less")
    if not array.ndim or (name == "x" and array.ndim < 2):
        raise InputError(where, f"{name} is {describe(array)}", allowed="rows along the first axis, two axes or more")
    if not len(array):
        raise InputError(where, f"{name} has no rows")
    if not array.size:
        raise InputError(where, f"{name} is {describe(array)}: its rows are empty")
    return array


# --- features ------------------------------------------------------------------------------------------------------


def _columns(width: int, given: Sequence[str], where: str) -> tuple[Column, ...]:
    names = [str(name) for name in given] or unnamed(width)
    if len(names) != width or len(set(names)) != width:
        raise InputError(where, f"has {width} columns and {len(set(names))} different feature names")
    return number_columns(names)


def _table(x: NDArray[Any], names: Sequence[str], where: str) -> tuple[Any, NDArray[np.uint8] | None]:
    """A table in float32 where that is enough, and the digests of what the source holds, where that is another type."""
    _refuse_infinite(x, np.dtype(np.float64), where)
    ranges = Ranges(x.shape[1])
    for _, block in blocks_of(x):
        ranges.add(block.astype(np.float64))
    dtype = np.float64 if ranges.needs_double(range(x.shape[1])) else np.float32
    if x.dtype == dtype:
        return x, None
    digests = row_digests(x, kind="table", feature_names=names)
    return _converted(x, x.shape[1:], np.dtype(dtype), lambda block: block.astype(dtype)), digests


def _refuse_infinite(x: NDArray[Any], dtype: np.dtype[Any], where: str) -> None:
    for start, block in blocks_of(x):
        with np.errstate(over="ignore"):
            places = np.argwhere(np.isinf(block.astype(dtype)))
        if len(places):
            row, column = places[0].tolist()
            raise InputError(where, f"x, row {start + row}, column {column}: is infinite as {dtype}")


def _images_or_array(
    x: NDArray[Any], layout: str, where: str, pixel_scale: float | None = None
) -> tuple[Literal["image", "array"], Any, float]:
    """The kind of the array, its stored form, and the factor that its numbers were multiplied by."""
    if layout not in get_args(Layout):
        raise InputError("data.layout", f"is {layout!r}", allowed=", ".join(get_args(Layout)))
    if layout in AXES and x.ndim != AXES[layout]:
        raise InputError("data.layout", f"is {layout} and x is {describe(x)}", next=f"it has {x.ndim} axes")
    if layout == "array" or x.ndim not in (3, 4):
        return "array", _plain(x, where), 1.0
    known = layout if layout != "auto" else _layout_of(x)
    scale = _byte_scale(x, pixel_scale)
    if known is None or scale is None:
        channels_first = known == "nhwc" and x.ndim == 4
        return "array", _plain(np.moveaxis(x, 3, 1) if channels_first else x, where), 1.0

    def as_bytes(block: NDArray[Any]) -> NDArray[np.uint8]:
        hwc = block[..., None] if known == "nhw" else np.moveaxis(block, 1, 3) if known == "nchw" else block
        return hwc if hwc.dtype == np.uint8 else np.rint(hwc.astype(np.float64) * scale).astype(np.uint8)

    if x.dtype == np.uint8 and known == "nhwc":
        return "image", x, scale
    return "image", _converted(x, as_bytes(x[:1]).shape[1:], np.dtype(np.uint8), as_bytes), scale


def _layout_of(x: NDArray[Any]) -> str | None:
    if x.ndim == 3:
        return "nhw" if x.dtype == np.uint8 else None
    if x.shape[3] in CHANNELS:
        return "nhwc"
    return "nchw" if x.shape[1] in CHANNELS else None


def _byte_scale(x: NDArray[Any], known: float | None) -> float | None:
    """The factor that turns numbers into bytes without a loss: the known one for floats; None where there is none."""
    if x.dtype == np.uint8:
        return 1.0
    candidates = [1.0] if x.dtype.kind in "iub" else [255.0, 1.0] if known is None else [known]
    for _, block in blocks_of(x):
        numbers = block.astype(np.float64)
        tolerance = HALF_TOLERANCE if block.dtype == np.float16 else TOLERANCE
        candidates = [scale for scale in candidates if _are_bytes(numbers * scale, tolerance)]
        if not candidates:
            return None
    return candidates[0]


def _are_bytes(numbers: NDArray[np.float64], tolerance: float) -> bool:
    if not np.isfinite(numbers).all() or numbers.min() < 0 or numbers.max() > 255:
        return False
    return bool((np.abs(numbers - np.rint(numbers)) < tolerance).all())


def _plain(x: NDArray[Any], where: str) -> Any:
    """An array of float32, or of what it is where that is no number of a model."""
    for start, block in blocks_of(x):
        if block.dtype.kind == "f" and not np.isfinite(block).all():
            row = int(np.argwhere(~np.isfinite(block))[0][0])
            raise InputError(where, f"x, row {start + row}: holds a value that is not finite")
    return x if x.dtype == np.float32 else _converted(x, x.shape[1:], np.dtype(np.float32), np.float32)


def _converted(x: NDArray[Any], row_shape: tuple[int, ...], dtype: np.dtype[Any], convert: Any) -> Any:
    spool = Spool(row_shape, dtype)
    for _, block in blocks_of(x):
        spool.append(convert(block))
    return spool.settled()
