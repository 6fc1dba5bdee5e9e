"""New rows in the form of a run's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.core.errors import InputError
from holdfast.data import images
from holdfast.data.columns import Column
from holdfast.data.formats import csv as csv_format
from holdfast.data.new_rows import read_like
from holdfast.data.store.store import prepare
from holdfast.data.tables.cells import MISSING_TEXTS
from holdfast.data.views import ImageView, TableView


def table_of(*columns: Column, missing: Sequence[str] = ()) -> dict[str, Any]:
    """The field `data` of a run's record, as far as its rows need it."""
    return {"kind": "table", "view": TableView(columns, "float32", (*MISSING_TEXTS, *missing)).as_dict()}


COLUMNS = (Column("size", "number"), Column("color", "category", ("", "blue", "red")))
TABLE = table_of(*COLUMNS)


def write(path: Path, content: str) -> str:
    path.write_text(content)
    return str(path)


def test_columns_are_matched_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "new.csv", "color,who,size,extra\nred,a,1.5,x\ngreen,b,,y\n ,c,?,z\nblue,d,7,z\n")
    (rows,) = list(read_like(TABLE, path, id_column="who"))
    assert rows.ids == ["a", "b", "c", "d"]
    np.testing.assert_array_equal(rows.x, np.array([[1.5, 2], [np.nan, -1], [np.nan, 0], [7, 1]], np.float32))
    shown = capsys.readouterr().err
    assert shown.count("not used: extra") == 1  # however many blocks the file has
    assert "column 'color': 1 of 4 rows have a category that the run does not know" in shown
    ids = [
        id for rows in read_like(TABLE, [path, write(tmp_path / "more.csv", "size,color\n1,red\n")]) for id in rows.ids
    ]
    assert ids == [0, 1, 2, 3, 4]


def test_an_unknown_category_is_the_one_that_is_the_same_number(tmp_path: Path) -> None:
    """pandas writes 1.0 for 1 where another cell is missing; codes with leading zeros are themselves alone."""
    column = Column("zip", "category", ("", "00501", "1", "10115", "2", "2.0", "x"))
    data = table_of(column)
    path = write(tmp_path / "new.csv", "zip,other\n501,1\n1.0,1\n,1\n2.00,1\n2.0,1\nnew,1\n10115,1\n-1,1\n")
    (rows,) = list(read_like(data, path))
    assert rows.x[:, 0].tolist() == [-1, 2, 0, -1, 5, -1, 3, -1]


def test_other_formats_give_the_same_rows(tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame({"size": [1.5, None, 3], "color": ["red", "blue", None]})
    frame.to_csv(tmp_path / "a.csv", index=False, sep=";", decimal=",")
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    for name in ("a.csv", "a.parquet", "a.jsonl"):
        x = np.concatenate([rows.x for rows in read_like(TABLE, tmp_path / name)])
        np.testing.assert_array_equal(x, np.array([[1.5, 2], [np.nan, 1], [3, 0]], np.float32), name)


def test_a_source_read_again_gives_its_own_rows(home: Path, tmp_path: Path) -> None:
    lines = "".join(f"{i / 2},{i % 5},{'ab'[i % 2]},{i % 3 == 0},{'uv'[i % 2]}\n" for i in range(200))
    path = write(tmp_path / "t.csv", "a,zip,b,c,y\n" + "?,1,,,u\n" + lines)
    settings = {"target": "y", "types": {"zip": "category"}}
    source = {"_target_": "holdfast.data.sources.table.load", "path": path, "format": "csv", "settings": settings}
    split = {"_target_": "holdfast.data.splits.Holdout"}
    prepared = prepare({"name": "t", "source": source}, split, {"policy": "none"})
    (rows,) = read_like({"kind": "table", "view": prepared.view}, path, settings={"target": "y"})
    np.testing.assert_array_equal(rows.x, prepared.x)
    assert prepared.x.shape == (201, 4)


def test_rows_that_come_under_another_type_later_are_given_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_format, "BLOCK_BYTES", 2**12)
    path = write(tmp_path / "t.csv", "size,color,note\n" + "1,red,5\n" * 6000 + "1.5,blue,text\n")
    blocks = list(read_like(TABLE, path))
    assert sum(len(rows.x) for rows in blocks) == 6001
    assert [id for rows in blocks for id in (rows.ids[0], rows.ids[-1])][-1] == 6000
    assert blocks[-1].x[-1].tolist() == [1.5, 1]


@pytest.mark.parametrize(
    ("content", "id_column", "words"),
    [
        ("size,colour\n1,red\n", None, "has no column 'color', which the run needs; next: did you mean 'colour'?"),
        ("size,color\n1,red\n", "who", "has no column 'who'"),
        ("size,color\n1,red\nbig,red\n", None, "line 3, column 'size': is 'big', the run has numbers there"),
        ("size,color\n1,red\ninf,red\n", None, "line 3, column 'size': is infinite"),
        ("size,color\n1,red\n1e39,red\n", None, "line 3, column 'size': is infinite as float32"),
        ("size,color\n1,red\n2\n", None, "line 3: has 1 cells, the header has 2"),
        ("", None, "is empty"),
    ],
)
def test_what_a_run_cannot_take(tmp_path: Path, content: str, id_column: str | None, words: str) -> None:
    with pytest.raises(InputError) as caught:
        list(read_like(TABLE, write(tmp_path / "new.csv", content), id_column=id_column))
    assert str(caught.value).startswith("--input: ")
    assert words in str(caught.value)


