from __future__ import annotations

import gzip
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from holdfast.core.errors import InputError
from holdfast.data.rows import TEST, TRAIN, check_rows
from holdfast.data.sources import mnist

TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = mnist.FILES


def idx(values: np.ndarray) -> bytes:  # type: ignore[type-arg]
    header = np.array([0x0800 + values.ndim, *values.shape], ">u4")
    return header.tobytes() + values.astype(np.uint8).tobytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small set in MNIST's format: 30 train and 10 test images of 4x3 pixels."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    random = np.random.default_rng(0)
    for prefix, count in (("train", 30), ("t10k", 10)):
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(idx(random.integers(0, 256, (count, 4, 3))))
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(np.arange(count) % 10))
    return folder


def failure(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        mnist.load(str(folder))
    assert caught.value.exit_code == 2
    assert all(line.startswith("data.path: ") for line in str(caught.value).splitlines())
    return str(caught.value)


def test_reads_the_four_files(folder: Path) -> None:
    rows = mnist.load(str(folder))
    check_rows(rows)
    assert rows.x.shape == (40, 4, 3, 1)
    assert rows.y.tolist() == [*(np.arange(30) % 10), *range(10)]
    assert rows.parts is not None
    assert rows.parts.tolist() == [TRAIN] * 30 + [TEST] * 10
    expected = np.random.default_rng(0).integers(0, 256, (30, 4, 3))
    assert np.array_equal(rows.x[:30, ..., 0], expected)


def test_spellings_are_all_the_same(folder: Path) -> None:
    expected = mnist.load(str(folder))
    (folder / TRAIN_IMAGES).rename(folder / "train-images.idx3-ubyte")
    for name in (TRAIN_LABELS, TEST_LABELS):
        (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes()))
        (folder / name).unlink()
    (folder / "t10k-images.idx3-ubyte.gz").write_bytes(gzip.compress((folder / TEST_IMAGES).read_bytes()))
    (folder / TEST_IMAGES).unlink()
    rows = mnist.load(str(folder))
    assert np.array_equal(rows.x, expected.x)
    assert np.array_equal(rows.y, expected.y)


def test_missing_files_are_all_named(folder: Path) -> None:
    (folder / TRAIN_IMAGES).unlink()
    (folder / TEST_LABELS).unlink()
    text = failure(folder)
    assert f"has no {TRAIN_IMAGES}, no {TEST_LABELS} (plain or .gz); next: put train-images" in text
    assert "\n" not in text


def test_no_folder(folder: Path) -> None:
    assert "absent does not exist; next: put train-images" in failure(folder / "absent")
    assert "is a file, not a folder" in failure(folder / TRAIN_IMAGES)


def test_swapped_files_are_both_named(folder: Path) -> None:
    (folder / TRAIN_IMAGES).rename(folder / "kept")
    (folder / TRAIN_LABELS).rename(folder / TRAIN_IMAGES)
    (folder / "kept").rename(folder / TRAIN_LABELS)
    first, second = failure(folder).splitlines()
    assert f"{TRAIN_IMAGES} is no IDX file of images: it starts with 0x00000801" in first
    assert first.endswith("next: are two files swapped?")
    assert f"{TRAIN_LABELS} is no IDX file of labels: it starts with 0x00000803" in second


def test_counts_that_differ(folder: Path) -> None:
    shutil.copy(folder / TEST_LABELS, folder / TRAIN_LABELS)
    assert failure(folder) == "data.path: train has 30 images and 10 labels; next: take both from one set"


def test_pixels_that_differ(folder: Path) -> None:
    (folder / TEST_IMAGES).write_bytes(idx(np.zeros((10, 3, 4))))
    assert "train images are (4, 3) pixels, t10k images (3, 4)" in failure(folder)


def test_damaged_files(folder: Path) -> None:
    whole = (folder / TRAIN_IMAGES).read_bytes()
    for content, words in (
        (whole[:-1], "is empty, truncated or goes on: 359 bytes after the header, expected 360"),
        (whole[:10], "is empty, truncated or goes on: -6 bytes"),
        (b"", "is no IDX file of images: it starts with 0x00000000"),
        (whole + b"x", "is empty, truncated or goes on: 361 bytes after the header, expected 360"),
        (b"PNG!" + whole[4:], "is no IDX file of images: it starts with 0x504e4721, expected 0x00000803"),
        (whole[:4] + b"\xff" * 12 + whole[16:], "is empty, truncated or goes on: 360 bytes after the header, expected"),
        (idx(np.zeros((0, 4, 3))), "is empty, truncated or goes on: 0 bytes after the header, expected 0"),
    ):
        (folder / TRAIN_IMAGES).write_bytes(content)
        assert re.search(re.escape(f"{TRAIN_IMAGES} {words}"), failure(folder))


def test_damaged_gzip_files(folder: Path) -> None:
    packed = gzip.compress((folder / TRAIN_IMAGES).read_bytes())
    (folder / TRAIN_IMAGES).unlink()
    flipped = packed[:-6] + bytes([packed[-6] ^ 1]) + packed[-5:]
    for content, words in (
        (packed[:-20], "runcated"),
        (b"nothing of the kind", "incorrect header"),
        (flipped, "incorrect data check"),
    ):
        (folder / f"{TRAIN_IMAGES}.gz").write_bytes(content)
        assert re.search(rf"{TRAIN_IMAGES}\.gz (cannot be read|is damaged).*{words}", failure(folder))


def test_label_out_of_range(folder: Path) -> None:
    (folder / TEST_LABELS).write_bytes(idx(np.arange(10) + 5))
    assert failure(folder) == "data.path: has a label 14; allowed: labels 0 to 9"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="permissions of this kind are POSIX's")
def test_no_permission(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        lines = failure(folder).splitlines()
        assert len(lines) == 4
        assert f"{TRAIN_IMAGES} cannot be read: no permission" in lines[0]


def test_download_checks_the_content(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    monkeypatch.setattr(mnist, "MIRRORS", (f"{mirror.as_uri()}/",))
    with pytest.raises(InputError, match=r"MNIST cannot be downloaded \(.*No such file.*next: put train-images"):
        mnist.load()
    (mirror / f"{TRAIN_IMAGES}.gz").write_bytes(gzip.compress(b"another file"))
    with pytest.raises(InputError, match="its SHA-256 is not that of MNIST"):
        mnist.load()
    assert not list(home.rglob("*.gz"))


@pytest.mark.slow
def test_download_of_mnist_itself(home: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mnist, "MIRRORS", (f"{(shared_data / 'mnist').as_uri()}/",))
    rows = mnist.load()
    assert rows.x.shape == (70000, 28, 28, 1)
    monkeypatch.setattr(mnist, "MIRRORS", ())
    assert np.array_equal(mnist.load().y, rows.y), "the second time it is there"
