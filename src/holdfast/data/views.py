"""Views: what a run makes of raw rows. A view is a setting of the run, not of the vault, and stands in its checkpoint.

A table has columns, types, categories and missing words (`data.tables.view`); images in files have a size, a mode and a
fit; arrays are taken as they are. A view never fails on a row: what it cannot read counts as missing, or is black.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.data.formats.images import CHANNELS, Fit, ImageForm, Mode, decode, fit_pixels
from holdfast.data.tables.view import TableView, Viewed, table_view_from_dict


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
            pixels = decode(image, form) if isinstance(image, bytes) else fit_pixels(image, form)
            if isinstance(pixels, str):
                is_unreadable[index] = True
            else:
                x[index] = pixels
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
    """A view as a record, a checkpoint or a selection has it.

    Raises:
        ValueError: The mapping describes no view.
    """
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

    `layout` is that of the sealed rows, as `data.raw.RawRows.layout` has it.
    """
    form, sealed = view["form"], layout["form"]
    if form == sealed == "array" and (view["shape"], np.dtype(view["dtype"])) != (
        layout["shape"],
        np.dtype(layout["dtype"]),
    ):
        return f"takes arrays of {view['dtype']} {view['shape']}, and {layout['dtype']} {layout['shape']} are sealed"
    is_image = sealed == "image" or (sealed == "array" and len(layout["shape"]) == 3 and layout["dtype"] == "|u1")
    takes_image = form == "image" or (form == "array" and len(view["shape"]) == 3 and view["dtype"] == "uint8")
    if form != sealed and not (is_image and takes_image):
        return f"takes rows in the form of {form}, and they are sealed in the form of {sealed}"
    return ""
