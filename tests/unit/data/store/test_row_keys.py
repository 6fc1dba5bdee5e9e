"""One table in several files is one table; equal rows and rows of a group are one unit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from holdfast.data.rows import Rows
from holdfast.data.sources.call import as_rows
from holdfast.data.sources.embedded import breast_cancer
from holdfast.data.sources.table import load
from holdfast.data.store.row_keys import (
    count_near_duplicates,
    forms_of,
    has_thumbnails,
    is_common_row,
    perceptual_hashes,
    units_of,
)


def read(path: Path, format: str = "csv", **settings: Any) -> Rows:
    return load(str(path), format=format, settings=settings)


def columns_of(frame: pd.DataFrame, **settings: Any) -> tuple[str, ...]:
    return forms_of(as_rows({"x": frame, "y": "y", **settings})).columns


@pytest.mark.parametrize("has_id", [False, True])
def test_a_table_is_known_in_every_format(home: Path, tmp_path: Path, has_id: bool) -> None:
    random, num_rows = np.random.default_rng(0), 120
    table = pd.DataFrame(
        {
            "size": np.where(random.random(num_rows) < 0.1, np.nan, np.round(random.normal(size=num_rows), 4)),
            "city": random.choice(["Köln", "Bonn ", "NA", "7"], num_rows),
            "long": random.integers(2**53, 2**62, num_rows),
            "flag": random.random(num_rows) < 0.5,
            "single": random.normal(size=num_rows).astype(np.float32),
            "part": random.choice(["a", "b", None], num_rows),
            "price": np.round(random.lognormal(size=num_rows), 2),
        }
    )
    table.to_csv(tmp_path / "t.csv", index=False)
    table.sample(frac=1, random_state=1)[table.columns[::-1]].to_csv(tmp_path / "t.tsv", sep="\t", index=False)
    table.to_parquet(tmp_path / "t.parquet")
    table.to_feather(tmp_path / "t.feather")
    table.to_json(tmp_path / "t.jsonl", orient="records", lines=True, double_precision=15)
    keys = []
    for format, name in (("csv", "t.csv"), ("csv", "t.tsv"), *((f, f"t.{f}") for f in ("parquet", "feather", "jsonl"))):
        forms = forms_of(read(tmp_path / name, format, target="price", id=["long", "city"] if has_id else None))
        assert len(forms.others) == has_id
        digests = np.asarray(forms.others[0] if has_id else forms.digests)
        keys.append(sorted(map(bytes, digests)))
    assert all(of_file == keys[0] for of_file in keys)


def test_columns_that_say_who_a_row_is_do_not_count(home: Path) -> None:
    random = np.random.default_rng(0)
    numbers = pd.DataFrame(random.normal(size=(60, 2)), columns=["b", "a"]).assign(y=np.arange(60) % 2)
    odd = numbers.assign(
        **{"Unnamed: 0": range(60), "from 1": range(1, 61), "uid": [f"u{number}" for number in range(60)]},
        **{"site": "north", "part": ["train", "Test"] * 30, "hole": None, "sevens": random.permutation(60) * 7},
    )
    assert columns_of(odd) == ("a", "b")
    assert columns_of(odd, drop=["a"], types={"b": "category"}) == ("a", "b"), "whatever a run sees of them"
    assert columns_of(numbers.assign(whole=np.arange(60) // 2)) == ("a", "b", "whole"), "it repeats"
    assert columns_of(odd[["a", "uid", "y"]]) == ("a", "uid"), "one column alone is too few"
    few = odd[["uid", "site", "y"]].assign(sex=np.arange(60) % 2, stage=np.arange(60) % 3)
    assert columns_of(few) == ("sex", "stage", "uid"), "without it, rows could not be told apart"


def test_a_named_table_in_an_array_is_known_by_its_names(home: Path) -> None:
    rows = breast_cancer()
    assert forms_of(rows).columns == tuple(sorted(rows.feature_names))
    assert forms_of(as_rows((np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2))).columns == ()


@pytest.mark.parametrize("value", [lambda i: i % 3, lambda i: 0.1234 + i % 20])
def test_patients_who_are_alike_are_not_tied_together(home: Path, value: Callable[[int], float]) -> None:
    """Many are of one sex and stage, and two of one sex and dose: their rows differ in whose they are."""
    lines = [(f"p{i}", "mf"[i % 2], value(i), i % 5 % 2) for i in range(40) for _ in range(3)]
    rows = as_rows({"x": pd.DataFrame(lines, columns=["patient", "sex", "value", "y"]), "y": "y", "group": "patient"})
    forms = forms_of(rows)
    assert forms.columns == ("patient", "sex", "value")
    assert len(np.unique(units_of(forms.digests, rows.groups), axis=0)) == 40


def test_columns_without_names_count_in_their_order(home: Path, tmp_path: Path) -> None:
    """Also where there are more than ten: x10 is not between x1 and x2."""
    x = np.random.default_rng(0).normal(size=(40, 12)).astype(np.float32)
    array = forms_of(as_rows((x, np.arange(40) % 2)))
    named = pd.DataFrame(x, columns=[f"column {index}" for index in range(12)]).assign(y=np.arange(40) % 2)
    named.to_csv(tmp_path / "named.csv", index=False)
    table = forms_of(read(tmp_path / "named.csv", target="y"), {()})
    assert array.columns == ()
    assert np.array_equal(array.digests[:], table.by_columns[()][:])


def test_rows_that_prove_nothing_are_common() -> None:
    bits = np.random.default_rng(0).integers(0, 2, (500, 3)).astype(np.float32)
    assert is_common_row(bits, "table").all()
    assert not is_common_row(np.random.default_rng(0).normal(size=(6, 2)), "table").any()
    numbered = np.column_stack([bits, np.arange(500)])
    assert not is_common_row(numbered[1:], "table").any()
    some_missing = np.where(np.random.default_rng(1).random((500, 3)) < 0.1, np.nan, bits)
    assert is_common_row(some_missing, "table").all()
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1), np.uint8)
    images[1] = 255
    assert is_common_row(images, "image").tolist() == [False, True, False, False]
    assert is_common_row(images[:0], "image").tolist() == []


def _digests(*numbers: int) -> np.ndarray:
    digests = np.zeros((len(numbers), 16), np.uint8)
    digests[:, 0] = numbers
    return digests


def test_equal_rows_and_groups_are_one_unit() -> None:
    digests = _digests(5, 6, 5, 7, 8, 9)
    units = units_of(digests, np.array([1, 2, 3, 3, 4, 2]))
    assert units[:, 0].tolist() == [5, 6, 5, 5, 8, 6]
    order = np.array([3, 5, 0, 4, 2, 1])
    assert np.array_equal(units_of(digests[order], np.array([1, 2, 3, 3, 4, 2])[order]), units[order])
    assert units_of(digests, np.arange(6)) is digests


def test_images_of_the_same_look_are_counted() -> None:
    random = np.random.default_rng(0)
    smooth = random.normal(size=(40, 9, 9, 3)).cumsum(axis=1).cumsum(axis=2)
    images = np.kron(smooth, np.ones((1, 4, 4, 1)))
    images = (255 * (images - images.min()) / np.ptp(images)).astype(np.uint8)
    images[20:23] = np.clip(images[:3].astype(int) + 2, 0, 255)
    test = np.arange(40) < 20
    assert count_near_duplicates(images, test, ~test) == 3
    assert perceptual_hashes(images).shape == (40, 256)


@pytest.mark.parametrize(("shape", "is_large"), [((2, 8, 8, 1), False), ((2, 16, 17, 3), True), ((2, 30), False)])
def test_small_images_have_no_thumbnails(shape: tuple[int, ...], is_large: bool) -> None:
    assert has_thumbnails(np.zeros(shape, np.uint8)) is is_large
