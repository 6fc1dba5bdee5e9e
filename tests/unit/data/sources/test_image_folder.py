"""Images in folders: what becomes of them, and every file that will not do, told at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from holdfast.core.errors import InputError
from holdfast.data import images
from holdfast.data.rows import Rows, check_rows
from holdfast.data.sources import image_folder
from holdfast.data.store.source_files import state_of_files

Save = Callable[..., Path]


@pytest.fixture
def save(home: Path, tmp_path: Path) -> Save:
    """Write a picture of one grey value, its left half black."""

    def save_it(name: str, value: int = 200, size: tuple[int, int] = (8, 6), mode: str = "RGB", **more: Any) -> Path:
        path = tmp_path / "pets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((*size, 3), value, np.uint8)
        pixels[:, : size[1] // 2] = 0
        Image.fromarray(pixels).convert(mode).save(path, **more)
        return tmp_path / "pets"

    return save_it


def filled(save: Save, folder: str = "") -> Path:
    for index in range(3):
        save(f"{folder}cat/{index}.png", 100 + index)
        save(f"{folder}dog/deep/{index}.png", 200 + index)
    return save(f"{folder}dog/9.png", 250)


def load(path: Path | None, **settings: Any) -> Rows:
    rows = image_folder.load(None if path is None else str(path), **settings)
    check_rows(rows)
    return rows


def test_class_folders(save: Save) -> None:
    rows = load(filled(save))
    assert (rows.x.shape, rows.x.dtype, rows.kind) == ((7, 8, 6, 3), np.uint8, "image")
    assert (rows.task, rows.class_names) == ("binary", ("cat", "dog"))
    assert rows.y.tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert rows.x[:, 0, -1, 0].tolist() == [100, 101, 102, 250, 200, 201, 202], "sorted by path"
    assert rows.parts is None


def test_a_class_folder_may_be_a_link(save: Save, tmp_path: Path) -> None:
    folder = filled(save)
    (folder / "dog").rename(tmp_path / "hounds")
    (folder / "dog").symlink_to(tmp_path / "hounds")
    rows = load(folder)
    assert (len(rows.x), rows.class_names) == (7, ("cat", "dog"))
    assert rows.files == (str(folder / "dog"), str(folder / "dog" / "deep")), "to be watched beside the folder"
    before = state_of_files(rows.files)
    save("dog/new.png")
    assert state_of_files(rows.files) != before


def test_folders_of_parts(save: Save) -> None:
    filled(save, "train/")
    rows = load(filled(save, "Test/"))
    assert rows.parts is not None
    assert rows.parts.tolist() == [2] * 7 + [0] * 7
    assert rows.notes == ("the source declares 7 train, 0 val and 7 test rows; split=auto and predefined keep to that",)


def test_several_processes_give_the_same_rows(save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = filled(save)
    (folder / "cat" / "bad.png").write_bytes(b"no image")
    expected = load(folder, on_error="skip")
    monkeypatch.setattr(images, "MIN_FILES_A_PROCESS", 2)
    monkeypatch.setattr(images, "CHUNK_FILES", 2)
    rows = load(folder, on_error="skip")
    np.testing.assert_array_equal(rows.x[:], expected.x[:])
    assert rows.notes == expected.notes == ("1 left out: cat/bad.png is no image",)


@pytest.mark.parametrize(
    ("fit", "columns"), [("stretch", [0, 0, 200, 200]), ("crop", [0, 0, 200, 200]), ("pad", [0, 0, 200, 0])]
)
def test_one_size(save: Save, fit: str, columns: list[int]) -> None:
    save("a/1.png", size=(8, 4))
    save("a/2.png", size=(4, 4))
    save("b/1.png", size=(4, 4))
    rows = load(save("b/2.png", size=(4, 4)), size=4, fit=fit)
    assert rows.x.shape == (4, 4, 4, 3)
    assert rows.x[1, 2, :, 0].tolist() == [0, 0, 200, 200]
    tall = rows.x[0, 2, :, 0].tolist()
    assert [value > 100 for value in tall] == [value > 100 for value in columns]
    assert load(save("b/2.png", size=(4, 4)), size=[2, 6]).x.shape == (4, 2, 6, 3)


def test_modes(save: Save) -> None:
    for index in range(2):
        save(f"a/{index}.png", mode="L")
        folder = save(f"b/{index}.png", mode="LA")
    (folder / "a" / "bad.png").touch()
    assert load(folder, on_error="skip").x.shape[3] == 1, "as all that can be read"
    (folder / "a" / "bad.png").unlink()
    for index in range(2):
        save(f"b/{index}.png", mode="RGBA")
    assert load(folder).x.shape[3] == 3, "colours are not lost because the first image has none"
    assert load(folder, mode="rgb").x[0, 0, -1].tolist() == [200, 200, 200]
    assert load(folder, mode="rgba").x[0, 0, -1].tolist() == [200, 200, 200, 255]
    deep = np.full((8, 6), 200 * 256, np.uint16)
    Image.fromarray(deep).save(folder / "a" / "1.png")
    assert load(folder, mode="gray").x[1, 0, 0].tolist() == [200]


def test_a_photo_is_turned_as_it_says(save: Save) -> None:
    for name in ("a/1", "a/2", "b/1"):
        save(f"{name}.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees: it is stored as 6 x 8
    rows = load(save("b/2.jpg", size=(6, 8), exif=exif))
    assert rows.x.shape == (4, 8, 6, 3)
    assert (rows.x[3, :3, :, 0] < 60).all(), "the left half is the upper one"


def test_every_file_that_will_not_do_is_told_at_once(save: Save) -> None:
    folder = filled(save)
    whole = (folder / "cat" / "0.png").read_bytes()
    (folder / "cat" / "empty.png").touch()
    (folder / "cat" / "cut.png").write_bytes(whole[:-30])
    (folder / "cat" / "notes.txt").write_text("x")
    (folder / "cat" / ".DS_Store").touch()
    (folder / "cat" / "wrong.jpg").write_bytes(whole)
    (folder / "bird").mkdir()
    frames = [Image.new("L", (6, 8), value) for value in (0, 200)]
    frames[0].save(folder / "dog" / "film.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(InputError) as caught:
        load(folder)
    assert str(caught.value).splitlines() == [
        "data.path: bird is a class without images",
        "data.path: cat/notes.txt is no image by its name (.txt)",
        "data.path: cat/cut.png is truncated",
        "data.path: cat/empty.png is empty",
        "data.path: cat/wrong.jpg is named .jpg and holds PNG",
        "data.path: dog/film.gif is animated (2 frames); next: mend or remove them, or data.on_error=skip leaves them "
        "out",
    ]
    rows = load(folder, on_error="skip")
    assert len(rows.x) == 7
    assert rows.notes[0].startswith("6 left out: bird is a class without images; cat/notes.txt")


def test_a_long_list_is_cut(save: Save) -> None:
    folder = filled(save)
    for index in range(30):
        (folder / "cat" / f"x{index}.png").write_text("no")
    with pytest.raises(InputError) as caught:
        load(folder)
    assert len(caught.value.problems) == 21
    assert caught.value.problems[-1].what == "and 10 others like these"


def test_an_index(save: Save, tmp_path: Path) -> None:
    folder = filled(save)
    index = tmp_path / "labels.csv"
    index.write_text("path,label,split,group\n" + "".join(
        f"cat/{i}.png,tabby,train,g{i}\ndog/deep/{i}.png,hound,test,g{i}\n" for i in range(3)
    ))  # fmt: skip
    rows = load(folder, index=str(index))
    assert rows.class_names == ("hound", "tabby")
    assert rows.y.tolist() == [1, 0, 1, 0, 1, 0]
    assert rows.groups is not None
    assert rows.groups.tolist() == [0, 0, 1, 1, 2, 2]
    assert rows.parts is not None
    assert rows.parts.tolist() == [0, 2, 0, 2, 0, 2]
    assert rows.notes[1].endswith("1 images of " + str(folder) + " are not in labels.csv and are not used")
    values = "path,label\n" + "".join(f"cat/{i}.png,{i}.5\n" for i in range(3))
    (folder / "ages.csv").write_text(values)
    rows = load(None, index=str(folder / "ages.csv"))
    assert (rows.task, rows.y.tolist()) == ("regression", [0.5, 1.5, 2.5])


PETS = "cat/0.png,a\ncat/1.png,a\ndog/deep/0.png,b\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("name,label\n", "has no column 'path'; allowed: its columns: name, label"),
        ("path,labl\n", "allowed: its columns: path, labl; next: did you mean 'labl'?"),
        ("path,label\n", "has a header and no rows"),
        ("", "data.index: "),
        (f"path,label\n{PETS}cat/77.png,b\n", "cat/77.png is in labels.csv and does not exist"),
        (f"path,label\n{PETS}cat/0.png,b\n", "cat/0.png is in labels.csv more than once"),
        (f"path,label\n{PETS},b\n", "labels.csv has a row without a path"),
        ("path,label\ncat/0.png,\n", "labels.csv, line 2, column 'label': has no value"),
        ("path,label,split\ncat/0.png,a,trian\n", "line 2, column 'split': has neither train, val nor test"),
    ],
)
def test_an_index_that_will_not_do(save: Save, tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "labels.csv").write_text(content)
    with pytest.raises(InputError) as caught:
        load(filled(save), index=str(tmp_path / "labels.csv"))
    assert words in str(caught.value)


def test_an_index_with_names_of_its_own_and_rows_that_are_left_out(save: Save) -> None:
    folder = filled(save)
    (folder / "i.csv").write_text(
        "Filename,fold,Class\ncat/0.png,1,a\n,1,a\ncat/1.png,1,\n./cat/0.png,2,b\ncat/2.png,2,b\nno.png,2,b\n"
        "dog/9.png,1,a\ndog/deep/0.png,1,b\n"
    )
    rows = load(None, index=str(folder / "i.csv"), on_error="skip")
    assert (rows.x[:, 0, -1, 0].tolist(), rows.y.tolist()) == ([100, 102, 250, 200], [0, 1, 0, 1])
    assert rows.notes == (
        "1 rows left out with no value in column 'Class'",
        "3 left out: i.csv has a row without a path; ./cat/0.png is in i.csv more than once; "
        "no.png is in i.csv and does not exist",
    )
    assert rows.files == tuple(str(folder / name) for name in ("cat/0.png", "cat/2.png", "dog/9.png", "dog/deep/0.png"))


def test_folders_and_settings_that_will_not_do(save: Save, tmp_path: Path) -> None:
    save("loose.png")
    folder = tmp_path / "pets"
    for settings, words in (
        ({"path": None}, "data.path: is not given"),
        ({"path": str(tmp_path / "nowhere")}, "nowhere does not exist"),
        ({"path": str(folder)}, "has 1 images and no folders; next: put the images into one folder a class"),
        ({"path": str(folder), "size": 0}, "data.size: is 0; allowed: a number of pixels, or [height, width]"),
        ({"path": str(folder), "size": [4]}, "data.size: is [4]"),
    ):
        with pytest.raises(InputError) as caught:
            image_folder.load(**settings)  # type: ignore[arg-type]
        assert words in str(caught.value)
    (tmp_path / "texts" / "a").mkdir(parents=True)
    (tmp_path / "texts" / "a" / "1.txt").touch()
    with pytest.raises(InputError, match="texts has no images in its folders"):
        load(tmp_path / "texts")
    save("a/1.png")
    with pytest.raises(InputError, match=r"loose\.png is in no class folder"):
        load(save("a/2.png"))


def test_images_of_several_sizes(save: Save, tmp_path: Path) -> None:
    save("a/1.png", size=(4, 4))
    save("a/2.png", size=(8, 4))
    for name in ("a/3.png", "b/1.png", "b/2.png"):
        folder = save(name, size=(4, 4))
    with pytest.raises(InputError) as caught:
        load(folder)
    problem = "a/2.png is 8x4 and not 4x4 pixels large: data.size brings all to one size"
    assert str(caught.value).startswith(f"data.path: {problem}; next: ")
    rows = load(folder, on_error="skip")
    assert (len(rows.x), rows.notes) == (4, (f"1 left out: {problem}",))
    assert load(folder, size=4).x.shape == (5, 4, 4, 3)
