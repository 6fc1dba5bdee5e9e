"""Views: what a run makes of raw rows. A view is a setting of the run, not of the vault, and stands in its checkpoint.

A table has columns, types, categories and missing words, from train and val rows alone; images in files have a size, a
mode and a fit; arrays are taken as they are. New rows and sealed rows are read by the same code. A view never fails on
a row: what it cannot read counts as missing, or is black.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.data.columns import MISSING, UNSEEN, Column, column_from_dict
from holdfast.data.formats.images import CHANNELS, Fit, ImageForm, Mode, fit_pixels, read_image
from holdfast.data.tables.cells import Numbers, amounts_of, dates_of, kind_of, numbers_of, plain_number, texts_of
from holdfast.data.tables.dates import PARTS, part_of
from holdfast.vault.rows.canonical_cells import MISSING_TEXTS

AMOUNT = "amount"


@dataclass(frozen=True, eq=False)
class Viewed:
    """Rows as a view shows them."""

    x: NDArray[Any]  # (n, ...) rows as a run stores them
    # (n, columns) cells that the view cannot read, and that count as missing; None: it reads all
    is_unreadable: NDArray[np.bool_] | None = None
    # (columns,) how many cells are texts that are no category of the view
    unknown: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))


@dataclass(frozen=True)
class TableView:
    """The columns of a table as a run sees them.

    A number is stored as it is, missing as NaN; a category as its code, a text that is none of the view's as `UNSEEN`.
    """

    columns: tuple[Column, ...]  # names, types and categories, in the order of the source
    dtype: str  # "float32" or "float64"
    missing: tuple[str, ...] = MISSING_TEXTS  # texts that mean a missing cell
    # how the source writes numbers (`TableFile.reading`), for new files of its format
    reading: Mapping[str, str] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row."""
        return (len(self.columns),)

    def as_dict(self) -> dict[str, Any]:
        """The view as JSON."""
        plain = {"form": "table", "columns": [column.as_dict() for column in self.columns], "dtype": self.dtype}
        plain["missing"] = [text for text in self.missing if text not in MISSING_TEXTS]
        return plain | ({"reading": dict(self.reading)} if self.reading else {})

    def rows(self, batch: Any) -> Viewed:
        """Rows of a record batch of pyarrow's; a column that it lacks is missing in every row."""
        arrays, num_rows = dict(zip(batch.schema.names, batch.columns, strict=True)), batch.num_rows
        x = np.full((num_rows, len(self.columns)), np.nan, self.dtype)
        is_unreadable = np.zeros(x.shape, bool)
        unknown = np.zeros(len(self.columns), np.int64)
        numbers: dict[str, Numbers] = {}  # several columns are taken from one column of dates
        for index, column in enumerate(self.columns):
            array = arrays.get(column.origin)
            if array is not None and kind_of(array.type) == "nested":
                array = None
            is_unreadable[:, index] = array is None
            if column.type == "category":
                x[:, index] = self._codes(column, array, num_rows)
                unknown[index] = 0 if array is None else int((x[:, index] == UNSEEN).sum())
            elif array is not None:
                if column.origin not in numbers:
                    numbers[column.origin] = self.cells(column, array)
                x[:, index], is_unreadable[:, index] = self._numbers(column, numbers[column.origin])
        return Viewed(x, is_unreadable if is_unreadable.any() else None, unknown)

    @cached_property
    def _code_of(self) -> dict[str, dict[str | float, int]]:
        """The codes of texts by column; those of numbers that are spelled in one way, too: 1.0 is 1, but 01 is not."""
        code_of: dict[str, dict[str | float, int]] = {}
        for column in self.columns:
            numbers = [plain_number(text) for text in column.categories]
            spellings = Counter(numbers)
            code_of[column.name] = {n: code for code, n in enumerate(numbers) if spellings[n] == 1}
            code_of[column.name] |= {text: code for code, text in enumerate(column.categories)}
        return code_of

    def cells(self, column: Column, array: Any) -> Numbers:
        """The cells of an array of pyarrow's as a column of numbers, or of parts of dates, reads them."""
        if column.part in PARTS:
            return dates_of(array, self.missing, column.order)
        return (amounts_of if column.part == AMOUNT else numbers_of)(array, self.missing)

    def _numbers(self, column: Column, numbers: Numbers) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        values = part_of(numbers.values, column.part) if column.part in PARTS else numbers.values
        with np.errstate(over="ignore"):
            values = values.astype(self.dtype)
        is_unreadable = np.isinf(values) | numbers.is_text
        values[is_unreadable] = np.nan
        return values, is_unreadable

    def _codes(self, column: Column, array: Any, num_rows: int) -> NDArray[np.float64]:
        codes, texts = (np.full(num_rows, -1), ()) if array is None else texts_of(array, self.missing)
        code_of = self._code_of[column.name]
        known = [code_of.get(text, code_of.get(plain_number(text), UNSEEN)) for text in (*texts, MISSING)]
        view_codes: NDArray[np.float64] = np.array(known, float)[codes]
        return view_codes