def test_settings_of_the_run_are_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "new.txt", "size:color\n-9:red\n")
    rows = next(read_like(table_of(*COLUMNS, missing=["-9"]), path, settings={"delimiter": ":"}))
    np.testing.assert_array_equal(rows.x, [[np.nan, 2]])
    assert next(read_like(TABLE, path, settings={"delimiter": ":"})).x[0, 0] == -9


def test_images_are_brought_to_the_size_and_mode_of_the_run(home: Path, tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "new" / "deep").mkdir(parents=True)
    Image.new("L", (8, 8), 100).save(tmp_path / "new" / "b.png")
    Image.new("RGB", (4, 6), (200, 0, 0)).save(tmp_path / "new" / "deep" / "a.png")
    data = {"kind": "image", "dtype": "uint8", "row_shape": [4, 4, 3], "view": ImageView("rgb", (4, 4)).as_dict()}
    (rows,) = read_like(data, tmp_path / "new")
    assert list(rows.ids) == ["b.png", "deep/a.png"]
    assert rows.x.shape == (2, 4, 4, 3)
    assert rows.x[:, 0, 0].tolist() == [[100, 100, 100], [200, 0, 0]]
    Image.new("L", (8, 8), 100).save(tmp_path / "new" / "C.JPG")
    (rows,) = read_like(data, tmp_path / "new")
    assert list(rows.ids) == ["C.JPG", "b.png", "deep/a.png"]
    (tmp_path / "new" / "bad.png").write_text("no")
    with pytest.raises(InputError, match=r"^--input: bad\.png is no image; next: mend or remove them$"):
        list(read_like(data, tmp_path / "new"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "CHUNK_FILES", 1)
        (tmp_path / "new" / "zero.png").touch()
        with pytest.raises(InputError, match=r"bad\.png is no image(.|\n)*zero\.png is empty"):
            list(read_like(data, tmp_path / "new"))
    for name in ("bad.png", "zero.png"):
        (tmp_path / "new" / name).unlink()
    (tmp_path / "new" / "link.png").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"link\.png does not exist"):
        list(read_like(data, tmp_path / "new"))
    (rows,) = read_like(data, tmp_path / "new" / "b.png")
    assert rows.x.shape == (1, 4, 4, 3)


def test_arrays_are_brought_to_the_form_of_the_run(home: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 6, 5, 3), np.uint8)
    np.savez(tmp_path / "a.npz", images=np.moveaxis(pixels, 3, 1) / 255, labels=np.arange(9))
    image = {"kind": "image", "dtype": "uint8", "row_shape": [6, 5, 3]}
    (rows,) = read_like(image, tmp_path / "a.npz")
    np.testing.assert_array_equal(rows.x, pixels)
    assert list(rows.ids) == list(range(9))
    dark = (pixels % 2).astype(np.float32)
    np.save(tmp_path / "dark.npy", dark)
    for scale, expected in ((1.0, dark), (255.0, dark * 255)):
        (rows,) = read_like({**image, "pixel_scale": scale}, tmp_path / "dark.npy")
        np.testing.assert_array_equal(rows.x, expected)
    with pytest.raises(InputError, match=r"read as array; next: the run takes image rows of bytes, 0 to 255$"):
        list(read_like({**image, "pixel_scale": 1.0}, tmp_path / "a.npz"))
    np.save(tmp_path / "t.npy", np.array([[1.5, np.nan]]))
    table = {"kind": "table", "dtype": "float32", "row_shape": [2], "view": {"form": "array"}}
    (rows,) = read_like(table, tmp_path / "t.npy")
    assert rows.x.dtype == np.float32
    np.save(tmp_path / "huge.npy", np.array([[1.5, np.nan], [1e39, 0]]))
    with pytest.raises(InputError, match=r"^--input: x, row 1, column 0: is infinite as float32$"):
        list(read_like(table, tmp_path / "huge.npy"))
    with pytest.raises(InputError, match=r"rows of shape \(2,\), the run takes \(3,\)"):
        list(read_like({**table, "row_shape": [3]}, tmp_path / "t.npy"))
    with pytest.raises(InputError, match="--id: is 'who', and these rows have no columns"):
        list(read_like(table, tmp_path / "t.npy", id_column="who"))


def test_dates_and_marks_of_the_run_are_those_of_new_rows(home: Path, tmp_path: Path, project: Path) -> None:
    lines = "".join(
        f"{i},5;{1 + i % 9}.{i:03d},25;{1 + i % 28:02d}.0{1 + i % 9}.2024;{'uv'[i % 2]}\n" for i in range(200)
    )
    path = write(tmp_path / "t.csv", "a;b;sold;y\n" + lines)
    source = {
        "_target_": "holdfast.data.sources.table.load",
        "path": path,
        "format": "csv",
        "settings": {"target": "y"},
    }
    split = {"_target_": "holdfast.data.splits.Auto"}
    prepared = prepare({"name": "csv", "path": path, "source": source}, split, {"policy": "once"})
    assert prepared.name == "t.csv"
    assert not any("sealed rows" in note for note in prepared.notes), "a date is known by its column"
    data = {"kind": "table", "view": prepared.view}
    (rows,) = list(read_like(data, write(tmp_path / "new.csv", "a;b;sold\n1;2.500;2024-03-04\n;;\n")))
    by_name = dict(zip(prepared.feature_names, rows.x.T.tolist(), strict=True))
    assert by_name["b"][0] == 2500
    assert [by_name[f"sold: {part}"][0] for part in ("elapsed", "month", "weekday", "day of year")] == [19786, 3, 0, 64]
    assert np.isnan(rows.x[1]).all()
    with pytest.raises(InputError, match=r"column 'sold': is '31\.31\.2024', the run has dates there"):
        list(read_like(data, write(tmp_path / "bad.csv", "a;b;sold\n1;2;31.31.2024\n")))
