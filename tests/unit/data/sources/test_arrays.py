"""Arrays in files, and what they are taken for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.data.arrays import rows_from_arrays
from holdfast.data.rows import Rows, check_rows
from holdfast.data.sources import arrays

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (20, 6, 5, 3), np.uint8)
CLASSES = np.arange(20) % 2


def rows_of(x: Any, y: Any = CLASSES, **settings: Any) -> Rows:
    rows = rows_from_arrays(x, y, **settings)
    check_rows(rows)
    return rows


@pytest.mark.parametrize(
    ("x", "layout"),
    [
        (PIXELS, "auto"),
        (np.moveaxis(PIXELS, 3, 1), "auto"),
        (PIXELS.astype(np.int64), "auto"),
        ((PIXELS / 255).astype(np.float32), "auto"),
        ((PIXELS / 255).astype(np.float16), "auto"),
        (np.moveaxis(PIXELS / 255, 3, 1), "nchw"),
    ],
)
def test_images_in_disguise(home: Path, x: NDArray[Any], layout: str) -> None:
    rows = rows_of(x, layout=layout)
    assert (rows.kind, rows.x.dtype) == ("image", np.uint8)
    np.testing.assert_array_equal(rows.x[:], PIXELS)


def test_gray_images_tables_and_other_arrays(home: Path) -> None:
    assert rows_of(PIXELS[..., 0]).x.shape == (20, 6, 5, 1)
    table = rows_of(RNG.normal(size=(20, 3)))
    assert (table.kind, table.x.dtype, table.feature_names) == ("table", np.float32, ("x0", "x1", "x2"))
    assert table.digests is not None, "known by what the source holds, in float64"
    holes = np.where(RNG.random((20, 3)) < 0.3, np.nan, 1.5)
    assert np.isnan(rows_of(holes).x[:]).any(), "missing numbers of a table"
    signals = RNG.normal(size=(20, 7, 9))
    assert (rows_of(signals).kind, rows_of(signals).x.dtype) == ("array", np.float32)
    spectra = RNG.normal(size=(20, 6, 5, 3))
    np.testing.assert_array_equal(rows_of(spectra).x[:], np.moveaxis(spectra, 3, 1).astype(np.float32))
    assert rows_of(PIXELS, layout="array").kind == "array"
    large = rows_of(np.array([[2.0**24], [2.0**24 + 1]] * 10))
    assert large.x.dtype == np.float64


@pytest.mark.parametrize(
    ("y", "task", "classes", "first"),
    [
        (CLASSES, "binary", ("0", "1"), [0, 1]),
        (CLASSES[:, None], "binary", ("0", "1"), [0, 1]),
        (np.array(["b", "a"] * 10), "binary", ("a", "b"), [1, 0]),
        (np.eye(4)[np.arange(20) % 4], "multiclass", ("0", "1", "2", "3"), [0, 1]),
        (np.linspace(0, 1, 20), "regression", (), [0.0, np.float32(1 / 19)]),
        (np.array([[1, 1], [0, 1]] * 5 + [[1, 0], [0, 0]] * 5), "multilabel", ("label 0", "label 1"), [[1, 1], [0, 1]]),
    ],
)
def test_targets(home: Path, y: NDArray[Any], task: str, classes: tuple[str, ...], first: list[Any]) -> None:
    rows = rows_of(RNG.normal(size=(20, 2)), y)
    assert (rows.task, rows.class_names, rows.y[:2].tolist()) == (task, classes, first)


def test_files(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "x.npy", PIXELS)
    np.save(tmp_path / "y.npy", CLASSES)
    np.savez(tmp_path / "one.npz", images=PIXELS, labels=CLASSES)
    np.savez(tmp_path / "odd.npz", a=PIXELS, b=CLASSES)
    for settings in (
        {"path": "x.npy", "y_path": str(tmp_path / "y.npy")},
        {"path": "one.npz"},
        {"path": "odd.npz", "x_key": "a", "y_key": "b"},
    ):
        rows = arrays.load(**{**settings, "path": str(tmp_path / settings["path"])})  # type: ignore[arg-type]
        check_rows(rows)
        np.testing.assert_array_equal(rows.x[:], PIXELS)
        assert rows.y.tolist() == CLASSES.tolist()
    assert "20 rows, images of uint8 (6, 5, 3); binary with 2 classes" in capsys.readouterr().err
    np.savez(tmp_path / "p.npz", x_train=PIXELS[:15], y_train=CLASSES[:15], x_test=PIXELS[15:], y_test=CLASSES[15:])
    rows = arrays.load(str(tmp_path / "p.npz"))
    assert rows.parts is not None
    assert rows.parts[15:].tolist() == [2] * 5


@pytest.mark.parametrize(
    ("x", "y", "settings", "words"),
    [
        (PIXELS, CLASSES[:9], {}, "x has 20 rows and y has 9"),
        (PIXELS[:0], CLASSES[:0], {}, "x has no rows"),
        (np.zeros((20, 0)), CLASSES, {}, "x is float64 of shape (20, 0): its rows are empty"),
        (np.array([1.0, 2.0]), CLASSES[:2], {}, "x is float64 of shape (2,); allowed: rows along the first axis"),
        (np.array([["a"], ["b"]]), CLASSES[:2], {}, "x is <U1 of shape (2, 1); allowed: numbers"),
        ([[1], [2, 3]], CLASSES[:2], {}, "x is ragged"),
        (np.array([[1.0], [np.inf]] * 10), CLASSES, {}, "x, row 1, column 0: is infinite"),
        (np.full((20, 2, 2), np.nan), CLASSES, {}, "x, row 0: holds a value that is not finite"),
        (PIXELS, np.where(CLASSES, np.nan, 1.0), {}, "y, row 1: is nan, not a target"),
        (PIXELS, np.where(CLASSES, "", "a"), {}, "y, row 1: is empty, not a target"),
        (PIXELS, CLASSES * 0, {}, "'y' is 0 in every row: there is nothing to learn"),
        (PIXELS, CLASSES, {"layout": "nhw"}, "data.layout: is nhw and x is uint8 of shape (20, 6, 5, 3)"),
        (PIXELS, CLASSES, {"layout": "hwc"}, "data.layout: is 'hwc'; allowed: auto, nhwc, nchw, nhw, array"),
        (PIXELS, np.arange(20), {"task": "classes"}, "'y' has 20 classes in 20 rows"),
        (PIXELS, CLASSES, {"class_names": ["a"]}, "y is int64 from 0 to 1 and there are 1 class names"),
    ],
)
def test_what_cannot_be_used(home: Path, x: Any, y: Any, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        rows_of(x, y, **settings)
    assert words in str(caught.value)


def test_files_that_cannot_be_read(home: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", PIXELS)
    whole = (tmp_path / "x.npy").read_bytes()
    np.save(tmp_path / "o.npy", np.array([{}, []], object), allow_pickle=True)
    np.savez(tmp_path / "keys.npz", a=PIXELS, b=CLASSES)
    np.savez(tmp_path / "none.npz")
    np.savez(tmp_path / "p.npz", x_train=PIXELS, y_train=CLASSES, x_test=PIXELS[:, 1:], y_test=CLASSES)
    for name, content in (("cut.npy", whole[:-9]), ("text.npy", b"1,2,3"), ("z.npz", b"no")):
        (tmp_path / name).write_bytes(content)
    for name, words in (
        ("x.npy", "data.y_path: is not given, and"),
        ("cut.npy", "cut.npy is no .npy file, a damaged one, or one of Python objects (mmap length is greater"),
        ("text.npy", "text.npy is no .npy file"),
        ("z.npz", "z.npz is no .npz file"),
        ("none.npz", "the file has no arrays"),
        ("p.npz", "the rows of its parts have several shapes: x_train (uint8 of shape (20, 6, 5, 3)), x_test ("),
        ("o.npy", "o.npy is no .npy file, a damaged one, or one of Python objects"),
        ("keys.npz", "data.x_key: is not given; allowed: the file has a (uint8 of shape (20, 6, 5, 3)), b"),
    ):
        with pytest.raises(InputError) as caught:
            arrays.load(str(tmp_path / name))
        assert words in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1
