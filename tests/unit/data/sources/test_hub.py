"""Data sets of the library `datasets`, from local files: no test reaches the network."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.core.errors import InputError
from holdfast.data.rows import check_rows
from holdfast.data.sources import hub

pytestmark = pytest.mark.slow


@pytest.fixture
def datasets(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("datasets")


@pytest.mark.filterwarnings("ignore")
def test_a_table_with_splits(datasets: Any, tmp_path: Path) -> None:
    features = datasets.Features(
        {
            "size": datasets.Value("float32"),
            "kind": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["no", "yes"]),
        }
    )
    made = {"size": [float(i) for i in range(20)], "kind": ["u", None] * 10, "label": [i % 2 for i in range(20)]}
    whole = datasets.Dataset.from_dict(made, features=features)
    datasets.DatasetDict(train=whole, test=whole.select(range(4))).save_to_disk(tmp_path / "set")
    rows = hub.load(str(tmp_path / "set"))
    check_rows(rows)
    assert rows.table is not None
    assert (rows.table.names, rows.class_names) == (["size", "kind", "label"], ("no", "yes"))
    assert rows.y[:4].tolist() == [0, 1, 0, 1]
    assert rows.parts is not None
    assert (rows.parts == 2).sum() == 4


@pytest.mark.filterwarnings("ignore")
def test_images(datasets: Any, tmp_path: Path) -> None:
    from PIL import Image

    pictures = [Image.fromarray(np.full((6, 5, 3), i, np.uint8)) for i in range(20)]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})
    made = datasets.Dataset.from_dict({"image": pictures, "label": [i % 2 for i in range(20)]}, features=features)
    made.save_to_disk(tmp_path / "set")
    rows = hub.load(str(tmp_path / "set"))
    check_rows(rows)
    assert (rows.kind, rows.x.shape, rows.class_names) == ("image", (20, 6, 5, 3), ("cat", "dog"))
    assert rows.x[7, 0, 0].tolist() == [7, 7, 7]
    assert hub.load(str(tmp_path / "set"), size=4).x.shape == (20, 4, 4, 3)
    made.add_item({"image": None, "label": 0}).save_to_disk(tmp_path / "gap")
    rows = hub.load(str(tmp_path / "gap"), settings={"on_error": "skip"})
    assert (len(rows.x), rows.notes) == (20, ("1 left out: train, row 20 has no image",))


@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_loaded(datasets: Any, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    datasets.Dataset.from_dict({"a": [1], "b": [2]}).save_to_disk(tmp_path / "set")
    for path, target, words in (
        (None, None, "data.path: is not given"),
        (str(tmp_path / "t.csv"), None, "t.csv is a file; next: data.path=NAME"),
        (str(tmp_path / "set"), None, "data.target: is not given; allowed: the columns are a, b"),
        (str(tmp_path / "set"), "c", "data.target: there is no column 'c'"),
        (str(tmp_path / "set"), ["a", "c"], "data.target: there is no column 'c'"),
        ("nobody/nothing", None, "nobody/nothing cannot be loaded"),
    ):
        with pytest.raises(InputError) as caught:
            hub.load(path, settings={"target": target})
        assert words in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1
