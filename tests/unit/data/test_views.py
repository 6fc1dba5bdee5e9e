"""Views of images and arrays, and which of them fit sealed rows."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from holdfast.data.columns import Column
from holdfast.data.views import ArrayView, ImageView, TableView, mismatch, view_from_dict

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
TABLE = TableView((Column("a", "number"),), "float64")


def png(pixels: Any) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "png")
    return content.getvalue()


def test_images_of_files_and_of_pixels_become_one_size() -> None:
    view = ImageView("rgb", (3, 4))
    assert (view.shape, view.dtype) == ((3, 4, 3), "uint8")
    viewed = view.rows([png(PIXELS), png(PIXELS[:, :, 0]), b"no image"])
    assert (viewed.x.shape, viewed.x.dtype) == ((3, 3, 4, 3), np.uint8)
    assert viewed.is_unreadable is not None
    assert viewed.is_unreadable.ravel().tolist() == [False, False, True]
    assert not viewed.x[2].any(), "what cannot be read is black"
    assert (viewed.x[1] == viewed.x[1][..., :1]).all(), "gray in colours"
    again = view.rows(PIXELS[None])
    assert again.is_unreadable is None
    np.testing.assert_array_equal(again.x[0], viewed.x[0])
    np.testing.assert_array_equal(ImageView("rgb", (6, 8)).rows([png(PIXELS)]).x[0], PIXELS)


def test_arrays_are_taken_as_they_are() -> None:
    x = np.random.default_rng(0).normal(size=(5, 2, 3))
    viewed = ArrayView((2, 3), "float32").rows(x.astype("<f8"))
    np.testing.assert_array_equal(viewed.x, x.astype(np.float32))
    np.testing.assert_array_equal(ArrayView((6, 8, 3), "uint8").rows([png(PIXELS)]).x[0], PIXELS)


@pytest.mark.parametrize("view", [ImageView("gray", (3, 4), "pad"), ArrayView((2, 3), "float32"), TABLE])
def test_they_are_the_same_after_json(view: Any) -> None:
    assert view_from_dict(json.loads(json.dumps(view.as_dict()))) == view


@pytest.mark.parametrize(
    ("plain", "words"),
    [
        ({"form": "sound"}, "'sound' is no form of a view"),
        ({"form": "image", "mode": "rgb", "size": [3]}, "describes no view"),
        ({"form": "array", "shape": [3]}, "describes no view"),
        ({}, "describes no view"),
    ],
)
def test_what_is_no_view(plain: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        view_from_dict(plain)


IMAGES, IMAGE_FILES = {"form": "array", "dtype": "|u1", "shape": [6, 8, 3]}, {"form": "image"}
NUMBERS = {"form": "array", "dtype": "<f4", "shape": [3]}


@pytest.mark.parametrize(
    ("view", "layout", "fits"),
    [
        (TABLE, {"form": "table"}, True),
        (ImageView("gray", (3, 4)), IMAGE_FILES, True),
        (ImageView("gray", (3, 4)), IMAGES, True),
        (ArrayView((6, 8, 3), "uint8"), IMAGES, True),
        (ArrayView((6, 8, 3), "uint8"), IMAGE_FILES, True),
        (ArrayView((3,), "float32"), NUMBERS, True),
        (ArrayView((4,), "float32"), NUMBERS, False),
        (ArrayView((3,), "float64"), NUMBERS, False),
        (ArrayView((3,), "float32"), {"form": "table"}, False),
        (TABLE, NUMBERS, False),
        (TABLE, IMAGE_FILES, False),
        (ImageView("gray", (3, 4)), NUMBERS, False),
        (ImageView("gray", (3, 4)), {"form": "table"}, False),
    ],
)
def test_which_sealed_rows_a_view_takes(view: Any, layout: dict[str, Any], fits: bool) -> None:
    assert (mismatch(view.as_dict(), layout) == "") == fits
