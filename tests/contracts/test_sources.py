from __future__ import annotations

import json
import os
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import feather, parquet

from contracts.options import build, options
from holdfast.core.errors import InputError
from holdfast.data.in_memory import HANDED_OVER, write_rows
from holdfast.testing import check_source

TABLE = {"a": [row / 7 for row in range(40)], "b": ["u", "v"] * 20, "y": [row % 2 for row in range(40)]}
ROWS = [dict(zip(TABLE, row, strict=True)) for row in zip(*TABLE.values(), strict=True)]


def write_csv(folder: Path) -> list[str]:
    lines = [",".join(map(str, row.values())) for row in ROWS]
    (folder / "t.csv").write_text("\n".join(["a,b,y", *lines]))
    return ["data.path=t.csv", "data.target=y"]


def write_jsonl(folder: Path) -> list[str]:
    (folder / "t.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    return ["data.path=t.jsonl", "data.target=y"]


def write_parquet(folder: Path) -> list[str]:
    parquet.write_table(pa.table(TABLE), folder / "t.parquet")
    return ["data.path=t.parquet", "data.target=y"]


def write_feather(folder: Path) -> list[str]:
    feather.write_feather(pa.table(TABLE), folder / "t.feather")
    return ["data.path=t.feather", "data.target=y"]


def write_arrays(folder: Path) -> list[str]:
    np.savez(folder / "t.npz", x=np.arange(80.0).reshape(40, 2), y=TABLE["y"])
    return ["data.path=t.npz"]


def write_images(folder: Path) -> list[str]:
    for row in range(40):
        path = folder / "pictures" / "ab"[row % 2] / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 5, 3), row, np.uint8)).save(path)
    return ["data.path=pictures"]


def write_mnist(folder: Path) -> list[str]:
    for prefix, count in (("train", 30), ("t10k", 10)):
        pixels, labels = np.arange(count * 12) % 256, np.arange(count) % 10
        header = struct.pack(">4I", 0x803, count, 4, 3)
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(header + pixels.astype(np.uint8).tobytes())
        header = struct.pack(">2I", 0x801, count)
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(header + labels.astype(np.uint8).tobytes())
    return ["data.path=."]


def write_hub(folder: Path) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        datasets: Any = pytest.importorskip("datasets")
        datasets.Dataset.from_dict(TABLE).save_to_disk(folder / "set")
    return ["data.path=set", "data.target=y"]


def hand_over_table(folder: Path) -> list[str]:
    path, content = write_rows(pa.table(TABLE), None, folder)
    os.environ[HANDED_OVER] = str(path)
    return [f"data.content={content}", "data.target=y"]


def hand_over_arrays(folder: Path) -> list[str]:
    path, content = write_rows(np.arange(80.0).reshape(40, 2), TABLE["y"], folder)
    os.environ[HANDED_OVER] = str(path)
    return [f"data.content={content}"]


def embedded(folder: Path) -> list[str]:
    return []


FILES: dict[str, Callable[[Path], list[str]]] = {
    "arrays": write_arrays,
    "breast_cancer": embedded,
    "csv": write_csv,
    "diabetes": embedded,
    "digits": embedded,
    "feather": write_feather,
    "hub": write_hub,
    "image_folder": write_images,
    "iris": embedded,
    "jsonl": write_jsonl,
    "memory": hand_over_table,
    "memory_arrays": hand_over_arrays,
    "mnist": write_mnist,
    "parquet": write_parquet,
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted({*options("data")} - {"custom"}))
def test_every_source(name: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv(HANDED_OVER, "")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.chdir(tmp_path)
    rows = check_source(build("data", name, *FILES[name](tmp_path)))
    assert len(rows) >= 40


def test_a_function_of_the_users_own_stands_in_for_custom(home: Path) -> None:
    with pytest.raises(InputError, match="names your function"):
        check_source(build("data", "custom"))
    assert check_source(lambda: (np.arange(80.0).reshape(40, 2), np.arange(40) % 2)).task == "binary"


def test_mistakes_are_found(home: Path) -> None:
    generator = np.random.default_rng(0)
    with pytest.raises(AssertionError, match="x must be the same every time"):
        check_source(lambda: (generator.normal(size=(40, 2)), np.arange(40) % 2))
    with pytest.raises(InputError, match="infinite"):
        check_source(lambda: (np.full((40, 2), np.inf), np.arange(40) % 2))
