from __future__ import annotations

import io
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from holdfast.data.columns import Column
from holdfast.reporting.data_facts import dataset_facts
from holdfast.reporting.data_page import data_page
from holdfast.reporting.data_table import bars, print_data
from holdfast.reporting.pictures import example_strips, strip

from .conftest import MakeRows

VOID = {"meta", "img"}
MOMENT = "2026-01-02T03:04:05.000+00:00"
GENERATOR = np.random.default_rng(0)


class Closed(HTMLParser):
    """Fails where a tag is not closed in its turn."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None: ...

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: str) -> str:
    parser = Closed()
    parser.feed(page)
    assert parser.open == []
    assert "http" not in page.replace("http-equiv", "")
    return parser.text


BATCH = {
    "kind": "array",
    "rows": 2,
    "shape": [2],
    "least": -1.5,
    "mean": 0.1,
    "std": 0.9,
    "largest": 2.0,
    "not_finite": 0,
}


@pytest.mark.parametrize("task", ["multiclass", "multilabel", "regression"])
def test_a_table(make_rows: MakeRows, task: str) -> None:
    columns = (Column("<town>", "category", ("", "Bonn & Ulm")), Column("size", "number"))
    x = np.column_stack([GENERATOR.integers(0, 2, 60), GENERATOR.normal(size=60)]).astype(np.float32)
    x[5, 1] = np.nan
    y = {"multiclass": np.arange(60) % 3, "regression": x[:, 0] * 3}.get(task, (x > 0).astype(np.uint8))
    facts = dataset_facts(make_rows(x, y, columns, notes=("column 'a' was left out",)))
    text = read(data_page(facts, [], BATCH, MOMENT))
    for words in ("made <b>", "<town>", "Bonn & Ulm (", "table of 1 number column and 1 category column, float32"):
        assert words in text
    assert "7 rows, sealed: nothing here comes from them" in text
    assert "column 'a' was left out" in text
    console = Console(file=io.StringIO(), width=140)
    print_data(facts, BATCH, console)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert "test      7 rows, sealed: nothing here comes from them" in printed
    assert "batch     rows of 2 as the model gets them, from -1.5 to 2, 0.1 ± 0.9" in printed
    assert "Bonn & Ulm (" in printed


def test_images(make_rows: MakeRows) -> None:
    images = GENERATOR.integers(0, 17, (40, 8, 6, 1)).astype(np.uint8)
    rows = make_rows(images, np.arange(40) % 2)
    strips = example_strips(rows)
    assert [name for name, _ in strips] == ["class 0", "class 1"]
    text = read(data_page(dataset_facts(rows), strips, BATCH, MOMENT))
    assert "image, 8 x 6 x 1 (height, width, channels), uint8" in text
    assert "2 classes" in text


def test_a_strip_shows_the_pixels() -> None:
    images = np.zeros((3, 10, 10, 3), np.uint8)
    images[1, :, :, 0] = 200
    picture = Image.open(io.BytesIO(strip(images)))
    assert picture.size == (3 * 60 + 2 * 4, 60)
    assert picture.getpixel((90, 30)) == (200, 0, 0, 255)
    assert picture.getpixel((30, 30)) == (0, 0, 0, 255)
    grey = Image.open(io.BytesIO(strip(np.full((1, 100, 50, 1), 8, np.uint8))))
    assert (grey.size, grey.getpixel((5, 5))) == ((30, 60), (255, 255, 255, 255))


def test_bars() -> None:
    assert bars({"counts": [0, 1, 2, 4, 8]}) == " ▁▂▄█"
    assert bars(None) == ""