@dataclass(frozen=True)
class ImageView:
    """Images of one size and mode: uint8 (n, height, width, channels)."""

    mode: Mode
    size: tuple[int, int]
    fit: Fit = "stretch"
    dtype = "uint8"

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row."""
        return (*self.size, CHANNELS[self.mode])

    def as_dict(self) -> dict[str, Any]:
        """The view as JSON."""
        return {"form": "image", "mode": self.mode, "size": list(self.size), "fit": self.fit}

    def rows(self, block: Sequence[bytes] | NDArray[np.uint8]) -> Viewed:
        """Encoded images, or (n, H, W, C) pixels, as pixels."""
        form = ImageForm(self.mode, self.size, self.fit)
        x = np.zeros((len(block), *self.shape), np.uint8)
        is_unreadable = np.zeros((len(block), 1), bool)
        for index, image in enumerate(block):
            read = read_image(image, form) if isinstance(image, bytes) else [fit_pixels(image, form)]
            if isinstance(read, str):
                is_unreadable[index] = True
            else:
                x[index] = read[0]
        return Viewed(x, is_unreadable if is_unreadable.any() else None)


@dataclass(frozen=True)
class ArrayView:
    """Arrays as they came: (n, *shape) numbers of one type."""

    shape: tuple[int, ...]
    dtype: str

    def as_dict(self) -> dict[str, Any]:
        """The view as JSON."""
        return {"form": "array", "shape": list(self.shape), "dtype": self.dtype}

    def rows(self, block: Sequence[bytes] | NDArray[Any]) -> Viewed:
        """Arrays of the same shape; images in files are decoded to it."""
        if isinstance(block, np.ndarray):
            return Viewed(block.astype(self.dtype, copy=False).reshape(-1, *self.shape))
        mode = next(mode for mode, channels in CHANNELS.items() if channels == self.shape[-1])
        return ImageView(mode, (self.shape[0], self.shape[1])).rows(block)  # type: ignore[arg-type]


# The step from raw rows to those that a model is given.
View = TableView | ImageView | ArrayView


def view_from_dict(plain: Mapping[str, Any]) -> View:
    """A view as a record, a checkpoint or a selection has it; a ValueError where the mapping describes none."""
    try:
        if plain["form"] == "table":
            return table_view_from_dict(plain)
        if plain["form"] == "image":
            return ImageView(plain["mode"], (int(plain["size"][0]), int(plain["size"][1])), plain["fit"])
        if plain["form"] == "array":
            return ArrayView(tuple(int(size) for size in plain["shape"]), np.dtype(plain["dtype"]).name)
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"describes no view ({error})") from None
    raise ValueError(f"{plain['form']!r} is no form of a view")


def mismatch(view: Mapping[str, Any], layout: Mapping[str, Any]) -> str:
    """The reason why sealed rows cannot be seen through a view; empty where they can.

    `layout` is that of the sealed rows, as `data.rows` has it.
    """
    form, sealed = view["form"], layout["form"]
    is_array = form == sealed == "array"
    if is_array and (view["shape"] != layout["shape"] or np.dtype(view["dtype"]) != np.dtype(layout["dtype"])):
        return f"takes arrays of {view['dtype']} {view['shape']}, and {layout['dtype']} {layout['shape']} are sealed"
    is_image = sealed == "image" or (sealed == "array" and len(layout["shape"]) == 3 and layout["dtype"] == "|u1")
    takes_image = form == "image" or (form == "array" and len(view["shape"]) == 3 and view["dtype"] == "uint8")
    if form != sealed and not (is_image and takes_image):
        return f"takes rows in the form of {form}, and they are sealed in the form of {sealed}"
    return ""


def table_view_from_dict(plain: Mapping[str, Any]) -> TableView:
    """The inverse of `TableView.as_dict`; a ValueError where the mapping describes no view of a table."""
    if plain.get("dtype") not in ("float32", "float64"):
        raise ValueError(f"a table has no rows of {plain.get('dtype')!r}")
    columns = tuple(column_from_dict(column) for column in plain["columns"])
    missing = (*MISSING_TEXTS, *map(str, plain.get("missing") or ()))
    return TableView(columns, str(plain["dtype"]), missing, dict(plain.get("reading") or {}))
